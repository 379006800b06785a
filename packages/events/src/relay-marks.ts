import { collectionOf, type Store } from '@skerry/store'
import type { EventMetrics, Log } from './metrics.ts'
import { type OutboxDocument, outbox } from './outbox.ts'
import { type KnownStream, rememberLast } from './streams.ts'

/** Records that JetStream has, and that are to be marked as published. */
export type RelayMarks = {
  add(record: OutboxDocument, sequence: number): void
  /** Marks what was added until now. Resolves as well where the database did not take it: it stays pending then. */
  flush(): Promise<void>
  close(): Promise<void>
}

type Acknowledged = Pick<OutboxDocument, '_id' | 'bucket' | 'fill'>

/** Marks are written so often, for all that was acknowledged: what ends in between publishes that again, and JetStream drops it. */
const EVERY_MS = 1_000
/** What is marked without waiting for more. */
const MOST = 1_000

/** One write now and then marks what was acknowledged in all partitions of an instance. */
export function createRelayMarks(options: {
  store: Store
  service: string
  known: Pick<KnownStream, 'created' | 'filled'>
  log: Log
  metrics: EventMetrics
}): RelayMarks {
  const { store, service, known, log, metrics } = options
  const records = collectionOf(store.db, outbox)
  let acknowledged: Acknowledged[] = []
  let last = { seq: 0, id: '' }
  let marking = Promise.resolve()

  async function mark(): Promise<void> {
    const done = acknowledged
    if (done.length === 0) return
    acknowledged = []
    try {
      // First, so that the stream is never further than remembered by an event that is not published again.
      await rememberLast(store, service, known, last)
      for (const [fill, some] of Map.groupBy(done, (record) => record.fill))
        await records.updateMany(
          {
            ...{ bucket: { $in: [...new Set(some.map((r) => r.bucket))] }, _id: { $in: some.map((r) => r._id) } },
            // The stream may have been lost since, with what it had acknowledged: then they were made pending again.
            fill: fill ?? { $exists: false }
          },
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

  function flush(): Promise<void> {
    marking = marking.then(mark)
    return marking
  }
  const timer = setInterval(() => void flush(), EVERY_MS)

  return {
    add({ _id, bucket, fill }, seq) {
      if (seq > last.seq) last = { seq, id: _id }
      acknowledged.push(fill === undefined ? { _id, bucket } : { _id, bucket, fill })
      if (acknowledged.length >= MOST) void flush()
    },
    flush,
    async close() {
      clearInterval(timer)
      await flush()
    }
  }
}
