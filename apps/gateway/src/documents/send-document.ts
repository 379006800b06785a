import { hash } from 'node:crypto'
import { noneMatch } from '@skerry/service'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Compressor } from '../bytes/compressor.ts'
import { encodeWhole } from '../bytes/encode-whole.ts'
import { etagFor, retag, untagHeader } from '../bytes/etags.ts'
import { type Coding, negotiate, TO_KEEP } from '../bytes/negotiate.ts'

/** A text of the gateway's own, its ETag, and its codings as far as somebody asked for them. */
export type OwnDocument = {
  readonly type: string
  readonly body: Buffer
  readonly etag: string
  readonly encoded: Map<Coding, Promise<Buffer | undefined>>
}

/** Answers with a document, in a coding that the client takes; 304 where it has it. */
export type SendDocument = (
  request: FastifyRequest,
  reply: FastifyReply,
  document: OwnDocument
) => Promise<FastifyReply>

export function ownDocument(type: string, text: string | Uint8Array): OwnDocument {
  const body = typeof text === 'string' ? Buffer.from(text) : Buffer.from(text.buffer, text.byteOffset, text.byteLength)
  return { type, body, etag: `"${hash('sha256', body, 'base64url')}"`, encoded: new Map() }
}

/**
 * What sends documents: caches may keep each as long as they ask each time whether it is still that, in every coding apart.
 *
 * @param minBytes smaller ones are sent as they are
 */
export function createSender(compressor: Pick<Compressor, 'encode'>, minBytes: number): SendDocument {
  return async (request, reply, document) => {
    const accepted = request.headers['accept-encoding'] as string | undefined
    const asked = request.headers['if-none-match']
    reply.header('cache-control', 'public, max-age=0, must-revalidate')
    if (document.body.length >= minBytes) reply.header('vary', 'accept-encoding')
    if (asked !== undefined && noneMatch(untagHeader(asked, accepted), document.etag))
      return reply
        .code(304)
        .header('etag', retag(document.etag, asked, accepted))
        .send()
    const coding = document.body.length < minBytes ? undefined : negotiate(accepted, TO_KEEP)
    const encoded = coding === undefined ? undefined : await encodedOnce(document, coding)
    reply.header('content-type', document.type)
    if (coding === undefined || encoded === undefined) return reply.header('etag', document.etag).send(document.body)
    return reply.header('etag', etagFor(document.etag, coding)).header('content-encoding', coding).send(encoded)
  }

  /** Undefined while too much else is being encoded, which is not remembered. */
  async function encodedOnce({ body, encoded }: OwnDocument, coding: Coding): Promise<Buffer | undefined> {
    let made = encoded.get(coding)
    if (made === undefined) {
      made = Promise.resolve(encodeWhole(compressor, body, coding, 'best'))
      encoded.set(coding, made)
    }
    const found = await made
    if (found === undefined && encoded.get(coding) === made) encoded.delete(coding)
    return found
  }
}
