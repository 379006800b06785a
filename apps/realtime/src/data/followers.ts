import { bucketOf, collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'

/** `<followed>:<follower>`, in the bucket of the followed: all of somebody's followers lie together, in order. */
type FollowerDocument = { _id: string; bucket: number }

/** Who follows whom, learned from `users.follow.*`. */
export const followers = defineCollection<FollowerDocument>({
  name: 'followers',
  shardKey: { bucket: 1, _id: 1 },
  indexes: []
})

const keyOf = (followedId: string, followerId: string) => ({
  bucket: bucketOf(followedId),
  _id: `${followedId}:${followerId}`
})

export async function putFollower(store: Store, tx: Tx, followedId: string, followerId: string): Promise<void> {
  const key = keyOf(followedId, followerId)
  await collectionOf(store.db, followers).updateOne(key, { $setOnInsert: key }, { upsert: true, session: tx.session })
}

export async function removeFollower(store: Store, tx: Tx, followedId: string, followerId: string): Promise<void> {
  await collectionOf(store.db, followers).deleteOne(keyOf(followedId, followerId), { session: tx.session })
}

/** Up to `limit` follower ids after `after`, in order. */
export async function pageOfFollowers(
  store: Store,
  followedId: string,
  after: string | undefined,
  limit: number
): Promise<string[]> {
  const documents = await collectionOf(store.db, followers)
    .find(
      { bucket: bucketOf(followedId), _id: { $gt: `${followedId}:${after ?? ''}`, $lt: `${followedId};` } },
      { projection: { _id: 1 }, sort: { _id: 1 }, limit, batchSize: limit + 1, maxTimeMS: 5_000 }
    )
    .toArray()
  return documents.map((d) => d._id.slice(followedId.length + 1))
}

/** All followers of some users, by one query; undefined where they are more than `limit` together. */
export async function followersOfAll(
  store: Store,
  followedIds: readonly string[],
  limit: number
): Promise<Map<string, string[]> | undefined> {
  const byFollowed = new Map<string, string[]>(followedIds.map((id) => [id, []]))
  if (followedIds.length === 0) return byFollowed
  const ranges = followedIds.map((id) => ({ bucket: bucketOf(id), _id: { $gt: `${id}:`, $lt: `${id};` } }))
  const documents = await collectionOf(store.db, followers)
    .find(ranges.length === 1 ? ranges[0]! : { $or: ranges }, {
      ...{ projection: { _id: 1 }, hint: { _id: 1 }, maxTimeMS: 5_000 },
      ...{ limit: limit + 1, batchSize: limit + 2 }
    })
    .toArray()
  if (documents.length > limit) return undefined
  for (const { _id } of documents) {
    const [followedId, followerId] = _id.split(':') as [string, string]
    byFollowed.get(followedId)!.push(followerId)
  }
  return byFollowed
}

/** Removes all who follow somebody. Answers how many. */
export async function deleteFollowersOf(store: Store, followedId: string): Promise<number> {
  const { deletedCount } = await collectionOf(store.db, followers).deleteMany({
    bucket: bucketOf(followedId),
    _id: { $gte: `${followedId}:`, $lt: `${followedId};` }
  })
  return deletedCount
}
