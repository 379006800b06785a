import { bucketOf, collectionOf, defineCollection, isDuplicate, newId, type Store } from '@skerry/store'

/**
 * One stretch of a user's activity. `since` names it; `marked` says that the log has the `resync` message which tells every device that
 * what happened before this stretch was not written.
 */
export type Subscriber = { _id: string; bucket: number; activeUntil: Date; since: string; marked: boolean }

/** Until when users are written to. Documents of those who stay away go after a week. */
export const subscribers = defineCollection<Subscriber>({
  name: 'subscribers',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [{ key: { activeUntil: 1 }, options: { expireAfterSeconds: 7 * 24 * 3600 } }]
})

const keyOf = (userId: string) => ({ bucket: bucketOf(userId), _id: userId })

export async function findSubscriber(store: Store, userId: string): Promise<Subscriber | null> {
  return collectionOf(store.db, subscribers).findOne(keyOf(userId), { maxTimeMS: 3_000 })
}

/** Begins a new stretch unless another stream of the user has just done so; resolves with the one that holds. */
export async function beginActivity(store: Store, userId: string, now: Date, activeUntil: Date): Promise<Subscriber> {
  const documents = collectionOf(store.db, subscribers)
  const key = keyOf(userId)
  const since = newId(key.bucket)
  try {
    await documents.updateOne(
      { ...key, activeUntil: { $lte: now } },
      { $set: { activeUntil, since, marked: false } },
      { upsert: true }
    )
  } catch (error) {
    // The document is there and not lapsed: another stream was quicker.
    if (!isDuplicate(error, subscribers.name)) throw error
  }
  const held = await findSubscriber(store, userId)
  if (held === null) throw new Error('a subscriber vanished while it was made')
  return held
}

export async function extendActivity(store: Store, userId: string, activeUntil: Date): Promise<void> {
  await collectionOf(store.db, subscribers).updateOne(keyOf(userId), { $max: { activeUntil } })
}

export async function markActivity(store: Store, userId: string, since: string): Promise<void> {
  await collectionOf(store.db, subscribers).updateOne({ ...keyOf(userId), since }, { $set: { marked: true } })
}

/** Those of the given users (a few hundred at most) who are active after `time`. */
export async function activeAmong(store: Store, userIds: readonly string[], time: Date): Promise<string[]> {
  if (userIds.length === 0) return []
  const buckets = [...new Set(userIds.map(bucketOf))]
  const documents = await collectionOf(store.db, subscribers)
    .find(
      { bucket: { $in: buckets }, _id: { $in: [...userIds] }, activeUntil: { $gt: time } },
      { projection: { _id: 1 }, batchSize: userIds.length + 1, maxTimeMS: 5_000 }
    )
    .toArray()
  return documents.map((d) => d._id)
}

export async function deleteSubscriber(store: Store, userId: string): Promise<void> {
  await collectionOf(store.db, subscribers).deleteOne(keyOf(userId))
}
