import { NotificationCreated } from '@skerry/contracts'
import { publish } from '@skerry/events'
import { bucketOf, newId, type Store, type Tx } from '@skerry/store'
import { isAnyErased } from '../data/erased.ts'
import { insertNotification, wasNotified } from '../data/notifications.ts'

export type Act = {
  userId: string
  kind: 'follow' | 'like' | 'comment'
  actorId: string
  postId: string | null
  at: Date
}

/** Writes a notification and its event in the transaction of what caused it. Not for own acts, nor of or for who is erased; likes and follows count once. */
export async function notify(store: Store, tx: Tx, act: Act): Promise<void> {
  const { userId, kind, actorId, postId, at: createdAt } = act
  if (userId === actorId) return
  if (await isAnyErased(store, tx, [userId, actorId])) return
  if (kind !== 'comment' && (await wasNotified(store, tx, act))) return
  const bucket = bucketOf(userId)
  const notificationId = newId(bucket)
  await insertNotification(store, tx, { _id: notificationId, bucket, userId, kind, actorId, postId, createdAt })
  publish(store, tx, NotificationCreated, {
    notificationId,
    userId,
    kind,
    actorId,
    postId,
    createdAt: createdAt.toISOString()
  })
}
