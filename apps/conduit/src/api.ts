import { randomUUID } from 'node:crypto'
import { MERGE_PATCH_TYPE, type Problem } from '@skerry/contracts'
import { DEADLINE_HEADER } from '@skerry/deadline'
import type { CallContext } from '@skerry/service'
import { Agent, fetch } from 'undici'
import { tooMany, unavailable } from './errors.ts'

/** The request of a front end that a call of the API is made for. */
export type Visit = { call: CallContext; forwardedFor: string | undefined }

export type ApiRequest = {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  path: string
  token?: string
  body?: unknown
}

/** An answer below 500; `problem` is there for 4xx. */
export type ApiAnswer<T> = { status: number; body: T; problem: Problem | undefined }

/** The public API, called as any client calls it. */
export type Api = <T>(request: ApiRequest, visit: Visit) => Promise<ApiAnswer<T>>

/**
 * Calls the API through the gateway. A call whose answer is lost is made once more: what is not idempotent by itself carries a key.
 * Throws 429 where the API does, and 503 where there is no answer in time and for 5xx, with what the API says of when to come back.
 */
export function createApi(options: {
  url: string
  from?: string | undefined
  timeoutMs: number
  fetch?: typeof globalThis.fetch
}): Api {
  const base = options.url.endsWith('/') ? options.url.slice(0, -1) : options.url
  const dispatcher =
    options.from === undefined ? {} : { dispatcher: new Agent({ connect: { localAddress: options.from } }) }
  const send = options.fetch ?? (fetch as unknown as typeof globalThis.fetch)

  return async <T>(request: ApiRequest, { call, forwardedFor }: Visit): Promise<ApiAnswer<T>> => {
    const { method, path, token, body } = request
    const headers: Record<string, string> = {
      traceparent: call.traceparent,
      // Between neighbours bytes cost less than encoding them.
      'accept-encoding': 'identity',
      ...(forwardedFor === undefined ? {} : { 'x-forwarded-for': forwardedFor }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { 'content-type': method === 'PATCH' ? MERGE_PATCH_TYPE : 'application/json' }),
      ...(method === 'POST' ? { 'idempotency-key': randomUUID() } : {})
    }
    const attempt = async () => {
      const leftMs = Math.min(options.timeoutMs, call.remainingMs())
      if (leftMs <= 0) throw unavailable()
      const response = await send(base + path, {
        ...dispatcher,
        method,
        headers: { ...headers, [DEADLINE_HEADER]: String(Math.ceil(leftMs)) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.any([call.signal, AbortSignal.timeout(Math.ceil(leftMs))])
      })
      return { response, text: await response.text() }
    }
    // A broken connection says nothing of what was done; the same request again does it once.
    const { response, text } = await attempt()
      .catch(() => attempt())
      .catch((error) => {
        throw unavailable(error)
      })
    const { status } = response
    const retryAfter = Number(response.headers.get('retry-after')) || 1
    if (status === 429) throw tooMany(retryAfter)
    if (status >= 500) throw unavailable(new Error(`${method} ${path} answered ${status}`), retryAfter)
    const parsed = text === '' ? undefined : (JSON.parse(text) as unknown)
    return { status, body: parsed as T, problem: status >= 400 ? (parsed as Problem) : undefined }
  }
}
