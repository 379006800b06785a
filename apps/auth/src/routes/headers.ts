import { isIP } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { REVOKED_HEADER } from '../domain/refresh.ts'
import type { Client } from '../domain/sessions.ts'

/**
 * Whose request it is: the address that the gateway has seen, an IPv6 one as its /64, which one house has. Without a gateway in front it is the
 * connection's.
 */
export function clientOf(request: FastifyRequest): Client {
  const told = request.headers['x-forwarded-for']
  const address = typeof told === 'string' && told.length <= 64 ? told : (request.raw.socket.remoteAddress ?? '')
  return { address: networkOf(address), userAgent: userAgentOf(request) }
}

function networkOf(address: string): string {
  if (isIP(address) !== 6) return address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped !== null) return mapped[1]!
  const [head = '', tail] = address.split('%')[0]!.split('::') as [string, string?]
  const groups = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = Array<string>(Math.max(0, 8 - groups.length - after.length)).fill('0')
  const all = tail === undefined ? groups : [...groups, ...zeros, ...after]
  return `${all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::/64`
}

/** As much of the client's description of itself as is worth keeping. */
function userAgentOf(request: FastifyRequest): string | null {
  const given = request.headers['user-agent']
  return given === undefined || given === '' ? null : given.slice(0, 256)
}

/** A header has room for so many ids; the others are told by the bucket. */
const IDS = 100

/** Lets the gateway refuse ended sessions from this answer on, before the bucket has told it. */
export function tellGateway(reply: FastifyReply, sessionIds: readonly string[]): void {
  if (sessionIds.length > 0) reply.header(REVOKED_HEADER, sessionIds.slice(0, IDS).join(','))
}
