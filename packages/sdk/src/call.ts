import { MERGE_PATCH_TYPE, type RouteContract } from '@skerry/contracts'
import { unlessAborted } from './abort.ts'
import { apiError, SkerryApiError, SkerryNetworkError } from './errors.ts'
import type { EtagCache } from './etag-cache.ts'
import { delay, newIdempotencyKey, retryDelay } from './retry.ts'
import type { SessionKeeper } from './session.ts'
import { answerSchema, isAnswerOf } from './shape.ts'
import { type RawAnswer, routeUrl, sendOnce } from './transport.ts'
import type { CallOptions } from './types.ts'

export type CallerDeps = {
  baseUrl: string
  fetch: typeof globalThis.fetch
  timeoutMs: number
  retries: number
  maxWaitMs: number
  cache: EtagCache | undefined
  etags: WeakMap<object, string>
  session: () => SessionKeeper
}

/** `CallInput` of any route, and whether the caller knows that sending it twice is harmless. */
export type AnyInput = CallOptions & { params?: object; query?: object; body?: unknown; safe?: boolean }

type Prepared = { url: string; headers: Record<string, string>; body: string | undefined; safe: boolean }

/** The one way every request takes: token, key, time limit, retries, errors, revalidation. */
export function createCaller(deps: CallerDeps) {
  return async function call(route: RouteContract, input: AnyInput = {}): Promise<unknown> {
    const request = prepare(deps, route, input)
    let renewed = false
    let lost = false
    for (let attempt = 0; ; ) {
      try {
        const token = route.auth === 'none' ? null : await unlessAborted(deps.session().token(), input.signal)
        const answer = await send(deps, route, input, request, token)
        if (answer.kind === 'done') return answer.value
        if (token !== null && !renewed && isTokenRefused(answer.error)) {
          renewed = true
          await unlessAborted(deps.session().renew(token), input.signal)
          continue
        }
        if (lost && isDoneAlready(route, answer.error)) return undefined
        throw answer.error
      } catch (error) {
        lost ||= error instanceof SkerryNetworkError || (error instanceof SkerryApiError && error.status >= 500)
        const wait = retryDelay(error, attempt, request.safe, deps.maxWaitMs)
        if (wait === undefined || attempt >= deps.retries) throw error
        attempt++
        await delay(wait, input.signal)
      }
    }
  }
}

function prepare(deps: CallerDeps, route: RouteContract, input: AnyInput): Prepared {
  const query = input.fields === undefined ? input.query : { ...input.query, fields: input.fields.join(',') }
  const headers: Record<string, string> = { accept: 'application/json, application/problem+json' }
  const body = input.body === undefined ? undefined : JSON.stringify(input.body)
  // In plain JSON null means absent; what a caller clears with null is cleared in a merge patch.
  if (body !== undefined) headers['content-type'] = route.method === 'PATCH' ? MERGE_PATCH_TYPE : 'application/json'
  const key = input.idempotencyKey ?? (route.idempotent ? newIdempotencyKey() : undefined)
  if (key !== undefined) headers['idempotency-key'] = key
  if (input.ifMatch !== undefined) headers['if-match'] = etagOf(deps, input.ifMatch)
  return {
    url: routeUrl(deps.baseUrl, route.path, input.params ?? {}, query ?? {}),
    headers,
    body,
    // A DELETE or PATCH sent twice with If-Match would meet its own change, so only plain ones and keyed ones are repeated.
    safe: input.safe ?? ((route.method !== 'POST' && route.method !== 'PATCH' && input.ifMatch === undefined) || !!key)
  }
}

function etagOf(deps: CallerDeps, of: string | object): string {
  const etag = typeof of === 'string' ? of : deps.etags.get(of)
  if (etag === undefined) throw new TypeError('ifMatch: this resource was not read with this client')
  return etag
}

type Outcome = { kind: 'done'; value: unknown } | { kind: 'refused'; error: SkerryApiError }

async function send(
  deps: CallerDeps,
  route: RouteContract,
  input: AnyInput,
  request: Prepared,
  token: string | null
): Promise<Outcome> {
  const headers = { ...request.headers }
  if (token !== null) headers.authorization = `Bearer ${token}`
  const owner = token === null ? '' : (await deps.session().current())?.user.id
  const cacheKey = `${owner} ${request.url}`
  const cached = route.method === 'GET' ? deps.cache?.get(cacheKey) : undefined
  if (cached !== undefined) headers['if-none-match'] = cached.etag
  const answer = await sendOnce(deps.fetch, {
    url: request.url,
    method: route.method,
    headers,
    body: request.body,
    timeoutMs: input.timeoutMs ?? deps.timeoutMs,
    signal: input.signal
  })
  if (answer.status === 304 && cached !== undefined) {
    return { kind: 'done', value: remember(deps, parse(cached.body), cached.etag) }
  }
  if (answer.status < 200 || answer.status > 299) {
    const error = apiError(answer.status, answer.headers, answer.body)
    if (error instanceof SkerryNetworkError) throw error
    return { kind: 'refused', error }
  }
  return { kind: 'done', value: accept(deps, route, cacheKey, answer, input.fields !== undefined) }
}

function accept(deps: CallerDeps, route: RouteContract, cacheKey: string, answer: RawAnswer, sparse: boolean): unknown {
  const value = answer.body === '' ? undefined : parse(answer.body)
  if (!isAnswerOf(route, value, sparse))
    throw new SkerryNetworkError(`Something on the way to the server answered ${answer.status}`)
  if (value === undefined) return undefined
  const etag = answer.headers.get('etag')
  if (etag === null) return value
  if (route.method === 'GET') deps.cache?.set(cacheKey, { etag, body: answer.body })
  return remember(deps, value, etag)
}

function remember(deps: CallerDeps, value: unknown, etag: string): unknown {
  if (typeof value === 'object' && value !== null) deps.etags.set(value, etag)
  return value
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch (cause) {
    throw new SkerryNetworkError('The answer is not JSON', { cause })
  }
}

/** A DELETE whose answer was lost, and whose repeat finds nothing, has done its work. */
function isDoneAlready(route: RouteContract, error: SkerryApiError): boolean {
  return route.method === 'DELETE' && error.status === 404 && answerSchema(route) === null
}

/** A 401 with a code of the auth service is about what was sent (a wrong password), not about the token. */
function isTokenRefused(error: { status: number; code: string }): boolean {
  return error.status === 401 && !error.code.startsWith('AUTH_')
}
