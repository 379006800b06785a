import { collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'

/** A slug is its own id, so that it is unique without an index over all shards. `version` is the post's newest that has it. */
type SlugDocument = { _id: string; postId: string; version: number }

export const slugs = defineCollection<SlugDocument>({ name: 'slugs', shardKey: { _id: 1 }, indexes: [] })

/** Whose article a slug leads to. */
export async function findSlug(store: Store, slug: string): Promise<string | undefined> {
  return (await collectionOf(store.db, slugs).findOne({ _id: slug }))?.postId
}

/** Reserves for a post the one of `wanted` that it has already, else the first that is free. The last of them must be nobody else's. */
export async function reserveSlug(
  store: Store,
  tx: Tx,
  post: { postId: string; version: number },
  wanted: readonly string[]
): Promise<string> {
  const { postId, version } = post
  const { session } = tx
  const collection = collectionOf(store.db, slugs)
  const taken = await collection.find({ _id: { $in: [...wanted] } }, { session }).toArray()
  const own = taken.find((slug) => slug.postId === postId)
  if (own !== undefined) {
    if (own.version < version) await collection.updateOne({ _id: own._id }, { $set: { version } }, { session })
    return own._id
  }
  const free = wanted.find((slug) => !taken.some((other) => other._id === slug))
  if (free === undefined) throw new Error(`no slug is left of ${wanted.join(', ')}`)
  await collection.insertOne({ _id: free, postId, version }, { session })
  return free
}

/** Gives a slug back that a post has no more in `version`. One that a newer version has stays: a rebuild passes by old titles again. */
export async function releaseSlug(
  store: Store,
  tx: Tx,
  post: { postId: string; version: number },
  slug: string
): Promise<void> {
  const { postId, version } = post
  await collectionOf(store.db, slugs).deleteOne(
    { _id: slug, postId, version: { $lt: version } },
    { session: tx.session }
  )
}
