import { bucketOf, collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'

export type CommentDocument = {
  _id: string
  /** The post's. */
  bucket: number
  postId: string
  /** The integer that front ends know it by. */
  number?: number
  authorId?: string
  body?: string
  createdAt?: Date
  /** Absent on what was deleted. */
  live?: true
}

/** A comment that can be shown. */
export type Comment = Required<CommentDocument>

const BY_POST = { bucket: 1, postId: 1, _id: -1 } as const
const BY_NUMBER = { bucket: 1, postId: 1, number: 1 } as const
const BY_AUTHOR = { authorId: 1, _id: -1 } as const
const LIVE = { partialFilterExpression: { live: true } }

export const comments = defineCollection<CommentDocument>({
  name: 'comments',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [
    { key: BY_POST, options: LIVE },
    { key: BY_NUMBER, options: LIVE },
    { key: BY_AUTHOR, options: LIVE },
    { key: { bucket: 1, postId: 1 } }
  ],
  untargeted: {
    'comments-by-author': 'Comments are with their posts, on any shard; read when somebody is erased or exported.'
  }
})

/** Adds a comment unless it is there or was deleted. */
export async function insertComment(store: Store, tx: Tx, comment: Omit<Comment, 'bucket' | 'live'>): Promise<void> {
  const { _id, ...members } = comment
  await collectionOf(store.db, comments).updateOne(
    { bucket: bucketOf(_id), _id },
    { $setOnInsert: { ...members, live: true } },
    { upsert: true, hint: { _id: 1 }, session: tx.session }
  )
}

/** Leaves a tombstone, also of a comment that is not known yet. */
export async function buryComment(store: Store, tx: Tx, comment: { _id: string; postId: string }): Promise<void> {
  const { _id, postId } = comment
  await collectionOf(store.db, comments).updateOne(
    { bucket: bucketOf(_id), _id },
    { $set: { postId }, $unset: { number: 1, authorId: 1, body: 1, createdAt: 1, live: 1 } },
    { upsert: true, hint: { _id: 1 }, session: tx.session }
  )
}

/** The newest comments of a post, newest first. */
export async function findComments(store: Store, postId: string, limit: number): Promise<Comment[]> {
  const found = await collectionOf(store.db, comments)
    .find({ bucket: bucketOf(postId), postId, live: true }, { sort: { _id: -1 }, limit, hint: BY_POST })
    .toArray()
  return found as Comment[]
}

/** What somebody has written, newest first, from `before` on. */
export async function findCommentsBy(
  store: Store,
  authorId: string,
  { before, limit }: { before: string | undefined; limit: number }
): Promise<Comment[]> {
  const found = await collectionOf(store.db, comments)
    .find(
      { authorId, live: true, ...(before === undefined ? {} : { _id: { $lt: before } }) },
      { sort: { _id: -1 }, limit, hint: BY_AUTHOR, comment: 'comments-by-author' }
    )
    .toArray()
  return found as Comment[]
}

export async function findComment(store: Store, postId: string, number: number): Promise<Comment | undefined> {
  const found = await collectionOf(store.db, comments).findOne(
    { bucket: bucketOf(postId), postId, number, live: true },
    { hint: BY_NUMBER }
  )
  return (found as Comment | null) ?? undefined
}

/** Deletes all that is kept of a deleted post's comments. */
export async function deleteComments(store: Store, postId: string): Promise<void> {
  await collectionOf(store.db, comments).deleteMany({ bucket: bucketOf(postId), postId })
}
