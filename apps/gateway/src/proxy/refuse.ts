import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Logger, toSkerryError } from '@skerry/service'
import type { BoundMet } from '../bounds.ts'
import type { Visit } from '../door/visit.ts'
import { writeProblem } from '../head/answer-problem.ts'
import type { Heads } from '../head/heads.ts'
import { dropRest } from './drop-rest.ts'
import { endStreamWhenAnswered } from './end-stream.ts'
import { boundMetBy } from './met-bound.ts'

export type RefuseDeps = {
  log: Logger
  heads: Heads
  /** The largest body that is read. */
  bodyLimit: number
  onBound: BoundMet
}

/** Answers a visit with the problem of an error, in the one shape of all errors, logs what is ours and tells of a bound that was met. Answers its status. */
export function refuse(
  deps: RefuseDeps,
  visit: Visit,
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown
): number {
  const known = toSkerryError(error)
  logRefusal(deps.log, visit, known)
  const bound = boundMetBy(known)
  if (bound !== undefined) deps.onBound(bound, visit.address === '' ? request.socket.remoteAddress : visit.address)
  const unread = unreadBody(request, deps.bodyLimit)
  const { status, body } = writeProblem(deps.heads, visit, response, known, unread)
  if (!request.complete) endStreamWhenAnswered(request)
  if (!unread) response.end(body)
  else {
    // Written, but ended only when the body is over.
    if (body !== undefined) response.write(body)
    dropRest(request, () => response.end(() => request.socket.destroySoon()))
  }
  return status
}

/** More of a body is to come than is worth reading for the sake of the connection. */
function unreadBody(request: IncomingMessage, limit: number): boolean {
  if (request.complete || request.httpVersionMajor >= 2) return false
  const { headers } = request
  if (headers['transfer-encoding'] !== undefined) return true
  return Number(headers['content-length'] ?? 0) > limit
}

function logRefusal(log: Logger, visit: Visit, error: ReturnType<typeof toSkerryError>): void {
  // What is shed has no cause but its number, which is counted: under overload its lines would be most of the work.
  const shed = error.code === 'UNAVAILABLE' && error.cause === undefined
  const level = error.status < 500 || shed ? 'debug' : error.code === 'INTERNAL' ? 'error' : 'warn'
  if (!log.isLevelEnabled(level)) return
  const { traceId, spanId } = visit.trace
  log[level](
    {
      requestId: visit.id,
      traceId,
      spanId,
      userId: visit.caller?.userId,
      method: visit.method,
      url: visit.path,
      code: error.code,
      ...(error.status >= 500 ? { err: error.cause ?? error } : { errors: error.errors })
    },
    error.status >= 500 ? 'request failed' : 'request rejected'
  )
}
