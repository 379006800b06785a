import type { NatsConnection } from '@nats-io/transport-node'
import type { Store } from '@skerry/store'
import type { Batches } from './batches.ts'
import type { EventMetrics, Log } from './metrics.ts'
import type { Partition } from './partitions.ts'
import type { Places } from './places.ts'
import type { Stretches } from './stretches.ts'
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

/** One stretch of consuming a partition. */
export type StretchOptions = ConsumingOptions & {
  partition: Partition
  signal: AbortSignal
  working(): void
  /** What bounds the transactions at once, in all partitions of this instance. */
  places: Places
  /** What applies events together with others, of any partition, where several wait. */
  batches: Batches
  stretches: Stretches
  /** The stream has other partitions than this one is of. */
  repartitioned(): void
}
