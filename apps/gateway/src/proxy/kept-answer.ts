import type { ServerResponse } from 'node:http'
import { compressible } from '../bytes/compressible.ts'
import { encodeWhole } from '../bytes/encode-whole.ts'
import { etagFor, retag, untagHeader } from '../bytes/etags.ts'
import { type Coding, negotiate, TO_KEEP } from '../bytes/negotiate.ts'
import type { StoredAnswer } from '../cache/answer.ts'
import type { CachedRoute } from '../cache/cached-route.ts'
import { cachedHeaders, isNotModified, lastingHeaders, passingHeaders } from '../cache/client-headers.ts'
import type { ResponseCache, Served } from '../cache/response-cache.ts'
import type { Visit } from '../door/visit.ts'
import { endWhole } from '../head/http1-response.ts'
import type { HeadPart } from '../head-lines.ts'
import { type AnswerWriterDeps, ONE_WRITE } from './answer-writer.ts'

export type KeptAnswerDeps = AnswerWriterDeps & { cache: Pick<ResponseCache, 'addVariant'> }

/** Sends a kept answer, or 304, in a coding that the client takes; the encoded body is kept with it. */
export function sendKept(
  deps: KeptAnswerDeps,
  visit: Visit,
  res: ServerResponse,
  served: Served,
  cached: CachedRoute,
  ours: Readonly<Record<string, string>>
): void {
  const { answer } = served
  const { heads } = deps
  const { headers } = visit.raw
  const asked = headers['if-none-match'] as string | undefined
  const accepted = headers['accept-encoding'] as string | undefined
  if (asked !== undefined && isNotModified(untagHeader(asked, accepted), answer)) {
    const etag = retag(answer.etag!, asked, accepted)
    heads.write(res, visit, 304, heads.ofKept(cachedHeaders(served, cached, etag), ours))
    res.end()
    return
  }
  const coding = negotiate(accepted, TO_KEEP)
  if (coding === undefined || !isWorth(answer, deps.compressMinBytes)) {
    send(undefined)
    return
  }
  const encoded = answer.variants.get(coding) ?? encodeOnce(deps, answer, coding)
  if (encoded instanceof Promise)
    encoded.then(send).catch((error) => {
      deps.onFault('encoder', error)
      res.destroy()
    })
  else send(encoded)

  function send(encoded: Buffer | undefined): void {
    if (res.destroyed) return
    const body = encoded ?? answer.body
    const sent = encoded === undefined ? undefined : coding
    const list = passingHeaders(served)
    // Where the gateway's own headers change those of the answer, there is nothing common.
    if (answer.use === 'keep' && ours.vary === undefined) {
      for (const name in ours) list.push(name, ours[name]!)
      heads.write(res, visit, answer.status, list, commonHead(deps, answer, cached, body, sent))
    } else {
      list.push(...lasting(answer, cached, body, sent))
      heads.write(res, visit, answer.status, heads.ofKept(list, ours))
    }
    if (visit.method === 'HEAD' || answer.status === 204) res.end()
    else if (body.length <= ONE_WRITE) endWhole(res, body)
    else res.end(body)
  }
}

/** What an answer says each time it is sent, in a coding or as it is. */
function lasting(answer: StoredAnswer, cached: CachedRoute, body: Buffer, coding: Coding | undefined): string[] {
  const etag = coding === undefined || answer.etag === undefined ? answer.etag : etagFor(answer.etag, coding)
  const list = [...answer.headers, ...lastingHeaders(answer, cached, etag)]
  if (coding !== undefined) list.push('content-encoding', coding)
  if (answer.status !== 204) list.push('content-length', String(body.length))
  return list
}

type CommonHead = { readonly cached: CachedRoute; readonly part: HeadPart }

/** `lasting` with the defaults as text, which an answer has for each coding as long as its route stays the same. */
const common = new WeakMap<StoredAnswer, Map<Coding | undefined, CommonHead>>()

function commonHead(
  deps: KeptAnswerDeps,
  answer: StoredAnswer,
  cached: CachedRoute,
  body: Buffer,
  coding: Coding | undefined
): HeadPart {
  let byCoding = common.get(answer)
  if (byCoding === undefined) {
    byCoding = new Map()
    common.set(answer, byCoding)
  }
  const known = byCoding.get(coding)
  if (known !== undefined && known.cached === cached) return known.part
  const part = deps.heads.common(lasting(answer, cached, body, coding))
  byCoding.set(coding, { cached, part })
  return part
}

const worth = new WeakMap<StoredAnswer, boolean>()

/** Whether an answer may be encoded: the same for its whole life. */
function isWorth(answer: StoredAnswer, minBytes: number): boolean {
  let known = worth.get(answer)
  if (known === undefined) {
    const fields: Record<string, string> = {}
    for (let i = 0; i < answer.headers.length; i += 2) fields[answer.headers[i]!] = answer.headers[i + 1]!
    known = compressible('GET', answer.status, fields, answer.body.length, minBytes)
    worth.set(answer, known)
  }
  return known
}

/** Encodings that are under way, so that each is made once. */
const making = new WeakMap<StoredAnswer, Map<Coding, Promise<Buffer | undefined>>>()

function encodeOnce(
  deps: KeptAnswerDeps,
  answer: StoredAnswer,
  coding: Coding
): Buffer | undefined | Promise<Buffer | undefined> {
  const underWay = making.get(answer)?.get(coding)
  if (underWay !== undefined) return underWay
  const keep = (encoded: Buffer | undefined) => {
    if (encoded !== undefined && answer.use === 'keep') deps.cache.addVariant(answer, coding, encoded)
    return encoded
  }
  const encoded = encodeWhole(deps.compressor, answer.body, coding, 'best')
  if (!(encoded instanceof Promise)) return keep(encoded)
  const of = making.get(answer) ?? new Map<Coding, Promise<Buffer | undefined>>()
  making.set(answer, of)
  const made = encoded.then(keep).finally(() => of.delete(coding))
  of.set(coding, made)
  return made
}
