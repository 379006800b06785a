import type { FastifyInstance } from 'fastify'
import type { Heads } from './heads.ts'

/** Has the heads of Fastify's answers, the gateway's own, made where all others are; Fastify writes them. */
export function speakInReplies(app: FastifyInstance, heads: Heads): void {
  app.addHook('onSend', (request, reply, _payload, done) => {
    const own = reply.getHeaders()
    const list = heads.ofReply(request.visit, request.headers.origin, reply.statusCode, own)
    for (const name in own) reply.removeHeader(name)
    reply.headers(linesByName(list))
    done()
  })
}

/** As Fastify takes them: a name with several lines has a list of them. */
function linesByName(list: readonly string[]): Record<string, string | string[]> {
  const lines: Record<string, string | string[]> = {}
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i]!
    const value = list[i + 1]!
    lines[name] = lines[name] === undefined ? value : [lines[name], value].flat()
  }
  return lines
}
