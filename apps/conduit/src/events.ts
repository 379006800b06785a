import { AccountDeleted } from '@skerry/contracts'
import { eventMetrics, type Log, onIdempotent, startConsumer, startRelay, together } from '@skerry/events'
import type { Checks, Metrics, NatsConnection } from '@skerry/service'
import { type Deps, deleteAllOf } from './domain/conduit.ts'

export type EventsOptions = { nc: NatsConnection; instance: string; log: Log; metrics: Metrics; leaseMs?: number }

/** Publishes what the outbox holds; deletes what people had when auth tells that their account ended. */
export function startEvents(deps: Deps, options: EventsOptions): { checks: Checks; stop(): Promise<void> } {
  const shared = { ...options, store: deps.store, service: 'conduit', metrics: eventMetrics(options.metrics) }
  const parts = {
    relay: startRelay(shared),
    // Each consumer is also named in package.json under `skerry.consumers`: NATS refuses those that are not.
    accounts: startConsumer({
      ...shared,
      purpose: 'accounts',
      subscriptions: [
        onIdempotent(AccountDeleted, ({ data, traceparent }) =>
          deleteAllOf(deps, data.userId, traceparent === undefined ? {} : { traceparent })
        )
      ]
    })
  }
  return together(parts)
}
