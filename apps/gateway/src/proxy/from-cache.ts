import { SkerryError } from '@skerry/contracts'
import { type CachedRequest, type CachedRoute, headersToLoad, keyOf } from '../cache/cached-route.ts'
import { BYPASS } from '../cache/client-headers.ts'
import type { LoadAnswer, Served } from '../cache/response-cache.ts'
import { laneOf } from '../overload/lane.ts'
import { withPlace } from '../overload/place.ts'
import { Timer } from '../upstreams/wheel.ts'
import { asProblem } from './as-problem.ts'
import { collect } from './collect.ts'
import type { Exchange } from './exchange.ts'
import { sendKept } from './kept-answer.ts'
import { mirror } from './mirror.ts'
import { relay } from './relay.ts'
import { leftOf, upstreamRequest, wantsEvents } from './upstream-request.ts'

/** Answers from the cache, or through it. False when this request has to go past it. */
export function answerFromCache(exchange: Exchange, cached: CachedRoute): boolean {
  const { deps, visit, version } = exchange
  const { cache } = deps
  const request: CachedRequest = {
    target: visit.raw.url!,
    headers: visit.raw.headers,
    userId: visit.caller?.userId,
    protocol: visit.protocol,
    priority: visit.priority,
    version
  }
  const key = wantsEvents(request.headers.accept) ? undefined : keyOf(cached, request)
  if (key === undefined) {
    exchange.cacheStatus = BYPASS
    return false
  }
  const load = (signal: AbortSignal) => loadForAll(exchange, cached, signal)
  const found = cache.find(key)
  if (found !== undefined) {
    if (found.stale) cache.refresh(key, cached, request, load)
    answerKept(exchange, found, cached)
    return true
  }
  // Only a GET brings a body to keep.
  if (visit.method === 'HEAD') return false
  fetchAnswer(exchange, key, cached, request, load)
  return true
}

/** Waits for an answer that is asked for on behalf of all who want it. Others may have longer than this one, so the load goes on without it. */
function fetchAnswer(
  exchange: Exchange,
  key: string,
  cached: CachedRoute,
  request: CachedRequest,
  load: LoadAnswer
): void {
  const { deps, visit } = exchange
  const { wheel } = deps.balancer
  const now = performance.now()
  exchange.sentAt = now
  const late = new Timer(() => exchange.guarded(() => exchange.refuse(new SkerryError('TIMEOUT'))))
  wheel.start(late, now + leftOf(request.headers['x-skerry-deadline'], visit.route!.timeoutMs, now - visit.startedAt))
  deps.cache
    .fetch(key, cached, request, load)
    .finally(() => wheel.stop(late))
    .then(
      (served) => {
        if (exchange.isAnswered) return
        if (served !== undefined) answerKept(exchange, served, cached)
        else {
          exchange.cacheStatus = BYPASS
          relay(exchange)
        }
      },
      (error: Error) => {
        if (!exchange.isAnswered) exchange.refuse(asProblem(error))
      }
    )
    .catch((fault) => exchange.fail(fault))
}

/** Asks the service for the whole answer, as it is for everybody; also a HEAD that finds a stale answer renews the one of its GET. */
function loadForAll(exchange: Exchange, cached: CachedRoute, signal: AbortSignal): ReturnType<LoadAnswer> {
  const { deps, visit, version } = exchange
  const route = visit.route!
  const headers = headersToLoad(cached, visit.raw.headers)
  const asked = { headers, body: null, timeoutMs: route.timeoutMs, version }
  const request = { ...upstreamRequest(visit, asked, deps), method: 'GET' }
  return withPlace(deps.overload, laneOf(route), visit.priority, () => {
    mirror(deps, request)
    return collect(deps.balancer, request, deps.cacheEntryBytes, signal)
  })
}

function answerKept(exchange: Exchange, served: Served, cached: CachedRoute): void {
  if (exchange.isGone) return
  exchange.answering()
  const { deps, visit, res } = exchange
  sendKept(deps, visit, res, served, cached, deps.heads.ours(visit, exchange.timing()))
}
