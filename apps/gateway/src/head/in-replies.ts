import type { FastifyInstance } from 'fastify'
import type { Heads } from './heads.ts'
import type { OwnHeaders } from './lists.ts'

/** Has the heads of Fastify's answers, the gateway's own, made where all others are; Fastify writes them. */
export function speakInReplies(app: FastifyInstance, heads: Heads): void {
  app.addHook('onSend', (request, reply, _payload, done) => {
    const own = reply.getHeaders()
    const list = heads.ofReply(request.visit, request.headers.origin, reply.statusCode, withoutOrigin(own))
    for (const name in own) reply.removeHeader(name)
    reply.headers(linesByName(list))
    done()
  })
}

/** What @fastify/cors says of a list of origins: all answers say it where it holds (`corsHeadersFor`), and once is enough. */
function withoutOrigin(own: OwnHeaders): OwnHeaders {
  const { vary } = own
  if (vary === undefined) return own
  const names = [vary].flat().flatMap((line) =>
    String(line)
      .split(',')
      .map((name) => name.trim())
  )
  const kept = names.filter((name) => name.toLowerCase() !== 'origin').join(', ')
  return { ...own, vary: kept === '' ? undefined : kept }
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
