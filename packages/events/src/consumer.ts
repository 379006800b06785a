import type { NatsConnection } from '@nats-io/transport-node'
import type { DataOf, EventContract } from '@skerry/contracts'
import { ownerOf } from '@skerry/contracts'
import type { Store, Tx } from '@skerry/store'
import type { Envelope } from './headers.ts'
import { type EventMetrics, type Log, NO_METRICS } from './metrics.ts'
import { consumerCommands, type Replays } from './operator/consumer-commands.ts'
import { startResponder } from './operator/responder.ts'
import { type Owned, runOwned } from './owner.ts'
import { consumeStream } from './stream-consumer.ts'

/** An event as a handler gets it. */
export type Incoming<T> = Envelope & { data: T }

/** One event and what is done with it. */
export type Subscription = {
  readonly event: EventContract
  readonly handle: (incoming: Incoming<never>, tx: Tx) => Promise<void>
  /** The effect is harmless when repeated and may be too large for one transaction: `handle` gets none (see `onIdempotent`). */
  readonly idempotent: boolean
}

/** What a handler of a large, repeatable effect gets. */
type IdempotentHandler<E extends EventContract> = (incoming: Incoming<DataOf<E>>) => Promise<void>

/**
 * Handles an event: `handle` writes through `tx`, and its effect commits together with the event's id, so it happens once however often
 * the event comes. Nothing outside of the transaction may be changed, and what it changes it reads through `tx` too: events of other order keys
 * may share the transaction, and it may be run again. To publish from it: `publish(store, tx, …)`.
 */
export function on<E extends EventContract>(
  event: E,
  handle: (incoming: Incoming<DataOf<E>>, tx: Tx) => Promise<void>
): Subscription {
  return { event, handle: handle as Subscription['handle'], idempotent: false }
}

/** Handles an event whose effect is the same when repeated, such as upserts by key, outside of a transaction: for fan-outs. */
export function onIdempotent<E extends EventContract>(event: E, handle: IdempotentHandler<E>): Subscription {
  return { event, handle: handle as Subscription['handle'], idempotent: true }
}

export type ConsumerOptions = {
  store: Store
  nc: NatsConnection
  service: string
  instance: string
  /** What the consumer is for: the durable is named `<service>--<purpose>`. */
  purpose: string
  subscriptions: readonly Subscription[]
  log: Log
  metrics?: EventMetrics
  leaseMs?: number
  /** Events applied at once, each by itself; those that share a transaction have few lanes of their own. */
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
 * Consumes events of one or several streams: at least once by JetStream, once in effect by the inbox, in order within a key. One
 * instance of the service works on each stream at a time, the others stand by. See docs/events.md.
 */
export function startConsumer(options: ConsumerOptions): Owned {
  const byStream = new Map<string, Subscription[]>()
  for (const subscription of options.subscriptions) {
    const stream = ownerOf(subscription.event)
    byStream.set(stream, [...(byStream.get(stream) ?? []), subscription])
  }
  const durable = `${options.service}--${options.purpose}`
  const { store, nc, service, subscriptions, replays } = options
  const responder = startResponder(nc, {
    ...{ service, topic: options.purpose, log: options.log },
    commands: consumerCommands({
      ...{ store, nc, service, durable, subscriptions, replays },
      wake: () => responder.wake()
    })
  })
  const parts = [...byStream].map(([stream, subscriptions]) =>
    runOwned({
      store: options.store,
      name: `consumer:${stream}:${durable}`,
      instance: options.instance,
      log: options.log,
      ...(options.leaseMs === undefined ? {} : { leaseMs: options.leaseMs }),
      work: (signal, working) =>
        consumeStream({
          ...options,
          stream,
          durable,
          subscriptions,
          signal,
          working,
          onLook: responder.onLook,
          metrics: options.metrics ?? NO_METRICS,
          concurrency: options.concurrency ?? 32,
          backoffMs: options.backoffMs ?? BACKOFF_MS
        })
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
