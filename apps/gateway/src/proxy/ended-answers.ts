import type { Visit } from '../door/visit.ts'
import type { Exchange } from './exchange.ts'
import { SAFE } from './upstream-request.ts'

/** The tags of kept answers that a write ends, if it is one that ends any. */
export function tagsEndedBy(visit: Visit): readonly string[] | undefined {
  if (SAFE.has(visit.method) || visit.route?.endsOf === undefined) return undefined
  const tags = visit.route.endsOf(visit.raw.url!, visit.caller?.userId)
  return tags === undefined || tags.length === 0 ? undefined : tags
}

/**
 * Who reads after the answer to a write reads what was written: the old answers end first, here and in Redis, in bounded time; also when
 * nobody knows whether it was done.
 */
export function endThen(exchange: Exchange, tags: readonly string[] | undefined, then: () => void): void {
  if (tags === undefined) {
    then()
    return
  }
  const { cache, onFault } = exchange.deps
  cache
    .end(tags)
    .catch((error) => onFault('cache', error))
    .then(() => {
      if (!exchange.isGone) exchange.guarded(then)
    })
}
