import { bucketOf, collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'

export type Counts = { followers: number; following: number; posts: number }

export type ProfileDocument = {
  /** The account's id. */
  _id: string
  bucket: number
  username: string
  displayName: string
  bio: string
  counts: Counts
  /** Grows with each edit of what others see; counts are not edits. */
  version: number
  /** The account's version that the username came with. */
  accountVersion: number
  createdAt: Date
  updatedAt: Date
}

/** What stands in place of a profile: `expected` counts for an account whose event is on its way, `deleted` keeps it from coming back. */
type Placeholder = { _id: string; bucket: number; state: 'expected' | 'deleted'; counts: Counts; deletedAt?: Date }
type Stored = (ProfileDocument & { state?: undefined }) | Placeholder

export const profiles = defineCollection<Stored>({ name: 'profiles', shardKey: { bucket: 1, _id: 1 }, indexes: [] })

const key = (id: string) => ({ bucket: bucketOf(id), _id: id })
const EXISTS = { state: { $exists: false } }

function existing(stored: Stored | null): ProfileDocument | null {
  return stored === null || stored.state !== undefined ? null : stored
}

function findStored(store: Store, id: string, tx?: Tx): Promise<Stored | null> {
  return collectionOf(store.db, profiles).findOne(key(id), tx === undefined ? {} : { session: tx.session })
}

export async function findProfile(store: Store, id: string, tx?: Tx): Promise<ProfileDocument | null> {
  return existing(await findStored(store, id, tx))
}

/** The profiles that there are of these ids, by id. */
export async function findProfiles(store: Store, ids: readonly string[]): Promise<Map<string, ProfileDocument>> {
  const found = await collectionOf(store.db, profiles)
    .find(
      { bucket: { $in: [...new Set(ids.map(bucketOf))] }, _id: { $in: [...ids] } },
      // What the driver wrote is UTF-8: checking it again at each read would cost as much as decoding it.
      { hint: { _id: 1 }, batchSize: ids.length + 1, enableUtf8Validation: false }
    )
    .toArray()
  const byId = new Map<string, ProfileDocument>()
  for (const stored of found) {
    const profile = existing(stored)
    if (profile !== null) byId.set(profile._id, profile)
  }
  return byId
}

/** Adds a profile unless there is one or was one; what was counted before it stays. Answers what was added. */
export async function insertProfile(store: Store, tx: Tx, profile: ProfileDocument): Promise<ProfileDocument | null> {
  const before = await findStored(store, profile._id, tx)
  if (before !== null && before.state !== 'expected') return null
  const { _id, bucket, ...rest } = { ...profile, counts: before?.counts ?? profile.counts }
  await collectionOf(store.db, profiles).updateOne(
    { _id, bucket },
    { $set: rest, $unset: { state: 1 } },
    { upsert: true, session: tx.session }
  )
  return { _id, bucket, ...rest }
}

/** Changes members and the version; null when there is no such profile, or not of that version. */
export async function updateProfile(
  store: Store,
  tx: Tx,
  where: { id: string; versions?: readonly number[] },
  set: Partial<Pick<ProfileDocument, 'displayName' | 'bio' | 'username' | 'accountVersion'>>
): Promise<ProfileDocument | null> {
  const after = await collectionOf(store.db, profiles).findOneAndUpdate(
    { ...key(where.id), ...EXISTS, ...(where.versions === undefined ? {} : { version: { $in: [...where.versions] } }) },
    { $set: { ...set, updatedAt: new Date() }, $inc: { version: 1 } },
    { returnDocument: 'after', session: tx.session }
  )
  return existing(after)
}

/** Leaves a mark in place of the profile: nothing of the person, and it cannot come back. Answers what was there. */
export async function deleteProfile(store: Store, tx: Tx, id: string, at: Date): Promise<ProfileDocument | null> {
  const before = await findStored(store, id, tx)
  const counts = { followers: 0, following: 0, posts: 0 }
  const mark: Omit<Placeholder, '_id'> = { bucket: bucketOf(id), state: 'deleted', counts, deletedAt: at }
  await collectionOf(store.db, profiles).replaceOne(key(id), mark, { upsert: true, session: tx.session })
  return existing(before)
}

export type CountChange = { id: string; count: 'followers' | 'following'; by: 1 | -1 }

/** Adds to counts of different profiles by one write; false when one of them is not there. */
export async function addToCounts(store: Store, tx: Tx, changes: readonly CountChange[]): Promise<boolean> {
  const { matchedCount } = await collectionOf(store.db, profiles).bulkWrite(
    changes.map(({ id, count, by }) => ({
      updateOne: { filter: { ...key(id), ...EXISTS }, update: { $inc: { [`counts.${count}`]: by } } }
    })),
    { session: tx.session }
  )
  return matchedCount === changes.length
}

/** Counts posts of some people, also when their profiles have not been made yet, by one write. */
export async function addToPosts(store: Store, tx: Tx, counts: ReadonlyMap<string, number>): Promise<void> {
  const updates = [...counts].map(([id, by]) => ({
    filter: key(id),
    update: {
      $inc: { 'counts.posts': by },
      $setOnInsert: { state: 'expected' as const, 'counts.followers': 0, 'counts.following': 0 }
    },
    upsert: true
  }))
  await collectionOf(store.db, profiles).bulkWrite(
    updates.map((updateOne) => ({ updateOne })),
    { session: tx.session }
  )
}
