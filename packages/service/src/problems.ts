import type { Socket } from 'node:net'
import { ERRORS, type ErrorCode, problem, SkerryError } from '@skerry/contracts'
import { DEADLINE_HEADER } from '@skerry/deadline'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { isUnavailable } from './driver-errors.ts'
import { isPassing } from './streamed-bodies.ts'

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8'

/** Fastify's own errors by their code. */
const FASTIFY: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'BODY_TOO_LARGE',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
  FST_ERR_CTP_EMPTY_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'BAD_REQUEST',
  FST_ERR_MAX_PARAM_LENGTH: 'URI_TOO_LONG',
  FST_ERR_BAD_URL: 'BAD_REQUEST',
  FST_ERR_NOT_FOUND: 'NOT_FOUND'
}
const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  404: 'NOT_FOUND',
  405: 'METHOD_NOT_ALLOWED',
  408: 'REQUEST_TIMEOUT',
  413: 'BODY_TOO_LARGE',
  414: 'URI_TOO_LONG',
  415: 'UNSUPPORTED_MEDIA_TYPE',
  429: 'RATE_LIMITED',
  431: 'HEADERS_TOO_LARGE'
}

/**
 * Any error as one that a caller may see: a SkerryError stays what it is, Fastify's keep their meaning, a dependency that is away is
 * UNAVAILABLE (retry after 1 s), and everything else is INTERNAL. The original is the `cause`; nothing of it is sent.
 */
export function toSkerryError(error: unknown): SkerryError {
  if (error instanceof SkerryError) return error
  const { code, statusCode } = (error ?? {}) as { code?: unknown; statusCode?: unknown }
  const known = typeof code === 'string' ? FASTIFY[code] : undefined
  if (known !== undefined) return new SkerryError(known, { cause: error })
  if (isUnavailable(error)) return new SkerryError('UNAVAILABLE', { cause: error, retryAfter: 1 })
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500) {
    return new SkerryError(BY_STATUS[statusCode] ?? 'BAD_REQUEST', { cause: error })
  }
  return new SkerryError('INTERNAL', { cause: error })
}

/** The body of an error's answer and the headers that go with it. */
export function problemAnswer(
  error: SkerryError,
  requestId: string
): { body: string; headers: Record<string, string> } {
  const { detail, errors } = error
  const headers: Record<string, string> = { 'cache-control': 'no-store', ...error.headers }
  if (error.retryAfter !== undefined) headers['retry-after'] = String(Math.max(1, Math.ceil(error.retryAfter)))
  else if (error.status === 503) headers['retry-after'] = '1'
  if (error.status === 401) headers['www-authenticate'] ??= 'Bearer'
  const shown = error.code === 'INTERNAL' ? { requestId } : { detail, errors, requestId }
  return { body: JSON.stringify(problem(error.code, withoutUndefined(shown))), headers }
}

function withoutUndefined<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T
}

/** Answers a request with the problem of an error and logs what is ours: 5xx with its cause, 4xx at debug level. */
export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = toSkerryError(error)
  if (known.status >= 500) {
    // Deadlines are the callers' choice, and so is to break off: neither must fill the log.
    const callers = known.headers?.[DEADLINE_HEADER] !== undefined || brokenOff(request)
    const level = callers ? 'debug' : known.code === 'INTERNAL' ? 'error' : 'warn'
    request.log[level](
      { err: known.cause ?? known, method: request.method, url: pathOf(request.url), code: known.code },
      'request failed'
    )
  } else
    request.log.debug(
      { code: known.code, errors: known.errors, method: request.method, url: pathOf(request.url) },
      'request rejected'
    )
  const { body, headers } = problemAnswer(known, request.id)
  // Fastify closes the connection after any body it could not take. A body too large is read and dropped instead (Node does that),
  // so that the client gets to read the answer; one larger than this is not worth the traffic.
  if (reply.hasHeader('connection') && !(Number(request.headers['content-length']) > DROPPED_BODY))
    reply.removeHeader('connection')
  return reply.code(known.status).headers(headers).header('content-type', PROBLEM_TYPE).send(body)
}

/** The client has gone in the middle of its request. */
function brokenOff({ raw }: FastifyRequest): boolean {
  return raw.destroyed && !raw.complete
}

const DROPPED_BODY = 64 * 1024 * 1024

/** Queries may hold what does not belong into logs. */
function pathOf(url: string): string {
  const end = url.indexOf('?')
  return end === -1 ? url : url.slice(0, end)
}

/**
 * Answers what Node's HTTP parser refused, before there is a request: over-large headers, a request that never ends, no HTTP at all.
 */
export function refuseConnection(error: Error & { code?: string }, socket: Socket): void {
  // Its body passes as it comes. Node tells of it once.
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && isPassing(socket)) return
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const code = parserRefusal(error)
  const body = JSON.stringify(problem(code))
  const { status, title } = ERRORS[code]
  socket.end(
    `HTTP/1.1 ${status} ${title}\r\ncontent-type: ${PROBLEM_TYPE}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`
  )
}

/** What a client is told whose request Node's HTTP parser refused. */
export function parserRefusal({ code }: { code?: string }): ErrorCode {
  if (code === 'HPE_HEADER_OVERFLOW') return 'HEADERS_TOO_LARGE'
  return code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'REQUEST_TIMEOUT' : 'BAD_REQUEST'
}
