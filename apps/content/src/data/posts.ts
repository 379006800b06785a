import { collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'
import { AS_STORED, bucketsOf } from './common.ts'

export type PostDocument = {
  _id: string
  /** The author's. */
  bucket: number
  authorId: string
  title: string | null
  summary: string | null
  text: string
  tags: string[]
  counts: { likes: number; comments: number }
  /** Grows with every edit by the author, and with nothing else. */
  version: number
  createdAt: Date
  updatedAt: Date
  /** Absent on a tombstone: the partial indexes hold only what is live. */
  live?: true
  deletedAt?: Date
}

const BY_AUTHOR = { bucket: 1, authorId: 1, _id: -1 } as const
const NEWEST = { live: 1, _id: -1 } as const
const BY_ID = { _id: 1 } as const

export const posts = defineCollection<PostDocument>({
  name: 'posts',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [
    { key: BY_AUTHOR, options: { partialFilterExpression: { live: true } } },
    { key: NEWEST, options: { partialFilterExpression: { live: true } } }
  ],
  untargeted: {
    'posts-all':
      'The newest of everybody are on every shard; each answers one page from its index (see docs/content.md).'
  }
})

/** The post unless it is gone. */
export async function findPost(store: Store, id: string, bucket: number, tx?: Tx): Promise<PostDocument | undefined> {
  const found = await findPostOrTombstone(store, id, bucket, tx)
  return found?.live === true ? found : undefined
}

/** The post, or what is left of it. */
export async function findPostOrTombstone(
  store: Store,
  id: string,
  bucket: number,
  tx?: Tx
): Promise<PostDocument | undefined> {
  const found = await collectionOf(store.db, posts).findOne(
    { bucket, _id: id },
    { hint: BY_ID, ...(tx === undefined ? {} : { session: tx.session }) }
  )
  return found ?? undefined
}

/** The posts of these ids that are not gone, by id. */
export async function findPosts(store: Store, ids: readonly string[]): Promise<Map<string, PostDocument>> {
  const byId = new Map<string, PostDocument>()
  const found = await collectionOf(store.db, posts)
    .find(
      { bucket: { $in: bucketsOf(ids) }, _id: { $in: [...ids] } },
      { hint: BY_ID, batchSize: ids.length + 1, ...AS_STORED }
    )
    .toArray()
  for (const post of found) if (post.live === true) byId.set(post._id, post)
  return byId
}

export type ListOptions = { before: string | undefined; limit: number }

/** An author's posts, newest first; with `tags` only those that carry one of them. */
export function findPostsOf(
  store: Store,
  author: { authorId: string; bucket: number },
  { before, limit, tags }: ListOptions & { tags?: readonly string[] | undefined }
): Promise<PostDocument[]> {
  const { authorId, bucket } = author
  return collectionOf(store.db, posts)
    .find(
      {
        bucket,
        authorId,
        live: true,
        ...olderThan(before),
        ...(tags === undefined ? {} : { tags: { $in: [...tags] } })
      },
      { sort: { _id: -1 }, limit, batchSize: limit + 1, hint: BY_AUTHOR, maxTimeMS: 5_000, ...AS_STORED }
    )
    .toArray()
}

/** Everybody's posts, newest first. */
export function findNewestPosts(store: Store, { before, limit }: ListOptions): Promise<PostDocument[]> {
  return collectionOf(store.db, posts)
    .find(
      { live: true, ...olderThan(before) },
      {
        sort: { _id: -1 },
        limit,
        batchSize: limit + 1,
        hint: NEWEST,
        comment: 'posts-all',
        maxTimeMS: 5_000,
        ...AS_STORED
      }
    )
    .toArray()
}

export type PostRef = { postId: string; authorId: string }

/** The newest posts of several authors together, as references: one index range an author, merged by the database. */
export async function findNewestRefs(
  store: Store,
  authors: readonly { authorId: string; bucket: number }[],
  { before, limit }: ListOptions
): Promise<PostRef[]> {
  if (authors.length === 0) return []
  const branches = authors.map(({ authorId, bucket }) => ({
    bucket,
    authorId,
    live: true as const,
    ...olderThan(before)
  }))
  const found = await collectionOf(store.db, posts)
    .find(branches.length === 1 ? branches[0]! : { $or: branches }, {
      sort: { _id: -1 },
      limit,
      batchSize: limit + 1,
      projection: { authorId: 1 },
      maxTimeMS: 5_000
    })
    .toArray()
  return found.map((post) => ({ postId: post._id, authorId: post.authorId }))
}

export async function insertPost(store: Store, tx: Tx, post: PostDocument): Promise<void> {
  await collectionOf(store.db, posts).insertOne(post, { session: tx.session })
}

export type PostEdit = Partial<Pick<PostDocument, 'title' | 'summary' | 'text' | 'tags'>>

/** Applies an author's edit, which makes a new version. */
export async function editPost(
  store: Store,
  tx: Tx,
  post: { _id: string; bucket: number },
  edit: PostEdit,
  updatedAt: Date
): Promise<void> {
  await collectionOf(store.db, posts).updateOne(
    { bucket: post.bucket, _id: post._id },
    { $set: { ...edit, updatedAt }, $inc: { version: 1 } },
    { session: tx.session }
  )
}

/** Leaves a tombstone: that it was, whose it was and when it went, and nothing of what it said. */
export async function buryPost(store: Store, tx: Tx, post: { _id: string; bucket: number }, at: Date): Promise<void> {
  await collectionOf(store.db, posts).updateOne(
    { bucket: post.bucket, _id: post._id },
    {
      $set: { text: '', title: null, summary: null, tags: [], updatedAt: at, deletedAt: at },
      $unset: { live: 1 },
      $inc: { version: 1 }
    },
    { session: tx.session }
  )
}

/**
 * Adds to a count of a post that is not gone.
 *
 * @returns whose post it is, or undefined when it is gone
 */
export async function countOnPost(
  store: Store,
  tx: Tx,
  post: { _id: string; bucket: number },
  what: 'likes' | 'comments',
  by: 1 | -1
): Promise<string | undefined> {
  const found = await collectionOf(store.db, posts).findOneAndUpdate(
    { bucket: post.bucket, _id: post._id, live: true },
    { $inc: { [`counts.${what}`]: by } },
    { session: tx.session, projection: { authorId: 1 }, hint: BY_ID }
  )
  return found?.authorId
}

function olderThan(before: string | undefined): { _id?: { $lt: string } } {
  return before === undefined ? {} : { _id: { $lt: before } }
}
