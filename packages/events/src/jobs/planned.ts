import { bucketFromText, collectionOf, defineCollection, isDuplicate, newId, type Store, type Tx } from '@skerry/store'
import { validatorOf } from '../validate.ts'
import type { JobContract, JobData } from './job.ts'

/** One run that is to come; of a periodic job the next one. */
export type PlannedDocument = {
  /** `<name>` of a periodic job, `<name>:<key>` of a planned run. */
  _id: string
  bucket: number
  name: string
  /** What the runs are ordered by, and known by on the way. */
  jobId: string
  dueAt: Date
  /** JSON. */
  data: string
  everyMs?: number
  /** The periodic run that was handed over last. */
  lastDueAt?: Date
  traceparent?: string
  /** Why it could not be handed over: it no longer fits its contract. It is tried again when a scheduler begins. */
  unfit?: string
}

export const plannedJobs = defineCollection<PlannedDocument>({
  name: 'jobs',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [{ key: { name: 1, dueAt: 1 } }],
  untargeted: { 'jobs-due': 'One instance of a service asks every shard for what is due.' }
})

const keyOf = (id: string) => ({ bucket: bucketFromText(id), _id: id })

/**
 * Plans a run in the transaction of the write that wants it: it comes, at least once, if that commits, and not before `at`.
 *
 * @param options `key` names the run: planned again under the same key it gets the new time and data, and there is one run. Without a key
 *   each call is a run of its own.
 */
export async function scheduleJob<J extends JobContract>(
  store: Store,
  tx: Tx,
  job: J,
  data: JobData<J>,
  options: { at: Date; key?: string }
): Promise<void> {
  if (job.everyMs !== undefined) throw new Error(`${job.name} runs by itself, every ${job.everyMs} ms`)
  const key = options.key ?? newId(0)
  const id = `${job.name}:${key}`
  const jobId = newId(keyOf(id).bucket)
  const problem = validatorOf(job.due)({ jobId, dueAt: options.at.toISOString(), data })
  if (problem !== undefined) throw new Error(`a run of ${job.name} does not fit its contract: ${problem}`)
  await collectionOf(store.db, plannedJobs).updateOne(
    keyOf(id),
    {
      $set: {
        dueAt: options.at,
        data: JSON.stringify(data),
        ...(tx.traceparent === undefined ? {} : { traceparent: tx.traceparent })
      },
      $setOnInsert: { name: job.name, jobId },
      $unset: { unfit: true }
    },
    { upsert: true, session: tx.session }
  )
}

/** Takes a planned run back. False when there is none, or it has been handed to the stream already. */
export async function cancelJob(store: Store, tx: Tx, job: JobContract, key: string): Promise<boolean> {
  const done = await collectionOf(store.db, plannedJobs).deleteOne(keyOf(`${job.name}:${key}`), { session: tx.session })
  return done.deletedCount === 1
}

/** Plans the first run of a periodic job, at once, unless it is planned; follows a changed period. */
export async function ensurePeriodic(store: Store, job: JobContract & { everyMs: number }, now: Date): Promise<void> {
  const documents = collectionOf(store.db, plannedJobs)
  const { bucket, _id } = keyOf(job.name)
  try {
    await documents.updateOne(
      { bucket, _id },
      [
        {
          $set: {
            name: job.name,
            data: { $literal: '{}' },
            everyMs: job.everyMs,
            jobId: { $ifNull: ['$jobId', newId(bucket, now.getTime())] },
            // A period that became shorter holds from now on, not after the old one.
            dueAt: { $min: [{ $ifNull: ['$dueAt', now] }, new Date(now.getTime() + job.everyMs)] }
          }
        }
      ],
      { upsert: true }
    )
  } catch (error) {
    // Another instance was quicker.
    if (!isDuplicate(error, plannedJobs.name)) throw error
  }
}

/** What is due of these jobs, the longest waiting first. */
export function findDue(store: Store, names: readonly string[], now: Date, limit: number): Promise<PlannedDocument[]> {
  return collectionOf(store.db, plannedJobs)
    .find(
      { name: { $in: [...names] }, dueAt: { $lte: now }, unfit: { $exists: false } },
      { sort: { dueAt: 1 }, limit, batchSize: limit + 1, comment: 'jobs-due', maxTimeMS: 5_000 }
    )
    .toArray()
}

/** Sets a run aside that cannot be handed over, so that it keeps no other. */
export async function setAside(
  store: Store,
  { bucket, _id, dueAt, data }: PlannedDocument,
  why: string
): Promise<void> {
  await collectionOf(store.db, plannedJobs).updateOne({ bucket, _id, dueAt, data }, { $set: { unfit: why } })
}

/** Has what was set aside looked at again: this release may know what to do with it. */
export async function retrySetAside(store: Store, names: readonly string[]): Promise<void> {
  await collectionOf(store.db, plannedJobs).updateMany(
    { name: { $in: [...names] }, unfit: { $exists: true } },
    { $unset: { unfit: true } },
    { comment: 'jobs-due' }
  )
}

/** Takes one due run off the plan, or moves it to its next period. False when somebody else did, or it was planned anew. */
export async function takeDue(
  store: Store,
  tx: Tx,
  planned: PlannedDocument,
  next: Date | undefined
): Promise<boolean> {
  // Planned anew it may have the same time.
  const { bucket, _id, dueAt, data } = planned
  const documents = collectionOf(store.db, plannedJobs)
  if (next === undefined) {
    return (await documents.deleteOne({ bucket, _id, dueAt, data }, { session: tx.session })).deletedCount === 1
  }
  const moved = await documents.updateOne(
    { bucket, _id, dueAt },
    { $set: { dueAt: next, lastDueAt: dueAt } },
    { session: tx.session }
  )
  return moved.modifiedCount === 1
}

/** Whether a later run of a periodic job has been handed over than the one that was due at `dueAt`. */
export async function isOvertaken(store: Store, tx: Tx | undefined, job: JobContract, dueAt: Date): Promise<boolean> {
  const found = await collectionOf(store.db, plannedJobs).findOne(
    keyOf(job.name),
    tx === undefined ? {} : { session: tx.session }
  )
  return found?.lastDueAt !== undefined && found.lastDueAt > dueAt
}
