import type { JetStreamManager } from '@nats-io/jetstream'
import { collectionOf, type Store } from '@skerry/store'
import { consumerStates } from './consumer-states.ts'
import type { EventMetrics, Log } from './metrics.ts'
import { type Operation, pendingOperations } from './operator/operations.ts'
import { isStreamNotFound, type Look, lookAt } from './streams.ts'

/** What a stretch of one partition takes part in. */
export type Stretch = {
  /** How the stream is; rejects never. */
  report(look: Look): Promise<void>
  /** What operators have asked of the consumer. */
  take(operations: readonly Operation[]): Promise<void>
}

/** What the stretches of a consumer in one process have in common, so that it costs as much for many partitions as for one. */
export type Stretches = {
  /** Takes part until the returned function is called. */
  join(stretch: Stretch): () => void
  /** Operators may have asked for something: looks at once. */
  wake(): void
  /** How much a partition has still to do. */
  late(partition: number, count: number): void
  /** Keeps how far a durable has come, with the next look: all that have come on share a write. */
  keepFloor(durable: string, created: string, floor: number): void
  stop(): void
}

/** How often a consumer looks at its stream. */
export const LOOK_MS = 5_000
/** Looks at the stream until it looks for what operators have asked although nobody woke it: the message may be lost. */
const LOOKS_UNWOKEN = 6

export function createStretches(options: {
  store: Store
  manager(): Promise<JetStreamManager>
  stream: string
  consumer: string
  log: Log
  metrics: EventMetrics
}): Stretches {
  const { store, stream, consumer, log, metrics } = options
  const joined = new Set<Stretch>()
  const counts = new Map<number, number>()
  let floors = new Map<string, { created: string; floor: number }>()
  let looking: Promise<void> | undefined
  let again = false
  let looks = 0

  async function lookForOperations(): Promise<void> {
    try {
      const operations = await pendingOperations(store, consumer)
      // Not waited for: one whose queue is full takes them in when it has room, and keeps no other.
      for (const stretch of joined) stretch.take(operations).catch(later)
    } catch (error) {
      later(error)
    }
  }

  function later(error: unknown): void {
    // With the next look at the stream.
    looks = -1
    log.warn({ err: error, consumer }, 'failed to look for operator commands, retrying')
  }

  function wake(): void {
    if (looking !== undefined) {
      again = true
      return
    }
    again = false
    looking = lookForOperations().finally(() => {
      looking = undefined
      if (again) wake()
    })
  }

  /** What cannot be written is written later, unless there is something newer by then. */
  async function writeFloors(): Promise<void> {
    const some = floors
    if (some.size === 0) return
    floors = new Map()
    try {
      await collectionOf(store.db, consumerStates).bulkWrite(
        [...some].map(([_id, { created, floor }]) => ({
          updateOne: { filter: { _id, created }, update: { $max: { floor } } }
        })),
        { ordered: false }
      )
    } catch (error) {
      floors = new Map([...some, ...floors])
      log.debug({ err: error, consumer }, 'failed to keep how far a consumer has come')
    }
  }

  async function tick(): Promise<void> {
    if (joined.size === 0) return
    if (++looks % LOOKS_UNWOKEN === 0) wake()
    try {
      const look = await lookAt(await options.manager(), stream)
      await Promise.all([...joined].map((stretch) => stretch.report(look)))
      await writeFloors()
    } catch (error) {
      // It is made anew by its service, and then known as another one.
      log.debug({ err: error, consumer, gone: isStreamNotFound(error) }, 'failed to look at a stream')
    }
  }
  const timer = setInterval(() => void tick(), LOOK_MS).unref()

  return {
    join(stretch) {
      joined.add(stretch)
      wake()
      return () => joined.delete(stretch)
    },
    wake,
    late(partition, count) {
      counts.set(partition, count)
      metrics.consumerLag(
        consumer,
        [...counts.values()].reduce((sum, n) => sum + n, 0)
      )
    },
    keepFloor(durable, created, floor) {
      floors.set(durable, { created, floor })
    },
    stop: () => clearInterval(timer)
  }
}
