import { setTimeout as delay } from 'node:timers/promises'
import type { JetStreamClient } from '@nats-io/jetstream'
import { collectionOf, type Store } from '@skerry/store'
import { toHeaders } from './headers.ts'
import { createKeyedQueue } from './keyed-queue.ts'
import type { EventMetrics, Log } from './metrics.ts'
import { type OutboxDocument, outbox } from './outbox.ts'
import { type Partition, partitionOfBucket } from './partitions.ts'
import { rememberLast } from './streams.ts'
import { untilAborted } from './until-aborted.ts'

export type Publisher = {
  /** Takes a record; waits while too many are on their way. A record that was taken before is passed over. */
  submit(record: OutboxDocument): Promise<void>
  /** Waits for what is on its way and marks what was acknowledged. */
  close(): Promise<void>
}

type PublisherOptions = {
  js: JetStreamClient
  store: Store
  service: string
  /** When the stream was made: what is remembered of it counts for that one alone. */
  created: string
  partitions: readonly Partition[]
  /** The mark of the stream's last refill. JetStream still knows the ids of messages that it has lost, and would drop them as repeats. */
  refill: string | undefined
  /** Ends what is on its way without waiting for its acknowledgement. */
  signal: AbortSignal
  log: Log
  metrics: EventMetrics
}

/** Records on their way at once: enough to keep JetStream's disk busy, few enough to repeat after a crash. */
const WINDOW = 256
/** Marks are written so often, for all that was acknowledged: what ends in between publishes that again, and JetStream drops it. */
const MARK_EVERY_MS = 500
/** What is marked without waiting for more. */
const MARK_MOST = 1_000
const REMEMBERED = 20_000

/**
 * Publishes with many records in flight, never two of one key: a repeat after a lost acknowledgement then cannot overtake. Records of a
 * release before order keys have none: they are ordered by entity, and never in flight beside those that have one.
 */
export function createPublisher(options: PublisherOptions): Publisher {
  const { js, store, service, created, partitions, refill, signal, log, metrics } = options
  const queue = createKeyedQueue(WINDOW)
  const records = collectionOf(store.db, outbox)
  // Scan and change stream overlap: the later sight of a record is dropped here, beyond that JetStream and the inboxes do it.
  const taken = new Set<string>()
  let acknowledged: Pick<OutboxDocument, '_id' | 'bucket'>[] = []
  let last = { seq: 0, id: '' }
  /** Which kind of records is in flight. */
  let allKeyed = true
  // An answer that will not come any more, since the connection is lost, is not waited for.
  const unlessEnding = untilAborted(signal)
  let marking = Promise.resolve()

  async function publishOne(record: OutboxDocument): Promise<void> {
    const headers = toHeaders(service, {
      id: record._id,
      subject: record.subject,
      entity: record.entity,
      orderKey: record.orderKey,
      time: record.at.toISOString(),
      traceparent: record.traceparent
    })
    const { token } = partitionOfBucket(partitions, record.bucket)
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        const ack = await unlessEnding(
          js.publish(`${record.subject}${token}`, record.payload, {
            msgID: refill === undefined ? record._id : `${record._id} ${refill}`,
            headers,
            timeout: 5_000,
            expect: { streamName: service }
          })
        )
        if (ack.seq > last.seq) last = { seq: ack.seq, id: record._id }
        acknowledged.push({ _id: record._id, bucket: record.bucket })
        if (acknowledged.length >= MARK_MOST) markSoon()
        return
      } catch (error) {
        if (signal.aborted) return
        if (attempt % 10 === 0)
          log.warn({ err: error, event: record._id, attempt }, 'failed to publish an event, retrying')
        await delay(Math.min(2_000, 25 * 2 ** attempt), undefined, { signal }).catch(() => 'ending')
      }
    }
  }

  async function mark(): Promise<void> {
    const done = acknowledged
    if (done.length === 0) return
    acknowledged = []
    try {
      // First, so that the stream is never further than remembered by an event that is not published again.
      await rememberLast(store, service, created, last)
      await records.updateMany(
        { bucket: { $in: [...new Set(done.map((r) => r.bucket))] }, _id: { $in: done.map((r) => r._id) } },
        // The first time stays where an event is published again.
        { $min: { publishedAt: new Date() }, $unset: { pending: 1 } }
      )
      metrics.relayed(done.length)
    } catch (error) {
      // They stay pending and are published again by the next relay, which the inboxes make harmless; here they are marked later.
      acknowledged = done.concat(acknowledged)
      log.warn({ err: error }, 'failed to mark events as published, retrying')
    }
  }

  function markSoon(): void {
    marking = marking.then(mark)
  }
  const timer = setInterval(markSoon, MARK_EVERY_MS)

  return {
    async submit(record) {
      if (taken.has(record._id)) return
      taken.add(record._id)
      if (taken.size > REMEMBERED) taken.delete(taken.values().next().value as string)
      const keyed = record.orderKey !== undefined
      if (keyed !== allKeyed) await queue.idle()
      allKeyed = keyed
      await queue.add(record.orderKey ?? record.entity, () => publishOne(record), signal)
    },
    async close() {
      await queue.idle()
      clearInterval(timer)
      await marking
      await mark()
    }
  }
}
