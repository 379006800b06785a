import { setTimeout as delay } from 'node:timers/promises'
import type { Log } from '@skerry/events'
import type { Identity, publishIdentity } from '@skerry/service'
import type { TellRevoked } from './domain/deps.ts'

export type Publisher = ReturnType<typeof publishIdentity>

/** How long an answer waits for the bucket; the event tells it anyway. */
const WAIT_MS = 200

/**
 * Tells of ended sessions as fast as can be: this instance at once, the others and the gateway through the bucket, for which it waits 200 ms
 * at most. The event of the same transaction is the way that cannot fail.
 *
 * @param accessTtlMs how long a token of an ended session may still be valid
 */
export function createTellRevoked(options: {
  identity: Identity
  publisher: Publisher
  accessTtlMs: number
  log: Log
}): TellRevoked {
  const { identity, publisher, accessTtlMs, log } = options
  return async (sessionIds) => {
    if (sessionIds.length === 0) return
    for (const id of sessionIds) identity.revoke(id)
    const until = Math.ceil((Date.now() + accessTtlMs) / 1000)
    const told = Promise.all(sessionIds.map((id) => publisher.revoke(id, until))).catch((error: unknown) =>
      log.warn({ err: error }, 'failed to broadcast revoked sessions: gateways will learn of them from events')
    )
    const late = new AbortController()
    await Promise.race([told, delay(WAIT_MS, undefined, { signal: late.signal }).catch(() => 'told')])
    late.abort()
  }
}
