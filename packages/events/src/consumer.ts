import type { NatsConnection } from '@nats-io/transport-node'
import { ownerOf } from '@skerry/contracts'
import type { Store } from '@skerry/store'
import { type EventMetrics, type Log, NO_METRICS } from './metrics.ts'
import { consumerCommands, type Replays } from './operator/consumer-commands.ts'
import { startResponder } from './operator/responder.ts'
import type { Owned } from './owner.ts'
import { consumePartitions } from './partitioned.ts'
import type { Subscription } from './subscription.ts'

export type ConsumerOptions = {
  store: Store
  nc: NatsConnection
  service: string
  instance: string
  /** What the consumer is for: it is named `<service>--<purpose>`, and so is its durable, with the partition behind it where there are several. */
  purpose: string
  subscriptions: readonly Subscription[]
  log: Log
  metrics?: EventMetrics
  leaseMs?: number
  /** Events applied at once, each by itself, in all partitions of this instance; those that share a transaction have few lanes of their own. */
  concurrency?: number
  /** Waits between the attempts of a handler that fails, in milliseconds; after the last one the event is a dead letter. */
  backoffMs?: readonly number[]
  /** How long an attempt may take before it has failed, in milliseconds (60,000; 900,000 for `onIdempotent`). */
  handlerLimitMs?: number
  /** Whether operators may have events applied again, in order, from anywhere. Without it they have to force it. */
  replays?: Replays
}

const BACKOFF_MS = [100, 500, 2_000, 8_000, 20_000]

/**
 * Consumes events of one or several streams: at least once by JetStream, once in effect by the inbox, in order within a key. The
 * instances of the service share each stream's partitions. See docs/events.md and docs/events-partitions.md.
 */
export function startConsumer(options: ConsumerOptions): Owned {
  const byStream = new Map<string, Subscription[]>()
  for (const subscription of options.subscriptions) {
    const stream = ownerOf(subscription.event)
    byStream.set(stream, [...(byStream.get(stream) ?? []), subscription])
  }
  const consumer = `${options.service}--${options.purpose}`
  const { store, nc, service, subscriptions, replays } = options
  const responder = startResponder(nc, {
    ...{ service, topic: options.purpose, log: options.log },
    commands: consumerCommands({
      ...{ store, nc, service, consumer, subscriptions, replays },
      wake: () => responder.wake()
    })
  })
  const parts = [...byStream].map(([stream, subscriptions]) =>
    consumePartitions({
      ...options,
      stream,
      consumer,
      subscriptions,
      onLook: responder.onLook,
      metrics: options.metrics ?? NO_METRICS,
      concurrency: options.concurrency ?? 32,
      backoffMs: options.backoffMs ?? BACKOFF_MS
    })
  )
  return {
    attached: () => parts.every((p) => p.attached()),
    owner: () => parts.every((p) => p.owner()),
    async stop() {
      responder.stop()
      await Promise.all(parts.map((p) => p.stop()))
    }
  }
}
