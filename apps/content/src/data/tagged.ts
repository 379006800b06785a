import { collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'
import type { ListOptions, PostRef } from './posts.ts'

type TaggedDocument = {
  /** `<tag>#<postId>`: a tag can't contain `#`. */
  _id: string
  authorId: string
}

/** Which posts carry a tag: one range of ids a tag, so that a list by tag asks one shard. */
export const tagged = defineCollection<TaggedDocument>({
  name: 'tagged',
  shardKey: { _id: 1 },
  indexes: [],
  untargeted: { 'tagged-all': 'Operators look at every tag that there is, in their order, one at a time.' }
})

/** The first tag that some post carries whose entries come after those of `after`; undefined when there is none. */
export async function findTagAfter(store: Store, after: string | undefined): Promise<string | undefined> {
  const [found] = await collectionOf(store.db, tagged)
    .find(after === undefined ? {} : { _id: { $gte: `${after}$` } }, {
      sort: { _id: 1 },
      limit: 1,
      comment: 'tagged-all',
      maxTimeMS: 4_000
    })
    .toArray()
  return found?._id.slice(0, found._id.indexOf('#'))
}

/** Posts with one of a few tags, each once, newest first. */
export async function findTagged(store: Store, tags: readonly string[], options: ListOptions): Promise<PostRef[]> {
  const lists = await Promise.all(tags.map((tag) => findOneTag(store, tag, options)))
  if (lists.length === 1) return lists[0]!
  const byId = new Map(lists.flat().map((ref) => [ref.postId, ref]))
  return [...byId.values()].sort((a, b) => (a.postId < b.postId ? 1 : -1)).slice(0, options.limit)
}

async function findOneTag(store: Store, tag: string, { before, limit }: ListOptions): Promise<PostRef[]> {
  const found = await collectionOf(store.db, tagged)
    // `$` follows `#`, so this is every id that begins with `<tag>#`.
    .find({ _id: { $gte: `${tag}#`, $lt: before === undefined ? `${tag}$` : `${tag}#${before}` } })
    .sort({ _id: -1 })
    .limit(limit)
    .batchSize(limit + 1)
    .toArray()
  return found.map((entry) => ({ postId: entry._id.slice(tag.length + 1), authorId: entry.authorId }))
}

export async function insertTagged(store: Store, tx: Tx, post: PostRef, tags: readonly string[]): Promise<void> {
  if (tags.length === 0) return
  const entries = tags.map((tag) => ({ _id: `${tag}#${post.postId}`, authorId: post.authorId }))
  await collectionOf(store.db, tagged).insertMany(entries, { session: tx.session })
}

export async function deleteTagged(store: Store, tx: Tx, postId: string, tags: readonly string[]): Promise<void> {
  if (tags.length === 0) return
  const ids = tags.map((tag) => `${tag}#${postId}`)
  await collectionOf(store.db, tagged).deleteMany({ _id: { $in: ids } }, { session: tx.session })
}
