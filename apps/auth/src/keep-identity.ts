import { setTimeout as delay } from 'node:timers/promises'
import type { Log } from '@skerry/events'
import { ensureBuckets, type NatsConnection, onReconnect, publishIdentity } from '@skerry/service'
import type { Store } from '@skerry/store'
import { recentlyRevoked } from './data/sessions.ts'
import type { SigningKey } from './domain/signing-key.ts'

export type KeepIdentityOptions = {
  nc: NatsConnection
  store: Store
  jwks: SigningKey['jwks']
  accessTtlMs: number
  log: Log
  /** Milliseconds between looks at the bucket, for one that was lost without the connection being lost. */
  everyMs?: number
}

const EVERY_MS = 10_000
const RETRY_MS = 500
/** Revocations on their way to NATS at once. */
const AT_ONCE = 64

/**
 * Keeps the bucket `identity` filled: the public keys, and the sessions that ended while their tokens may still be valid. At the start, at
 * every reconnect (NATS may have lost it) and the keys from time to time. Resolves when the keys are there.
 */
export async function keepIdentity(options: KeepIdentityOptions): Promise<{ close(): Promise<void> }> {
  const { nc, store, jwks, log } = options
  const publisher = publishIdentity(nc)
  const stopping = new AbortController()
  let wake = new AbortController()
  let all = true
  const stopListening = onReconnect(nc, () => {
    all = true
    wake.abort()
  })

  async function putAll(): Promise<void> {
    await ensureBuckets(nc, { timeoutMs: 2_000 })
    await publisher.setJwks(jwks as Parameters<typeof publisher.setJwks>[0])
    if (!all) return
    all = false
    try {
      await putRevoked()
    } catch (error) {
      all = true
      throw error
    }
  }

  async function putRevoked(): Promise<void> {
    let batch: Promise<void>[] = []
    for await (const { id, revokedAt } of recentlyRevoked(store, new Date(Date.now() - options.accessTtlMs))) {
      batch.push(publisher.revoke(id, Math.ceil((revokedAt.getTime() + options.accessTtlMs) / 1000)))
      if (batch.length < AT_ONCE) continue
      await Promise.all(batch)
      batch = []
    }
    await Promise.all(batch)
  }

  async function keep(): Promise<void> {
    let wait = options.everyMs ?? EVERY_MS
    while (!stopping.signal.aborted) {
      const signal = AbortSignal.any([stopping.signal, wake.signal])
      await delay(wait, undefined, { signal, ref: false }).catch(() => 'woken')
      if (stopping.signal.aborted || nc.isClosed()) return
      if (wake.signal.aborted) wake = new AbortController()
      try {
        await putAll()
        wait = options.everyMs ?? EVERY_MS
      } catch (error) {
        wait = RETRY_MS
        log.warn({ err: error }, 'failed to publish the signing keys, retrying')
      }
    }
  }

  await putAll()
  const kept = keep()
  return {
    async close() {
      stopListening()
      stopping.abort()
      await kept
    }
  }
}
