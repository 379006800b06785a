import { collectionOf, defineCollection, isDuplicate, type Store, type Tx } from '@skerry/store'
import { factOf } from './outbox.ts'
import { bucketOfKey } from './partitions.ts'

type InboxDocument = { _id: string; bucket: number; at: Date }

/** A day more than the outbox keeps events, so that a rebuilt stream finds every id it repeats. In seconds. */
export const INBOX_RETENTION_S = 8 * 24 * 3600

/** The ids of events that have had their effect, one for each consumer and fact. */
export const inbox = defineCollection<InboxDocument>({
  name: 'inbox',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [{ key: { at: 1, _id: 1 } }],
  untargeted: { 'clean-up': 'One instance looks on every shard for what is old.' }
})

/** The key of what a consumer knows of an event; its bucket is that of the entity, so that it lies beside the effect. */
export const keyOf = (consumer: string, eventId: string, entity: string) => ({
  bucket: bucketOfKey(entity),
  _id: `${consumer}:${factOf(eventId)}`
})

/** Records in the effect's transaction that `consumer` applied an event. A second time it fails with a duplicate key. */
export async function markApplied(
  store: Store,
  tx: Tx | undefined,
  consumer: string,
  eventId: string,
  entity: string
): Promise<void> {
  await collectionOf(store.db, inbox).insertOne(
    { ...keyOf(consumer, eventId, entity), at: new Date() },
    tx === undefined ? {} : { session: tx.session }
  )
}

/** The same for several events at once. */
export async function markAllApplied(
  store: Store,
  tx: Tx,
  events: readonly { consumer: string; id: string; entity: string }[]
): Promise<void> {
  const at = new Date()
  await collectionOf(store.db, inbox).insertMany(
    events.map(({ consumer, id, entity }) => ({ ...keyOf(consumer, id, entity), at })),
    { session: tx.session }
  )
}

/** The same for an event that may have been recorded before: a replay's, beside its own record. */
export async function markAlso(
  store: Store,
  tx: Tx | undefined,
  consumer: string,
  eventId: string,
  entity: string
): Promise<void> {
  await collectionOf(store.db, inbox).updateOne(
    keyOf(consumer, eventId, entity),
    { $set: { at: new Date() } },
    tx === undefined ? { upsert: true } : { upsert: true, session: tx.session }
  )
}

/** Whether `consumer` has applied an event: for effects that have no transaction to fail in. */
export async function wasApplied(store: Store, consumer: string, eventId: string, entity: string): Promise<boolean> {
  const found = await collectionOf(store.db, inbox).findOne(keyOf(consumer, eventId, entity), {
    projection: { _id: 1 }
  })
  return found !== null
}

/** Whether an error says that the event had been applied before. */
export function isAlreadyApplied(error: unknown): boolean {
  return isDuplicate(error, inbox.name)
}
