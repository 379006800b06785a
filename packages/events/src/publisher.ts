import { setTimeout as delay } from 'node:timers/promises'
import type { JetStreamClient } from '@nats-io/jetstream'
import { type Fence, isRefused } from './fence.ts'
import { toHeaders } from './headers.ts'
import { createKeyedQueue } from './keyed-queue.ts'
import type { Log } from './metrics.ts'
import type { OutboxDocument } from './outbox.ts'
import type { Partition } from './partitions.ts'
import type { RelayMarks } from './relay-marks.ts'
import { untilAborted } from './until-aborted.ts'

/** Publishes to one partition. */
export type Publisher = {
  /**
   * Takes a record, once there is room; false: there was none for `patienceMs`. A record that was taken before is passed over. One call at a
   * time.
   */
  take(record: OutboxDocument, patienceMs: number): Promise<boolean>
  /** Resolves when nothing is on its way, or has been given up. */
  idle(): Promise<void>
  /** Whether all that was sent was acknowledged: nothing of it can come any more. */
  isThrough(): boolean
}

type PublisherOptions = {
  js: JetStreamClient
  service: string
  partition: Partition
  /** The mark of the stream's last refill. JetStream still knows the ids of messages that it has lost, and would drop them as repeats. */
  refill: string | undefined
  /** The stream has replicas: while a message that expects something is on its way to them the server refuses the next one that does. */
  replicated: boolean
  fence: Fence
  marks: RelayMarks
  /** What is not sent by then is not sent any more. */
  signal: AbortSignal
  /** Gives up what is on its way without waiting for its acknowledgement. */
  abandon: AbortSignal
  /** JetStream refuses what is published: another one has the partition. */
  refused(error: unknown): void
  log: Log
}

/** Records on their way at once, in all partitions: enough to keep JetStream's disk busy, few enough to repeat after a crash. */
export const WINDOW = 256
const REMEMBERED = 20_000

/**
 * Publishes with many records in flight, never two of one key: a repeat after a lost acknowledgement then cannot overtake. Records of a
 * release before order keys have none: they are ordered by entity, and never in flight beside those that have one.
 */
export function createPublisher(options: PublisherOptions): Publisher {
  const { js, service, partition, refill, replicated, fence, marks, signal, abandon, refused, log } = options
  const capacity = WINDOW / partition.of
  const queue = createKeyedQueue(capacity)
  // Scan and change stream overlap: the later sight of a record is dropped here, beyond that JetStream and the inboxes do it.
  const taken = new Set<string>()
  const waiting = new Set<() => void>()
  /** Which kind of records is in flight. */
  let allKeyed = true
  /** Sent, and it is not known what became of it. */
  let unknown = 0
  // An answer that will not come any more, since the connection is lost, is not waited for.
  const unlessAbandoned = untilAborted(abandon)
  const wake = () => {
    for (const resume of waiting) resume()
  }
  signal.addEventListener('abort', wake)
  /** The queue has room for another once it has heard of this as well. */
  const settled = () => {
    if (waiting.size > 0) setImmediate(wake)
  }

  async function publishOne(record: OutboxDocument): Promise<void> {
    const headers = toHeaders(service, {
      id: record._id,
      subject: record.subject,
      entity: record.entity,
      orderKey: record.orderKey,
      time: record.at.toISOString(),
      traceparent: record.traceparent
    })
    for (let attempt = 0; !signal.aborted; attempt++) {
      if (attempt === 0) unknown++
      try {
        const ack = await unlessAbandoned(
          js.publish(`${record.subject}${partition.token}`, record.payload, {
            msgID: refill === undefined ? record._id : `${record._id} ${refill}`,
            headers,
            timeout: 5_000,
            expect: { streamName: service, ...fence.expect }
          })
        )
        unknown--
        marks.add(record, ack.seq)
        return
      } catch (error) {
        if (isRefused(error)) return refused(error)
        if (signal.aborted) return
        if (attempt % 10 === 0)
          log.warn({ err: error, event: record._id, attempt }, 'failed to publish an event, retrying')
        await delay(Math.min(2_000, 25 * 2 ** attempt), undefined, { signal }).catch(() => 'ending')
      }
    }
  }

  const hasRoom = (keyed: boolean) => queue.size < capacity && (queue.size === 0 || keyed === allKeyed)

  /** Waits for something to end, or for the end of patience. */
  async function change(patienceMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, patienceMs)
      function done(): void {
        clearTimeout(timer)
        waiting.delete(done)
        resolve()
      }
      waiting.add(done)
    })
  }

  return {
    async take(record, patienceMs) {
      if (taken.has(record._id)) return true
      const keyed = record.orderKey !== undefined
      const until = performance.now() + patienceMs
      while (!hasRoom(keyed)) {
        const left = until - performance.now()
        if (signal.aborted) return true
        if (left <= 0) return false
        await change(left)
      }
      taken.add(record._id)
      if (taken.size > REMEMBERED / partition.of) taken.delete(taken.values().next().value as string)
      allKeyed = keyed
      const key = replicated ? '' : (record.orderKey ?? record.entity)
      await queue.add(key, () => publishOne(record).finally(settled), signal)
      return true
    },
    idle: () => queue.idle(),
    isThrough: () => unknown === 0
  }
}
