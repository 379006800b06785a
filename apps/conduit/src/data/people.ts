import { bucketOf, collectionOf, defineCollection, type Store } from '@skerry/store'
import { usernameKey } from '@skerry/text'
import type { Document } from 'mongodb'
import { bucketsOf, despiteOthers, literal } from './common.ts'

export type PersonDocument = {
  /** The user's id. */
  _id: string
  bucket: number
  username?: string
  nameKey?: string
  /** When the name was learned: of two who had it one after the other the later one counts. */
  namedAt?: Date
  /** The account's version that the name is of; 0 for what a profile told. */
  accountVersion?: number
  bio?: string
  avatarUrl?: string | null
  profileVersion?: number
  /** The account has ended. */
  gone?: true
}

export const people = defineCollection<PersonDocument>({
  name: 'people',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [{ key: { nameKey: 1, namedAt: -1 } }],
  untargeted: { 'people-by-name': 'A name says nothing of the bucket; each shard looks into its index once.' }
})

export async function findPerson(store: Store, username: string): Promise<PersonDocument | undefined> {
  const found = await collectionOf(store.db, people).findOne(
    { nameKey: usernameKey(username) },
    { sort: { namedAt: -1 }, comment: 'people-by-name' }
  )
  return found ?? undefined
}

export async function findPeople(store: Store, ids: readonly string[]): Promise<Map<string, PersonDocument>> {
  if (ids.length === 0) return new Map()
  const found = await collectionOf(store.db, people)
    .find({ bucket: { $in: bucketsOf(ids) }, _id: { $in: [...ids] } }, { hint: { _id: 1 } })
    .toArray()
  return new Map(found.map((person) => [person._id, person]))
}

/** Keeps an account's name unless a newer one is known. */
export function saveName(store: Store, account: { userId: string; username: string; version: number }): Promise<void> {
  const { userId, username, version } = account
  return update(store, userId, newerThan('accountVersion', version), {
    username: literal(username),
    nameKey: literal(usernameKey(username)),
    namedAt: '$$NOW',
    accountVersion: version
  })
}

export type ProfileState = {
  userId: string
  username: string
  bio: string
  avatarUrl: string | null
  version: number
}

/** Keeps what a profile says unless something newer is known. Its name counts only while the account has told none. */
export async function saveProfile(store: Store, profile: ProfileState): Promise<void> {
  const { userId, username, bio, avatarUrl, version } = profile
  await saveName(store, { userId, username, version: 0 })
  await update(store, userId, newerThan('profileVersion', version), {
    bio: literal(bio),
    avatarUrl: literal(avatarUrl),
    profileVersion: version
  })
}

/** Leaves of somebody only that they were. */
export async function buryPerson(store: Store, userId: string): Promise<void> {
  const bucket = bucketOf(userId)
  await despiteOthers(() =>
    collectionOf(store.db, people).replaceOne({ _id: userId, bucket }, { bucket, gone: true }, { upsert: true })
  )
}

const newerThan = (field: string, version: number): Document => ({
  $and: [{ $lt: [{ $ifNull: [`$${field}`, -1] }, version] }, { $ne: ['$gone', true] }]
})

/** Sets members where `condition` holds, in one operation, so that no transaction of another writer is met. */
async function update(store: Store, userId: string, condition: Document, values: Document): Promise<void> {
  const set = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      { $cond: [condition, value, { $ifNull: [`$${name}`, '$$REMOVE'] }] }
    ])
  )
  // Decided on the document as it was: every member is set by the same condition in one stage.
  const where = { bucket: bucketOf(userId), _id: userId }
  await despiteOthers(() =>
    collectionOf(store.db, people).updateOne(where, [{ $set: set }], { upsert: true, hint: { _id: 1 } })
  )
}
