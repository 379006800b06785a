import {
  bucketFromText,
  bucketOf,
  collectionOf,
  defineCollection,
  isDuplicate,
  isId,
  type Store,
  type Tx
} from '@skerry/store'

type InboxDocument = { _id: string; bucket: number; at: Date }

/** A day more than the outbox keeps events, so that a rebuilt stream finds every id it repeats. In seconds. */
export const INBOX_RETENTION_S = 8 * 24 * 3600

/** The ids of events that have had their effect, one for each consumer. */
export const inbox = defineCollection<InboxDocument>({
  name: 'inbox',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [{ key: { at: 1 }, options: { expireAfterSeconds: INBOX_RETENTION_S } }]
})

/** Records in the effect's transaction that `consumer` applied an event. A second time it fails with a duplicate key. */
export async function markApplied(
  store: Store,
  tx: Tx | undefined,
  consumer: string,
  eventId: string,
  entity: string
): Promise<void> {
  const start = entity.slice(0, 26)
  const bucket = isId(start) ? bucketOf(start) : bucketFromText(entity)
  await collectionOf(store.db, inbox).insertOne(
    { _id: `${consumer}:${eventId}`, bucket, at: new Date() },
    tx === undefined ? {} : { session: tx.session }
  )
}

/** Whether an error says that the event had been applied before. */
export function isAlreadyApplied(error: unknown): boolean {
  return isDuplicate(error, inbox.name)
}
