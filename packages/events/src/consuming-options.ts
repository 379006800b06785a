import type { NatsConnection } from '@nats-io/transport-node'
import type { Store } from '@skerry/store'
import type { EventMetrics, Log } from './metrics.ts'
import type { Subscription } from './subscription.ts'

/** What one consumer does with a stream, in whatever partitions. */
export type ConsumingOptions = {
  store: Store
  nc: NatsConnection
  service: string
  stream: string
  /** The consumer's name, by which inbox, faults, dead letters and operators know it; that of its durable where there is one. */
  consumer: string
  subscriptions: readonly Subscription[]
  log: Log
  metrics: EventMetrics
  concurrency: number
  backoffMs: readonly number[]
  handlerLimitMs?: number
}
