import { bucketOf, collectionOf, defineCollection, insertMissing, type Store, type Tx } from '@skerry/store'
import { AS_STORED } from './common.ts'
import type { ListOptions, PostRef } from './posts.ts'

type FeedDocument = {
  /** `<ownerId>:<postId>`: the one index also gives the order. */
  _id: string
  /** The owner's. */
  bucket: number
  authorId: string
}

export const feeds = defineCollection<FeedDocument>({ name: 'feeds', shardKey: { bucket: 1, _id: 1 }, indexes: [] })

const BY_ID = { _id: 1 } as const

/** What stands in somebody's feed, newest first. */
export async function findEntries(store: Store, ownerId: string, { before, limit }: ListOptions): Promise<PostRef[]> {
  const found = await collectionOf(store.db, feeds)
    .find(
      { bucket: bucketOf(ownerId), _id: { $gte: `${ownerId}:`, $lt: endOf(ownerId, before) } },
      { sort: { _id: -1 }, limit, batchSize: limit + 1, hint: BY_ID, ...AS_STORED }
    )
    .toArray()
  return found.map((entry) => ({ postId: entry._id.slice(27), authorId: entry.authorId }))
}

/** The author's own post, in the post's transaction. */
export async function insertOwnEntry(store: Store, tx: Tx, post: PostRef): Promise<void> {
  await collectionOf(store.db, feeds).insertOne(entryOf(post.authorId, post), { session: tx.session })
}

export async function deleteOwnEntry(store: Store, tx: Tx, post: PostRef): Promise<void> {
  const { authorId, postId } = post
  await collectionOf(store.db, feeds).deleteOne(
    { bucket: bucketOf(authorId), _id: `${authorId}:${postId}` },
    { session: tx.session }
  )
}

/** A post in somebody's feed. */
export type Entry = { ownerId: string; post: PostRef }

/** Entries of one write: enough for a batch of posts of ordinary authors, few enough to be done in time. */
const WRITE = 2_000

/** Puts posts into feeds; what is there already stays. */
export async function insertEntries(store: Store, entries: readonly Entry[]): Promise<void> {
  for (let i = 0; i < entries.length; i += WRITE)
    await insertMissing(
      collectionOf(store.db, feeds),
      entries.slice(i, i + WRITE).map(({ ownerId, post }) => entryOf(ownerId, post))
    )
}

/** Takes posts out of feeds. */
export async function deleteEntries(store: Store, entries: readonly Entry[]): Promise<void> {
  for (let i = 0; i < entries.length; i += WRITE) {
    const some = entries.slice(i, i + WRITE).map(({ ownerId, post }) => entryOf(ownerId, post))
    await collectionOf(store.db, feeds).deleteMany({
      bucket: { $in: [...new Set(some.map(({ bucket }) => bucket))] },
      _id: { $in: some.map(({ _id }) => _id) }
    })
  }
}

/** Takes all of an author's posts out of a feed. */
export async function deleteEntriesOf(store: Store, ownerId: string, authorId: string): Promise<void> {
  await collectionOf(store.db, feeds).deleteMany({
    bucket: bucketOf(ownerId),
    _id: { $gte: `${ownerId}:`, $lt: `${ownerId};` },
    authorId
  })
}

/** Empties a feed. */
export async function deleteFeed(store: Store, ownerId: string): Promise<void> {
  await collectionOf(store.db, feeds).deleteMany({
    bucket: bucketOf(ownerId),
    _id: { $gte: `${ownerId}:`, $lt: `${ownerId};` }
  })
}

/** Keeps the newest `keep` entries of a feed. */
export async function trimFeed(store: Store, ownerId: string, keep: number): Promise<void> {
  const bucket = bucketOf(ownerId)
  const [oldest] = await collectionOf(store.db, feeds)
    .find(
      { bucket, _id: { $gte: `${ownerId}:`, $lt: `${ownerId};` } },
      { sort: { _id: -1 }, skip: keep, limit: 1, projection: { _id: 1 }, hint: BY_ID }
    )
    .toArray()
  if (oldest === undefined) return
  await collectionOf(store.db, feeds).deleteMany({ bucket, _id: { $gte: `${ownerId}:`, $lt: `${oldest._id};` } })
}

function entryOf(ownerId: string, post: PostRef): FeedDocument {
  return { _id: `${ownerId}:${post.postId}`, bucket: bucketOf(ownerId), authorId: post.authorId }
}

function endOf(ownerId: string, before: string | undefined): string {
  return before === undefined ? `${ownerId};` : `${ownerId}:${before}`
}
