import { collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'

/** A slug is its own id, so that it is unique without an index over all shards. */
type SlugDocument = { _id: string; postId: string }

export const slugs = defineCollection<SlugDocument>({ name: 'slugs', shardKey: { _id: 1 }, indexes: [] })

/** Whose article a slug leads to. */
export async function findSlug(store: Store, slug: string): Promise<string | undefined> {
  return (await collectionOf(store.db, slugs).findOne({ _id: slug }))?.postId
}

/** Reserves for a post the one of `wanted` that it has already, else the first that is free. The last of them must be nobody else's. */
export async function reserveSlug(store: Store, tx: Tx, postId: string, wanted: readonly string[]): Promise<string> {
  const collection = collectionOf(store.db, slugs)
  const taken = await collection.find({ _id: { $in: [...wanted] } }, { session: tx.session }).toArray()
  const own = taken.find((slug) => slug.postId === postId)
  if (own !== undefined) return own._id
  const free = wanted.find((slug) => !taken.some((other) => other._id === slug))
  if (free === undefined) throw new Error(`no slug is left of ${wanted.join(', ')}`)
  await collection.insertOne({ _id: free, postId }, { session: tx.session })
  return free
}

export async function releaseSlug(store: Store, tx: Tx, postId: string, slug: string): Promise<void> {
  await collectionOf(store.db, slugs).deleteOne({ _id: slug, postId }, { session: tx.session })
}
