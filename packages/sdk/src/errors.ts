import type { Problem } from '@skerry/contracts'

/** The server answered with an error. `problem` is its RFC 9457 document; match on `code`. */
export class SkerryApiError extends Error {
  readonly status: number
  readonly code: string
  readonly problem: Problem
  /** Quote it when asking the operators. */
  readonly requestId: string | undefined
  /** Seconds the server asked to wait, from `Retry-After`. */
  readonly retryAfter: number | undefined

  constructor(problem: Problem, retryAfter?: number) {
    super(problem.detail ?? problem.title)
    this.name = 'SkerryApiError'
    this.status = problem.status
    this.code = problem.code
    this.problem = problem
    this.requestId = problem.requestId
    this.retryAfter = retryAfter
  }
}

/** No whole answer of the server came: no network, a dropped connection, a captive portal in between, or (`timeout`) too slow. */
export class SkerryNetworkError extends Error {
  readonly timeout: boolean

  constructor(message: string, options: { cause?: unknown; timeout?: boolean } = {}) {
    super(message, { cause: options.cause })
    this.name = 'SkerryNetworkError'
    this.timeout = options.timeout ?? false
  }
}

/** Seconds of a `Retry-After` header; undefined when it is absent or not a number of seconds. */
export function parseRetryAfter(header: string | null): number | undefined {
  if (header === null || !/^\d+(\.\d+)?$/.test(header.trim())) return undefined
  return Number(header)
}

/** What proxies in front of a gateway say of requests by right; the 5xx beside 511 as well. */
const OF_PROXIES = new Set([408, 413, 414, 429, 431])

/**
 * The error of an answer that is not a success. What has no problem document was made by something in between. Of a 401, a redirect or a
 * page that wants a sign-in (captive portals, proxies) nothing follows but that the server was not reached.
 */
export function apiError(
  status: number,
  headers: { get(name: string): string | null },
  body: string
): SkerryApiError | SkerryNetworkError {
  const retryAfter = parseRetryAfter(headers.get('retry-after'))
  const requestId = headers.get('x-request-id') ?? undefined
  const problem = parseProblem(body)
  if (problem !== undefined) return new SkerryApiError({ ...problem, status }, retryAfter)
  if (!OF_PROXIES.has(status) && (status < 500 || status === 511))
    return new SkerryNetworkError(`Something on the way to the server answered ${status}`)
  return new SkerryApiError(
    {
      type: 'about:blank',
      title: `The server answered ${status}`,
      status,
      code: `HTTP_${status}`,
      ...(requestId === undefined ? {} : { requestId })
    },
    retryAfter
  )
}

function parseProblem(body: string): Problem | undefined {
  try {
    const value: unknown = JSON.parse(body)
    if (typeof value !== 'object' || value === null) return undefined
    return 'code' in value && typeof value.code === 'string' && 'title' in value ? (value as Problem) : undefined
  } catch {
    return undefined // an HTML page of some proxy
  }
}
