import { bucketOf, collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'
import type { Filter } from 'mongodb'
import { bucketsOf } from './common.ts'

/** What a post says, as its event or the API's answer brings it. */
export type PostState = {
  postId: string
  authorId: string
  title: string | null
  summary: string | null
  text: string
  tags: string[]
  createdAt: string
  updatedAt: string
  version: number
}

export type ArticleDocument = {
  /** The post's id. */
  _id: string
  bucket: number
  authorId?: string
  slug?: string
  title?: string
  description?: string
  body?: string
  tags?: string[]
  createdAt?: Date
  updatedAt?: Date
  /** The post's version; 0 while only likes of it are known. */
  version: number
  favorites: number
  /** It is an article, and there. */
  live?: true
  /** It was deleted. */
  gone?: true
}

/** An article that can be shown. */
export type Article = Required<Omit<ArticleDocument, 'gone'>>

const NEWEST = { live: 1, _id: -1 } as const
const BY_AUTHOR = { authorId: 1, _id: -1, bucket: 1 } as const
const BY_TAG = { tags: 1, _id: -1 } as const
const LIVE = { partialFilterExpression: { live: true } }

export const articles = defineCollection<ArticleDocument>({
  name: 'articles',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [
    { key: NEWEST, options: LIVE },
    { key: BY_AUTHOR, options: LIVE },
    { key: BY_TAG, options: LIVE }
  ],
  untargeted: {
    'articles-all': 'The newest of everybody are on every shard; each answers one page from its index.',
    'articles-tags': 'The same for the tags of the newest.'
  }
})

const within = (tx: Tx | undefined) => (tx === undefined ? {} : { session: tx.session })

export async function findArticle(store: Store, postId: string, tx?: Tx): Promise<ArticleDocument | undefined> {
  const found = await collectionOf(store.db, articles).findOne(
    { bucket: bucketOf(postId), _id: postId },
    { hint: { _id: 1 }, ...within(tx) }
  )
  return found ?? undefined
}

/** Writes what an article is now; its favourites stay. */
export async function saveArticle(
  store: Store,
  tx: Tx,
  article: Omit<Article, 'bucket' | 'favorites' | 'live'>
): Promise<void> {
  const { _id, ...members } = article
  await collectionOf(store.db, articles).updateOne(
    { bucket: bucketOf(_id), _id },
    { $set: { ...members, live: true }, $setOnInsert: { favorites: 0 } },
    { upsert: true, hint: { _id: 1 }, session: tx.session }
  )
}

const CONTENT = {
  slug: 1,
  title: 1,
  description: 1,
  body: 1,
  tags: 1,
  createdAt: 1,
  updatedAt: 1,
  live: 1
} as const

/** Takes an article from view: deleted for good (`gone`), or a post that is no article in this version. */
export async function hideArticle(
  store: Store,
  tx: Tx,
  post: { postId: string; authorId: string; version: number; gone: boolean }
): Promise<void> {
  const { postId, authorId, version, gone } = post
  await collectionOf(store.db, articles).updateOne(
    { bucket: bucketOf(postId), _id: postId },
    {
      $set: { authorId, version, ...(gone ? { gone: true as const } : {}) },
      $unset: CONTENT,
      $setOnInsert: { favorites: 0 }
    },
    { upsert: true, hint: { _id: 1 }, session: tx.session }
  )
}

/** Counts a favourite, also of a post that is not known yet. */
export async function countFavorite(store: Store, tx: Tx, postId: string, by: 1 | -1): Promise<void> {
  await collectionOf(store.db, articles).updateOne(
    { bucket: bucketOf(postId), _id: postId },
    { $inc: { favorites: by }, $setOnInsert: { version: 0 } },
    { upsert: true, hint: { _id: 1 }, session: tx.session }
  )
}

/** What a list is of; members that are given must all hold. */
export type Selection = { tags?: readonly string[]; authorIds?: readonly string[]; postIds?: readonly string[] }
export type Window = { offset: number; limit: number; countMax: number }

/** A page of articles, newest first, and how many there are, up to `countMax`. */
export async function findArticles(
  store: Store,
  selection: Selection,
  { offset, limit, countMax }: Window
): Promise<{ page: Article[]; count: number }> {
  const { filter, ...options } = queryOf(selection)
  const collection = collectionOf(store.db, articles)
  const [page, count] = await Promise.all([
    limit === 0
      ? []
      : collection.find(filter, { ...options, sort: { _id: -1 }, skip: offset, limit, maxTimeMS: 5_000 }).toArray(),
    collection.countDocuments(filter, { ...options, limit: countMax, maxTimeMS: 5_000 })
  ])
  return { page: page as Article[], count }
}

/** All that somebody has written, newest first, from `before` on. */
export async function findArticlesBy(
  store: Store,
  authorId: string,
  { before, limit }: { before: string | undefined; limit: number }
): Promise<Article[]> {
  const found = await collectionOf(store.db, articles)
    .find(
      { bucket: bucketOf(authorId), authorId, live: true, ...(before === undefined ? {} : { _id: { $lt: before } }) },
      { sort: { _id: -1 }, limit, hint: BY_AUTHOR }
    )
    .toArray()
  return found as Article[]
}

function queryOf({ tags, authorIds, postIds }: Selection) {
  const filter: Filter<ArticleDocument> = { live: true, ...(tags === undefined ? {} : { tags: { $in: [...tags] } }) }
  const owners = postIds ?? authorIds
  // The bucket of a post is its author's, so either says which shards to ask.
  if (owners !== undefined) filter.bucket = { $in: bucketsOf(owners) }
  if (authorIds !== undefined) filter.authorId = { $in: [...authorIds] }
  if (postIds !== undefined) filter._id = { $in: [...postIds] }
  if (postIds !== undefined) return { filter, hint: { _id: 1 } }
  if (authorIds !== undefined) return { filter, hint: BY_AUTHOR }
  return { filter, hint: tags === undefined ? NEWEST : BY_TAG, comment: 'articles-all' }
}

/** The tags of the newest articles, those used most first. */
export async function findTags(store: Store, options: { from: number; limit: number }): Promise<string[]> {
  const found = await collectionOf(store.db, articles)
    .aggregate<{ _id: string }>(
      [
        { $match: { live: true } },
        { $sort: { _id: -1 } },
        { $limit: options.from },
        { $unwind: '$tags' },
        { $group: { _id: '$tags', used: { $sum: 1 } } },
        { $sort: { used: -1, _id: 1 } },
        { $limit: options.limit }
      ],
      { hint: NEWEST, comment: 'articles-tags', maxTimeMS: 5_000 }
    )
    .toArray()
  return found.map((tag) => tag._id)
}
