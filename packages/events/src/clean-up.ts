import { collectionOf, type Store } from '@skerry/store'
import { INBOX_RETENTION_S, inbox } from './inbox.ts'
import { definePeriodicJob } from './jobs/job.ts'
import { type JobHandler, onIdempotentJob } from './jobs/start-jobs.ts'
import { OUTBOX_RETENTION_S, outbox } from './outbox.ts'

export type CleanUpOptions = {
  /** How long published events stay, in seconds (7 days). The inbox keeps its ids a day longer. */
  retentionS?: number
  /** Milliseconds between two runs (an hour). */
  everyMs?: number
  /** Epoch milliseconds. */
  now?: () => number
}

/** Documents deleted by one command. */
const BATCH = 1_000
const HOUR_MS = 3_600_000
const NOT_PENDING = { pending: { $exists: false } } as const

/** A job of a service that deletes what its outbox and inbox need no longer keep. */
export function cleanUp(store: Store, service: string, options: CleanUpOptions = {}): JobHandler {
  const job = definePeriodicJob({
    service,
    name: 'cleanup',
    summary: 'Old records of the outbox and the inbox go.',
    everyMs: options.everyMs ?? HOUR_MS
  })
  return onIdempotentJob(job, async () => {
    await deleteOld(store, { now: (options.now ?? Date.now)(), retentionS: options.retentionS ?? OUTBOX_RETENTION_S })
  })
}

/**
 * Deletes published events older than `retentionS`, and ids of the inbox older than a day more, in batches. What JetStream has not
 * acknowledged stays, however old it is.
 *
 * @returns how many went
 */
export async function deleteOld(
  store: Store,
  { now, retentionS }: { now: number; retentionS: number }
): Promise<{ outbox: number; inbox: number }> {
  const before = (seconds: number) => new Date(now - seconds * 1_000)
  const published = before(retentionS)
  const applied = before(retentionS + INBOX_RETENTION_S - OUTBOX_RETENTION_S)
  const events = collectionOf(store.db, outbox)
  const ids = collectionOf(store.db, inbox)
  return {
    outbox: await inBatches(async () => {
      const old = await events
        .find(
          { publishedAt: { $lt: published }, ...NOT_PENDING },
          { projection: { bucket: 1 }, sort: { publishedAt: 1 }, limit: BATCH, comment: 'clean-up' }
        )
        .toArray()
      // Again without what a rebuild has made pending meanwhile.
      return old.length === 0
        ? 0
        : (await events.deleteMany({ ...theseOf(old), ...NOT_PENDING }, { hint: { _id: 1 } })).deletedCount
    }),
    inbox: await inBatches(async () => {
      const old = await ids
        .find(
          { at: { $lt: applied } },
          { projection: { bucket: 1 }, sort: { at: 1 }, limit: BATCH, comment: 'clean-up' }
        )
        .toArray()
      return old.length === 0 ? 0 : (await ids.deleteMany(theseOf(old), { hint: { _id: 1 } })).deletedCount
    })
  }
}

async function inBatches(deleteOne: () => Promise<number>): Promise<number> {
  let all = 0
  for (;;) {
    const deleted = await deleteOne()
    all += deleted
    if (deleted === 0) return all
  }
}

function theseOf(found: readonly { _id: string; bucket: number }[]) {
  return { bucket: { $in: [...new Set(found.map((d) => d.bucket))] }, _id: { $in: found.map((d) => d._id) } }
}
