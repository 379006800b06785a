import { collectionOf, defineCollection, type Store } from '@skerry/store'

/**
 * - `marking`: this author's follows are being marked as merged at read time
 * - `big`: all are marked; posts are not written into feeds
 * - `was`: posts are written into feeds again; the marks stay, for what was posted meanwhile
 */
export type BigState = 'marking' | 'big' | 'was'

type BigAuthorDocument = {
  /** The author's id. */
  _id: string
  state: BigState
}

/** Authors who have, or had, more followers than are fanned out to: few, so they are kept together. */
export const bigAuthors = defineCollection<BigAuthorDocument>({ name: 'big_authors', shardKey: null, indexes: [] })

export async function findBigState(store: Store, authorId: string): Promise<BigState | undefined> {
  return (await collectionOf(store.db, bigAuthors).findOne({ _id: authorId }))?.state
}

/** Those of these authors who are big, or are becoming it. */
export async function findBigAmong(store: Store, authorIds: readonly string[]): Promise<string[]> {
  const found = await collectionOf(store.db, bigAuthors)
    .find({ _id: { $in: [...authorIds] }, state: { $in: ['marking', 'big'] } }, { projection: { _id: 1 } })
    .toArray()
  return found.map(({ _id }) => _id)
}

export async function saveBigState(store: Store, authorId: string, state: BigState): Promise<void> {
  await collectionOf(store.db, bigAuthors).updateOne({ _id: authorId }, { $set: { state } }, { upsert: true })
}

/** Whether there is, or ever was, one. */
export async function hasBigAuthors(store: Store): Promise<boolean> {
  const known = await collectionOf(store.db, bigAuthors).findOne(
    { _id: { $gte: '' } },
    { projection: { _id: 1 }, comment: 'any-merged' }
  )
  return known !== null
}

export async function deleteBigState(store: Store, authorId: string): Promise<void> {
  await collectionOf(store.db, bigAuthors).deleteOne({ _id: authorId })
}
