import { bucketOf, collectionOf, defineCollection, type Store } from '@skerry/store'
import { AS_STORED, bucketsOf } from './common.ts'

type FollowDocument = {
  /** `<followerId>:<followedId>` */
  _id: string
  /** The follower's. */
  bucket: number
  followerId: string
  followedId: string
  /** The posts of this author are merged at read time. Set when fan-out on write may have left something out; never taken back. */
  merged?: true
}

type FollowerDocument = {
  /** `<followedId>:<followerId>` */
  _id: string
  /** The followed one's. */
  bucket: number
}

const MERGED = { bucket: 1, followerId: 1, merged: 1 } as const

/** Whom somebody follows, from `users.follow.*`: on the follower's shard, for reading feeds. */
export const follows = defineCollection<FollowDocument>({
  name: 'follows',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [{ key: MERGED, options: { partialFilterExpression: { merged: true } } }]
})

/** Who follows somebody: the same on the author's shard, for filling feeds. */
export const followers = defineCollection<FollowerDocument>({
  name: 'followers',
  shardKey: { bucket: 1, _id: 1 },
  // Counting goes by the index alone.
  indexes: [{ key: { bucket: 1, _id: 1 } }]
})

export type Follow = { followerId: string; followedId: string }

/** Records a follow on both shards. Resolves when both are kept by a majority, so that whoever reads after it sees them. */
export async function saveFollow(store: Store, follow: Follow): Promise<void> {
  const { followerId, followedId } = follow
  await Promise.all([
    collectionOf(store.db, follows).updateOne(
      { bucket: bucketOf(followerId), _id: `${followerId}:${followedId}` },
      { $setOnInsert: { followerId, followedId } },
      { upsert: true }
    ),
    collectionOf(store.db, followers).updateOne(
      { bucket: bucketOf(followedId), _id: `${followedId}:${followerId}` },
      { $setOnInsert: {} },
      { upsert: true }
    )
  ])
}

/** Removes a follow on both shards. */
export async function deleteFollow(store: Store, { followerId, followedId }: Follow): Promise<void> {
  await Promise.all([
    collectionOf(store.db, follows).deleteOne({ bucket: bucketOf(followerId), _id: `${followerId}:${followedId}` }),
    collectionOf(store.db, followers).deleteOne({ bucket: bucketOf(followedId), _id: `${followedId}:${followerId}` })
  ])
}

/** Which of these `<followerId>:<followedId>` there are. */
export async function findFollowed(store: Store, pairs: readonly string[]): Promise<Map<string, true>> {
  const found = await collectionOf(store.db, follows)
    .find(
      { bucket: { $in: bucketsOf(pairs) }, _id: { $in: [...pairs] } },
      { projection: { _id: 1 }, hint: { _id: 1 }, batchSize: pairs.length + 1, ...AS_STORED }
    )
    .toArray()
  return new Map(found.map((follow) => [follow._id, true]))
}

/** The authors somebody follows whose posts are merged at read time. */
export async function findMerged(store: Store, followerId: string): Promise<string[]> {
  const found = await collectionOf(store.db, follows)
    .find({ bucket: bucketOf(followerId), followerId, merged: true }, { hint: MERGED, projection: { followedId: 1 } })
    .toArray()
  return found.map((follow) => follow.followedId)
}

/** Marks follows of one author as merged at read time. */
export async function markMerged(store: Store, followedId: string, followerIds: readonly string[]): Promise<void> {
  if (followerIds.length === 0) return
  await collectionOf(store.db, follows).updateMany(
    {
      bucket: { $in: bucketsOf(followerIds) },
      _id: { $in: followerIds.map((id) => `${id}:${followedId}`) }
    },
    { $set: { merged: true } },
    { hint: { _id: 1 } }
  )
}

/** How many follow somebody, counted no further than `limit`. */
export function countFollowers(store: Store, followedId: string, limit: number): Promise<number> {
  return collectionOf(store.db, followers).countDocuments(
    { bucket: bucketOf(followedId), _id: { $gte: `${followedId}:`, $lt: `${followedId};` } },
    { limit, hint: { bucket: 1, _id: 1 } }
  )
}

/** Followers of somebody in the order of their ids: the next `limit` after one. */
export async function findFollowers(
  store: Store,
  followedId: string,
  { after, limit }: { after: string | undefined; limit: number }
): Promise<string[]> {
  const from = after === undefined ? { $gte: `${followedId}:` } : { $gt: `${followedId}:${after}` }
  const found = await collectionOf(store.db, followers)
    .find(
      { bucket: bucketOf(followedId), _id: { ...from, $lt: `${followedId};` } },
      { sort: { _id: 1 }, limit, batchSize: limit + 1, projection: { _id: 1 }, hint: { bucket: 1, _id: 1 } }
    )
    .toArray()
  return found.map((follower) => follower._id.slice(27))
}

/** All followers of some authors, by one query; undefined where they are more than `limit` together. */
export async function findFollowersOf(
  store: Store,
  followedIds: readonly string[],
  limit: number
): Promise<Map<string, string[]> | undefined> {
  const ranges = followedIds.map((id) => ({ bucket: bucketOf(id), _id: { $gte: `${id}:`, $lt: `${id};` } }))
  const found = await collectionOf(store.db, followers)
    .find(ranges.length === 1 ? ranges[0]! : { $or: ranges }, {
      ...{ limit: limit + 1, batchSize: limit + 2 },
      ...{ projection: { _id: 1 }, hint: { bucket: 1, _id: 1 }, ...AS_STORED }
    })
    .toArray()
  if (found.length > limit) return undefined
  const byAuthor = new Map<string, string[]>(followedIds.map((id) => [id, []]))
  for (const { _id } of found) byAuthor.get(_id.slice(0, 26))!.push(_id.slice(27))
  return byAuthor
}

/** Which of these still follow somebody. */
export async function findStillFollowing(
  store: Store,
  followedId: string,
  followerIds: readonly string[]
): Promise<Set<string>> {
  const found = await collectionOf(store.db, followers)
    .find(
      { bucket: bucketOf(followedId), _id: { $in: followerIds.map((id) => `${followedId}:${id}`) } },
      { projection: { _id: 1 }, hint: { bucket: 1, _id: 1 }, batchSize: followerIds.length + 1 }
    )
    .toArray()
  return new Set(found.map((follower) => follower._id.slice(27)))
}

/** Whom somebody follows: up to `limit`. */
export async function findFollowedBy(store: Store, followerId: string, limit: number): Promise<string[]> {
  const found = await collectionOf(store.db, follows)
    .find(
      { bucket: bucketOf(followerId), _id: { $gte: `${followerId}:`, $lt: `${followerId};` } },
      { sort: { _id: 1 }, limit, batchSize: limit + 1, hint: { _id: 1 } }
    )
    .toArray()
  return found.map((follow) => follow.followedId)
}
