import { bucketOf, collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'

export type ProfileDocument = {
  /** The account's id. */
  _id: string
  bucket: number
  username: string
  displayName: string
  bio: string
  counts: { followers: number; following: number; posts: number }
  /** Grows with each edit of what others see; counts are not edits. */
  version: number
  /** The account's version that the username came with. */
  accountVersion: number
  createdAt: Date
  updatedAt: Date
}

export const profiles = defineCollection<ProfileDocument>({
  name: 'profiles',
  shardKey: { bucket: 1, _id: 1 },
  indexes: []
})

const key = (id: string) => ({ bucket: bucketOf(id), _id: id })

export function findProfile(store: Store, id: string, tx?: Tx): Promise<ProfileDocument | null> {
  return collectionOf(store.db, profiles).findOne(key(id), tx === undefined ? {} : { session: tx.session })
}

/** Profiles of these ids, in their order; what isn't there is left out. */
export async function findProfiles(store: Store, ids: readonly string[]): Promise<ProfileDocument[]> {
  if (ids.length === 0) return []
  const found = await collectionOf(store.db, profiles)
    .find({ bucket: { $in: [...new Set(ids.map(bucketOf))] }, _id: { $in: [...ids] } }, { hint: { _id: 1 } })
    .toArray()
  const byId = new Map(found.map((profile) => [profile._id, profile]))
  return ids.flatMap((id) => byId.get(id) ?? [])
}

/** Adds a profile unless there is one. Resolves with whether it was added. */
export async function insertProfile(store: Store, tx: Tx, profile: ProfileDocument): Promise<boolean> {
  const { _id, bucket, ...rest } = profile
  const { upsertedCount } = await collectionOf(store.db, profiles).updateOne(
    { bucket, _id },
    { $setOnInsert: rest },
    { upsert: true, session: tx.session }
  )
  return upsertedCount === 1
}

/** Changes members and the version; null when there is no such profile, or not of that version. */
export function updateProfile(
  store: Store,
  tx: Tx,
  where: { id: string; version?: number; accountBefore?: number },
  set: Partial<Pick<ProfileDocument, 'displayName' | 'bio' | 'username' | 'accountVersion'>>
): Promise<ProfileDocument | null> {
  return collectionOf(store.db, profiles).findOneAndUpdate(
    {
      ...key(where.id),
      ...(where.version === undefined ? {} : { version: where.version }),
      ...(where.accountBefore === undefined ? {} : { accountVersion: { $lt: where.accountBefore } })
    },
    { $set: { ...set, updatedAt: new Date() }, $inc: { version: 1 } },
    { returnDocument: 'after', session: tx.session }
  )
}

/** Adds to one of a profile's counts; false when there is no such profile. */
export async function addToCount(
  store: Store,
  tx: Tx,
  id: string,
  count: keyof ProfileDocument['counts'],
  by: 1 | -1
): Promise<boolean> {
  const { matchedCount } = await collectionOf(store.db, profiles).updateOne(
    key(id),
    { $inc: { [`counts.${count}`]: by } },
    { session: tx.session }
  )
  return matchedCount === 1
}
