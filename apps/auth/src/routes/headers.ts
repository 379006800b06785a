import type { FastifyReply, FastifyRequest } from 'fastify'
import { REVOKED_HEADER } from '../domain/refresh.ts'

/** As much of the client's description of itself as is worth keeping. */
export function userAgentOf(request: FastifyRequest): string | null {
  const given = request.headers['user-agent']
  return given === undefined || given === '' ? null : given.slice(0, 256)
}

/** A header has room for so many ids; the others are told by the bucket. */
const IDS = 100

/** Lets the gateway refuse ended sessions from this answer on, before the bucket has told it. */
export function tellGateway(reply: FastifyReply, sessionIds: readonly string[]): void {
  if (sessionIds.length > 0) reply.header(REVOKED_HEADER, sessionIds.slice(0, IDS).join(','))
}
