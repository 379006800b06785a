import type { FastifyInstance, FastifyReply } from 'fastify'
import { varyByCoding } from '../bytes/coding-headers.ts'
import { type AnswerHead, assertSettable } from './answer-head.ts'
import type { Heads } from './heads.ts'
import { SECURITY_HEADERS } from './security-headers.ts'

/** Has Fastify's answers, the gateway's own, say what all others do. */
export function speakInReplies(app: FastifyInstance, heads: Heads): void {
  app.addHook('onSend', (request, reply, _payload, done) => {
    const said = heads.ofReply(request.visit, request.headers.origin)
    // Both speak in it: a document differs by coding as well.
    if (said.vary !== undefined && reply.getHeader('vary') === 'accept-encoding') said.vary = varyByCoding(said.vary)
    reply.headers(said)
    for (const [name, value] of SECURITY_HEADERS) if (!reply.hasHeader(name)) reply.header(name, value)
    heads.see(headOfReply(reply), request.visit)
    done()
  })
}

function headOfReply(reply: FastifyReply): AnswerHead {
  return {
    status: reply.statusCode,
    get(name) {
      const value = reply.getHeader(name)
      return value === undefined || value === null ? undefined : Array.isArray(value) ? value.join(', ') : String(value)
    },
    set(name, value) {
      assertSettable(name, value)
      reply.removeHeader(name).header(name, value)
    },
    remove: (name) => reply.removeHeader(name)
  }
}
