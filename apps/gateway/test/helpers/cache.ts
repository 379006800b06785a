import type { IncomingHttpHeaders } from 'node:http'
import { openRedis, type RedisLink } from '@skerry/cache'
import type { CachePolicy, RouteRules } from '@skerry/contracts'
import { waitFor } from '@skerry/testing'
import type { Test } from 'tap'
import type { LoadedAnswer } from '../../src/cache/answer.ts'
import { type CachedRequest, type CachedRoute, compileCachedRoute, keyOf } from '../../src/cache/cached-route.ts'
import {
  createResponseCache,
  type LoadAnswer,
  type ResponseCache,
  type ResponseCacheOptions,
  type Served
} from '../../src/cache/response-cache.ts'

export const QUIET = { info: () => {}, warn: () => {}, debug: () => {} }

export function rulesWith(cache: CachePolicy, rest: Partial<RouteRules> = {}): RouteRules {
  return { method: 'GET', path: '/v1/users/:id', auth: cache.scope === 'private' ? 'required' : 'none', cache, ...rest }
}

export function routeWith(cache: CachePolicy, rest: Partial<RouteRules> = {}): CachedRoute {
  const route = compileCachedRoute(rulesWith(cache, rest))
  if (route === undefined) throw new Error('not a cached route')
  return route
}

export function get(target: string, headers: IncomingHttpHeaders = {}, userId?: string): CachedRequest {
  return { target, headers, userId }
}

export function answer(body: string, headers: readonly string[] = [], status = 200): LoadedAnswer {
  return { status, headers: ['content-type', 'application/json', ...headers], body: Buffer.from(body) }
}

/** A cache without Redis, whose time is told by hand. */
export function withClock(options: Partial<ResponseCacheOptions> = {}) {
  let time = 1_000
  const cache = createResponseCache({
    redis: undefined,
    prefix: 'x:',
    maxEntries: 100,
    maxBytes: 10_000_000,
    entryBytes: 1_000,
    lockMs: 0,
    log: QUIET,
    now: () => time,
    ...options
  })
  return {
    cache,
    pass: (seconds: number) => {
      time += seconds * 1_000
    }
  }
}

/** A service that answers when it is told to. */
export function heldBack() {
  const { promise, resolve, reject } = Promise.withResolvers<LoadedAnswer>()
  let asked = 0
  const load: LoadAnswer = () => {
    asked++
    return promise
  }
  return { load, resolve, reject, asked: () => asked, wasAsked: () => waitFor(() => asked > 0) }
}

/** A loader that must not be asked. */
export const never: LoadAnswer = () => Promise.reject(new Error('the service was asked'))

/** What a request would get by this cache: as the gateway asks it. */
export function ask(
  cache: ResponseCache,
  route: CachedRoute,
  request: CachedRequest,
  load: LoadAnswer
): Promise<Served | undefined> {
  const key = keyOf(route, request)
  return key === undefined ? Promise.resolve(undefined) : cache.fetch(key, route, request, load)
}

export const bodyOf = (served: Served | undefined): string | undefined => served?.answer.body.toString()

/** The cache of one gateway of several on the same Redis, listening already. */
export async function openGatewayCache(
  t: Test,
  options: { url: string; prefix?: string; lockMs?: number }
): Promise<{ cache: ResponseCache; link: RedisLink }> {
  const { url, prefix = 'gateway:cache:', lockMs = 0 } = options
  // A busy machine must not look like a slow Redis.
  const link = openRedis({ url, commandTimeoutMs: 10_000 })
  t.teardown(() => link.close())
  await waitFor(() => link.connected())
  const cache = createResponseCache({
    redis: link,
    prefix,
    maxEntries: 1_000,
    maxBytes: 10_000_000,
    entryBytes: 100_000,
    lockMs,
    log: QUIET
  })
  t.teardown(() => cache.close())
  await waitFor(() => cache.stats().listening)
  return { cache, link }
}
