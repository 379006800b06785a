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
    { key: { createdAt: 1 }, options: { expireAfterSeconds: KEPT_S } }
  ]
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
