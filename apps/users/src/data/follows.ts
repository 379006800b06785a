import { bucketOf, collectionOf, defineCollection, newId, type Store, type Tx } from '@skerry/store'

type EdgeDocument = {
  /** `<ownerId>:<otherId>` */
  _id: string
  /** The owner's. */
  bucket: number
  ownerId: string
  otherId: string
  /** An id made when the follow began: the order of lists. */
  edge: string
}

const edges = (name: string) =>
  defineCollection<EdgeDocument>({
    name,
    shardKey: { bucket: 1, _id: 1 },
    indexes: [{ key: { bucket: 1, ownerId: 1, edge: -1 } }]
  })

/** Whom somebody follows, on the follower's shard. */
export const follows = edges('follows')
/** Who follows somebody, on the followed one's shard. */
export const followers = edges('followers')

export type Follow = { followerId: string; followedId: string }
export type Side = 'followers' | 'following'

const ends = ({ followerId, followedId }: Follow) =>
  [
    [follows, followerId, followedId],
    [followers, followedId, followerId]
  ] as const

/** Adds a follow on both sides; false when it was there. */
export async function insertFollow(store: Store, tx: Tx, follow: Follow): Promise<boolean> {
  const edge = newId(bucketOf(follow.followerId))
  for (const [definition, ownerId, otherId] of ends(follow)) {
    const { upsertedCount } = await collectionOf(store.db, definition).updateOne(
      { bucket: bucketOf(ownerId), _id: `${ownerId}:${otherId}` },
      { $setOnInsert: { ownerId, otherId, edge } },
      { upsert: true, session: tx.session }
    )
    if (upsertedCount === 0) return false
  }
  return true
}

/** Removes a follow on both sides; false when it was not there. */
export async function deleteFollow(store: Store, tx: Tx, follow: Follow): Promise<boolean> {
  for (const [definition, ownerId, otherId] of ends(follow)) {
    const { deletedCount } = await collectionOf(store.db, definition).deleteOne(
      { bucket: bucketOf(ownerId), _id: `${ownerId}:${otherId}` },
      { session: tx.session }
    )
    if (deletedCount === 0) return false
  }
  return true
}

/** One side of somebody's follows, newest first, older than `before`. */
export function findEdges(
  store: Store,
  side: Side,
  ownerId: string,
  before: string | undefined,
  limit: number
): Promise<EdgeDocument[]> {
  return collectionOf(store.db, side === 'followers' ? followers : follows)
    .find(
      { bucket: bucketOf(ownerId), ownerId, ...(before === undefined ? {} : { edge: { $lt: before } }) },
      { sort: { edge: -1 }, limit }
    )
    .toArray()
}
