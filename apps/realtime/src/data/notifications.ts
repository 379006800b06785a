import { bucketOf, collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'

export type Notification = {
  _id: string
  bucket: number
  userId: string
  /** follow, like, comment */
  kind: string
  actorId: string
  postId: string | null
  createdAt: Date
}

const KEPT_S = 90 * 24 * 3600

/** What users are to be told of, for 90 days. */
export const notifications = defineCollection<Notification>({
  name: 'notifications',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [
    { key: { bucket: 1, userId: 1, _id: -1 } },
    { key: { bucket: 1, userId: 1, actorId: 1, kind: 1, postId: 1 } },
    { key: { actorId: 1, _id: 1 } },
    { key: { createdAt: 1 }, options: { expireAfterSeconds: KEPT_S } }
  ],
  untargeted: { 'notifications-by': 'What others were told of somebody who is erased is on every shard.' }
})

export async function insertNotification(store: Store, tx: Tx, notification: Notification): Promise<void> {
  await collectionOf(store.db, notifications).insertOne(notification, { session: tx.session })
}

/** Whether the user was told of this act of the actor before. */
export async function wasNotified(
  store: Store,
  tx: Tx,
  about: Pick<Notification, 'userId' | 'kind' | 'actorId' | 'postId'>
): Promise<boolean> {
  const { userId, actorId, kind, postId } = about
  const found = await collectionOf(store.db, notifications).findOne(
    { bucket: bucketOf(userId), userId, actorId, kind, postId },
    { projection: { _id: 1 }, session: tx.session }
  )
  return found !== null
}

/** What somebody was told, newest first. */
export function findNotifications(
  store: Store,
  userId: string,
  { before, limit }: { before: string | undefined; limit: number }
): Promise<Notification[]> {
  return collectionOf(store.db, notifications)
    .find(
      { bucket: bucketOf(userId), userId, ...(before === undefined ? {} : { _id: { $lt: before } }) },
      { sort: { _id: -1 }, limit, batchSize: limit + 1 }
    )
    .toArray()
}

/** Removes what somebody was told, and what others were told of them. Answers how many. */
export async function deleteNotifications(store: Store, userId: string): Promise<number> {
  const documents = collectionOf(store.db, notifications)
  const theirs = await documents.deleteMany({ bucket: bucketOf(userId), userId })
  const ofThem = await documents.deleteMany({ actorId: userId }, { comment: 'notifications-by' })
  return theirs.deletedCount + ofThem.deletedCount
}
