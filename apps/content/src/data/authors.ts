import type { Author } from '@skerry/contracts'
import { bucketOf, collectionOf, defineCollection, isDuplicate, type Store } from '@skerry/store'
import { AS_STORED, bucketsOf } from './common.ts'

type AuthorDocument = {
  /** The user's id. */
  _id: string
  bucket: number
  username: string
  displayName: string
  avatar: Author['avatar']
  /** The profile's version; -1 for what only a token has told. */
  version: number
}

/** What content knows of people, from `users.profile.*`. */
export const authors = defineCollection<AuthorDocument>({
  name: 'authors',
  shardKey: { bucket: 1, _id: 1 },
  indexes: []
})

/** The authors that are known, of these ids. */
export async function findAuthors(store: Store, ids: readonly string[]): Promise<Map<string, Author>> {
  const found = await collectionOf(store.db, authors)
    .find(
      { bucket: { $in: bucketsOf(ids) }, _id: { $in: [...ids] } },
      { hint: { _id: 1 }, batchSize: ids.length + 1, ...AS_STORED }
    )
    .toArray()
  return new Map(
    found.map(({ _id, username, displayName, avatar }) => [_id, { id: _id, username, displayName, avatar }])
  )
}

/** Keeps what an author is called, unless something newer is known. */
export async function saveAuthor(store: Store, author: Author, version: number): Promise<void> {
  const { id, username, displayName, avatar } = author
  const bucket = bucketOf(id)
  try {
    await collectionOf(store.db, authors).updateOne(
      { bucket, _id: id, version: { $lt: version } },
      { $set: { username, displayName, avatar, version } },
      { upsert: true, hint: { _id: 1 } }
    )
  } catch (error) {
    // There is one that is not older.
    if (!isDuplicate(error, authors.name)) throw error
  }
}

/** Puts a mark in place of an author: nothing that is told of them later takes its place, for no version is higher. */
export async function forgetAuthor(store: Store, id: string): Promise<void> {
  await collectionOf(store.db, authors).updateOne(
    { bucket: bucketOf(id), _id: id },
    { $set: { username: 'deleted', displayName: 'Deleted', avatar: null, version: Number.MAX_SAFE_INTEGER } },
    { upsert: true, hint: { _id: 1 } }
  )
}
