import { collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'
import type { ListOptions } from './posts.ts'

export type CommentDocument = {
  /** Carries the post's bucket, so that the list and the comment itself are found on one shard. */
  _id: string
  bucket: number
  postId: string
  authorId: string
  text: string
  createdAt: Date
  live?: true
  deletedAt?: Date
}

/** For what concerns one person: erasing and exporting. */
const BY_AUTHOR = { authorId: 1, _id: -1 } as const
const BY_POST = { bucket: 1, postId: 1, _id: -1 } as const

export const comments = defineCollection<CommentDocument>({
  name: 'comments',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [
    { key: BY_POST, options: { partialFilterExpression: { live: true } } },
    { key: BY_AUTHOR, options: { partialFilterExpression: { live: true } } }
  ],
  untargeted: {
    'comments-by': "They lie with the posts: an author's are looked for on every shard, to erase or export them."
  }
})

/** The comment, or what is left of it (no `live`). */
export async function findCommentOrTombstone(
  store: Store,
  id: string,
  bucket: number
): Promise<CommentDocument | undefined> {
  const found = await collectionOf(store.db, comments).findOne({ bucket, _id: id }, { hint: { _id: 1 } })
  return found ?? undefined
}

/** A post's comments, newest first. */
export function findCommentsOf(
  store: Store,
  post: { postId: string; bucket: number },
  { before, limit }: ListOptions
): Promise<CommentDocument[]> {
  const older = before === undefined ? {} : { _id: { $lt: before } }
  return collectionOf(store.db, comments)
    .find(
      { bucket: post.bucket, postId: post.postId, live: true, ...older },
      { sort: { _id: -1 }, limit, batchSize: limit + 1, hint: BY_POST }
    )
    .toArray()
}

/** What somebody wrote under the posts of all, newest first. */
export function findCommentsBy(
  store: Store,
  authorId: string,
  { before, limit }: ListOptions
): Promise<CommentDocument[]> {
  const older = before === undefined ? {} : { _id: { $lt: before } }
  return collectionOf(store.db, comments)
    .find(
      { authorId, live: true, ...older },
      { sort: { _id: -1 }, limit, batchSize: limit + 1, hint: BY_AUTHOR, comment: 'comments-by' }
    )
    .toArray()
}

export async function insertComment(store: Store, tx: Tx, comment: CommentDocument): Promise<void> {
  await collectionOf(store.db, comments).insertOne(comment, { session: tx.session })
}

/** Leaves a tombstone. False when it was gone already. */
export async function buryComment(
  store: Store,
  tx: Tx,
  comment: { _id: string; bucket: number },
  at: Date
): Promise<boolean> {
  const done = await collectionOf(store.db, comments).updateOne(
    { bucket: comment.bucket, _id: comment._id, live: true },
    { $set: { text: '', deletedAt: at }, $unset: { live: 1 } },
    { session: tx.session, hint: { _id: 1 } }
  )
  return done.modifiedCount === 1
}

/**
 * Leaves tombstones for comments of a post that is gone, a bounded number at a time.
 *
 * @returns how many; less than `limit` says that none are left
 */
export async function buryCommentsOf(
  store: Store,
  post: { postId: string; bucket: number },
  at: Date,
  limit: number
): Promise<number> {
  const found = await collectionOf(store.db, comments)
    .find(
      { bucket: post.bucket, postId: post.postId, live: true },
      { sort: { _id: -1 }, limit, projection: { _id: 1 }, hint: BY_POST }
    )
    .toArray()
  if (found.length === 0) return 0
  await collectionOf(store.db, comments).updateMany(
    { bucket: post.bucket, _id: { $in: found.map((c) => c._id) } },
    { $set: { text: '', deletedAt: at }, $unset: { live: 1 } },
    { hint: { _id: 1 } }
  )
  return found.length
}
