import { noneMatch } from '@skerry/service'
import type { StoredAnswer } from './answer.ts'
import type { CachedRoute } from './cached-route.ts'
import type { Served } from './response-cache.ts'

/** `Cache-Status` of an answer that went past the cache though its route has a policy. */
export const BYPASS = 'skerry; fwd=bypass'

/**
 * What the gateway says to clients and caches in front of it, as name, value, name, value, beside an answer's own headers: `age`,
 * `cache-control`, `etag`, `vary` and `cache-status` (RFC 9211). `etag` is the one of the representation that is sent, where an encoded one has
 * its own.
 */
export function cachedHeaders(served: Served, route: CachedRoute, etag = served.answer.etag): string[] {
  return [...lastingHeaders(served.answer, route, etag), ...passingHeaders(served)]
}

/** Those of `cachedHeaders` that are the same each time a kept answer is sent. */
export function lastingHeaders(answer: StoredAnswer, route: CachedRoute, etag = answer.etag): string[] {
  const list = ['vary', answer.vary]
  if (etag !== undefined) list.push('etag', etag)
  if (answer.use === 'keep') list.push('cache-control', controlOf(route, answer.ttlMs))
  return list
}

/** The others, which change with time. */
export function passingHeaders(served: Served): string[] {
  const { answer, source, ageSeconds } = served
  const list = ['cache-status', statusOf(served)]
  // An answer that has just come has no age to speak of, unless another cache had it.
  if (answer.use === 'keep' && (source !== 'load' || answer.cameAgedSeconds > 0)) list.push('age', String(ageSeconds))
  return list
}

/**
 * Whether a request gets 304 in place of this answer (RFC 9110, 13.1.2): it is a 200 that the client has. The 304 carries `cachedHeaders` and
 * none of the answer's own.
 */
export function isNotModified(ifNoneMatch: string | undefined, answer: StoredAnswer, etag = answer.etag): boolean {
  return ifNoneMatch !== undefined && answer.status === 200 && etag !== undefined && noneMatch(ifNoneMatch, etag)
}

/**
 * A cache in front may share what needs no token, for as long as we do; clients ask again, which is cheap by `etag`. What needs a token
 * stays with its client: a cache in front does not check tokens.
 */
function controlOf(route: CachedRoute, ttlMs: number): string {
  if (!route.shared || route.guarded) return 'private, no-cache'
  let control = `public, max-age=0, s-maxage=${Math.floor(ttlMs / 1_000)}`
  if (route.staleMs > 0) control += `, stale-while-revalidate=${Math.floor(route.staleMs / 1_000)}`
  if (route.errorMs > 0) control += `, stale-if-error=${Math.floor(route.errorMs / 1_000)}`
  return control
}

function statusOf({ answer, source, ttlSeconds }: Served): string {
  switch (source) {
    case 'load':
      return answer.use === 'keep' && answer.ttlMs > 0 ? 'skerry; fwd=miss; stored' : 'skerry; fwd=miss'
    case 'coalesced':
      return 'skerry; fwd=miss; collapsed'
    case 'stale-if-error':
      return `skerry; hit; ttl=${ttlSeconds}; detail=stale-if-error`
    default:
      return `skerry; hit; ttl=${ttlSeconds}`
  }
}
