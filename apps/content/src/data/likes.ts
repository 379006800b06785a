import { collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'
import { AS_STORED, bucketsOf } from './common.ts'

type LikeDocument = {
  /** `<userId>:<postId>` */
  _id: string
  /** The liker's. */
  bucket: number
  at: Date
}

/** Who likes what: with the liker, so that "which of these posts do I like" asks one shard. */
export const likes = defineCollection<LikeDocument>({ name: 'likes', shardKey: { bucket: 1, _id: 1 }, indexes: [] })

export type Liker = { userId: string; bucket: number }

/** Which of these `<userId>:<postId>` there are. */
export async function findLiked(store: Store, pairs: readonly string[]): Promise<Map<string, true>> {
  const found = await collectionOf(store.db, likes)
    .find(
      { bucket: { $in: bucketsOf(pairs) }, _id: { $in: [...pairs] } },
      { projection: { _id: 1 }, hint: { _id: 1 }, batchSize: pairs.length + 1, ...AS_STORED }
    )
    .toArray()
  return new Map(found.map((like) => [like._id, true]))
}

/** False when it was there before. */
export async function insertLike(store: Store, tx: Tx, liker: Liker, postId: string, at: Date): Promise<boolean> {
  const done = await collectionOf(store.db, likes).updateOne(
    { bucket: liker.bucket, _id: `${liker.userId}:${postId}` },
    { $setOnInsert: { at } },
    { session: tx.session, upsert: true }
  )
  return done.upsertedCount === 1
}

/** False when there was none. */
export async function deleteLike(store: Store, tx: Tx, liker: Liker, postId: string): Promise<boolean> {
  const done = await collectionOf(store.db, likes).deleteOne(
    { bucket: liker.bucket, _id: `${liker.userId}:${postId}` },
    { session: tx.session }
  )
  return done.deletedCount === 1
}

/** The ids of posts somebody likes, in their order, after one. */
export async function findLikesOf(
  store: Store,
  liker: Liker,
  { after, limit }: { after: string | undefined; limit: number }
): Promise<{ postId: string; at: Date }[]> {
  const from = after === undefined ? { $gte: `${liker.userId}:` } : { $gt: `${liker.userId}:${after}` }
  const found = await collectionOf(store.db, likes)
    .find(
      { bucket: liker.bucket, _id: { ...from, $lt: `${liker.userId};` } },
      { sort: { _id: 1 }, limit, batchSize: limit + 1, hint: { _id: 1 } }
    )
    .toArray()
  return found.map((like) => ({ postId: like._id.slice(27), at: like.at }))
}
