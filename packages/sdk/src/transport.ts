import { reasonOf } from './abort.ts'
import { SkerryNetworkError } from './errors.ts'

export type RawAnswer = { status: number; headers: Headers; body: string }

export type Attempt = {
  url: string
  method: string
  headers: Record<string, string>
  body: string | undefined
  timeoutMs: number
  signal: AbortSignal | undefined
}

/**
 * Sends one request and reads its whole answer within the time limit.
 * @throws SkerryNetworkError when no whole answer came; the signal's reason when the caller aborted
 */
export async function sendOnce(fetch: typeof globalThis.fetch, attempt: Attempt): Promise<RawAnswer> {
  const { url, method, headers, body, timeoutMs, signal } = attempt
  if (signal?.aborted) throw reasonOf(signal)
  const limit = new AbortController()
  const onAbort = () => limit.abort()
  signal?.addEventListener('abort', onAbort, { once: true })
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    limit.abort()
  }, timeoutMs)
  try {
    const response = await fetch(url, {
      method,
      headers,
      signal: limit.signal,
      ...(body === undefined ? {} : { body })
    })
    return { status: response.status, headers: response.headers, body: await response.text() }
  } catch (cause) {
    if (signal?.aborted) throw reasonOf(signal)
    if (timedOut) throw new SkerryNetworkError(`No answer within ${timeoutMs} ms`, { cause, timeout: true })
    throw new SkerryNetworkError('The server could not be reached', { cause })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

type QueryValue = string | number | boolean | undefined

/** The address of a route: parameters filled in, query appended in a stable order (it is also a cache key). */
export function routeUrl(base: string, path: string, params: object, query: object): string {
  const filled = path.replace(/:([A-Za-z]+)/g, (_, name: string) => {
    const value = (params as Record<string, unknown>)[name]
    if (typeof value !== 'string' || value === '') throw new TypeError(`the parameter ${name} of ${path} is missing`)
    return encodeURIComponent(value)
  })
  const pairs: string[] = []
  for (const [name, value] of Object.entries(query as Record<string, QueryValue>).sort()) {
    if (value !== undefined) pairs.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
  }
  return pairs.length === 0 ? base + filled : `${base + filled}?${pairs.join('&')}`
}
