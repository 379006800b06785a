import { collectionOf, defineCollection, insertMissing, isDuplicate, type Store, type Tx } from '@skerry/store'
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

/** An event that a consumer has applied. */
export type Applied = { consumer: string; id: string; entity: string }

/** Records in the effect's transaction which events were applied. A second time it fails with a duplicate key. */
export async function markApplied(store: Store, tx: Tx, events: readonly Applied[]): Promise<void> {
  const documents = collectionOf(store.db, inbox)
  const [first, ...more] = events.map((event) => documentOf(event))
  if (first === undefined) return
  const { session } = tx
  if (more.length === 0) await documents.insertOne(first, { session })
  else await documents.insertMany([first, ...more], { session })
}

/** The same for an event that may have been recorded before: a replay's, beside its own record. */
export async function markAlso(store: Store, tx: Tx, event: Applied): Promise<void> {
  const { at, ...key } = documentOf(event)
  await collectionOf(store.db, inbox).updateOne(key, { $set: { at } }, { upsert: true, session: tx.session })
}

/** Records events whose effects have no transaction to fail in; those that are there stay. */
export async function keepApplied(store: Store, events: readonly Applied[]): Promise<void> {
  await insertMissing(collectionOf(store.db, inbox), events.map(documentOf))
}

/** Which of these were applied, by their keys: for effects that have no transaction to fail in. */
export async function findApplied(store: Store, events: readonly Applied[]): Promise<Set<string>> {
  if (events.length === 0) return new Set()
  const keys = events.map(({ consumer, id, entity }) => keyOf(consumer, id, entity))
  const found = await collectionOf(store.db, inbox)
    .find(
      { bucket: { $in: [...new Set(keys.map(({ bucket }) => bucket))] }, _id: { $in: keys.map(({ _id }) => _id) } },
      { projection: { _id: 1 }, hint: { _id: 1 }, batchSize: keys.length + 1 }
    )
    .toArray()
  return new Set(found.map(({ _id }) => _id))
}

function documentOf({ consumer, id, entity }: Applied): InboxDocument {
  return { ...keyOf(consumer, id, entity), at: new Date() }
}

/** Whether an error says that the event had been applied before. */
export function isAlreadyApplied(error: unknown): boolean {
  return isDuplicate(error, inbox.name)
}
