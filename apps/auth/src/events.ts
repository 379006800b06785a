import { SessionRevoked } from '@skerry/contracts'
import { eventMetrics, type Log, onIdempotent, startConsumer, startRelay, together } from '@skerry/events'
import type { Checks, Metrics, NatsConnection } from '@skerry/service'
import type { Store } from '@skerry/store'
import type { Publisher } from './revocations.ts'

export type EventsOptions = {
  nc: NatsConnection
  instance: string
  log: Log
  metrics: Metrics
  publisher: Publisher
  accessTtlMs: number
  leaseMs?: number
}

/** Publishes what this service's outbox holds, and makes sure that every ended session gets into the bucket `identity`. */
export function startEvents(store: Store, options: EventsOptions): { checks: Checks; stop(): Promise<void> } {
  const { publisher, accessTtlMs } = options
  const shared = { ...options, store, service: 'auth', metrics: eventMetrics(options.metrics) }
  const parts = {
    relay: startRelay(shared),
    revocations: startConsumer({
      ...shared,
      purpose: 'revocations',
      replays: 'safe',
      subscriptions: [
        onIdempotent(SessionRevoked, async ({ data, time }) => {
          const until = Date.parse(time) + accessTtlMs
          if (until > Date.now()) await publisher.revoke(data.sessionId, Math.ceil(until / 1000))
        })
      ]
    })
  }
  return together(parts)
}
