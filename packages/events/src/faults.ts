import { collectionOf, defineCollection, type Store } from '@skerry/store'
import { keyOf } from './inbox.ts'

/** An event that a handler failed on: its attempts are counted here, so that a restart doesn't begin them anew. */
type FaultDocument = { _id: string; bucket: number; count: number; firstAt: Date; lastAt: Date; error: string }

/** What is left of events that were applied in the end, after a restart, goes by itself. In seconds. */
const RETENTION_S = 24 * 3600

export const faults = defineCollection<FaultDocument>({
  name: 'event_faults',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [{ key: { lastAt: 1 }, options: { expireAfterSeconds: RETENTION_S } }]
})

export type Faults = { count: number; firstAt: Date }

/** Counts a failed attempt of a consumer. Resolves with how many there were, in this process and earlier ones, and when the first was. */
export async function noteFault(
  store: Store,
  consumer: string,
  event: { id: string; entity: string },
  error: unknown
): Promise<Faults> {
  const now = new Date()
  const noted = await collectionOf(store.db, faults).findOneAndUpdate(
    keyOf(consumer, event.id, event.entity),
    { $inc: { count: 1 }, $setOnInsert: { firstAt: now }, $set: { lastAt: now, error: String(error).slice(0, 1_000) } },
    { upsert: true, returnDocument: 'after' }
  )
  if (noted === null) throw new Error('a fault could not be noted')
  return { count: noted.count, firstAt: noted.firstAt }
}

/** Forgets the attempts of an event that was applied or has become a dead letter. */
export async function forgetFaults(
  store: Store,
  consumer: string,
  event: { id: string; entity: string }
): Promise<void> {
  await collectionOf(store.db, faults).deleteOne(keyOf(consumer, event.id, event.entity))
}
