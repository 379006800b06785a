import { bucketOf, collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'

type ErasedDocument = { _id: string; bucket: number; at: Date }

/** Users who were erased: what is told of them late is not taken in any more. Nothing but their ids. */
export const erased = defineCollection<ErasedDocument>({ name: 'erased', shardKey: { bucket: 1, _id: 1 }, indexes: [] })

export async function markErased(store: Store, userId: string, at: Date): Promise<void> {
  await collectionOf(store.db, erased).updateOne(
    { bucket: bucketOf(userId), _id: userId },
    { $setOnInsert: { at } },
    { upsert: true }
  )
}

/** Whether one of these users was erased. */
export async function isAnyErased(store: Store, tx: Tx, userIds: readonly string[]): Promise<boolean> {
  const found = await collectionOf(store.db, erased).findOne(
    { bucket: { $in: [...new Set(userIds.map(bucketOf))] }, _id: { $in: [...userIds] } },
    { projection: { _id: 1 }, session: tx.session, hint: { _id: 1 } }
  )
  return found !== null
}
