import { bucketOf, collectionOf, defineCollection, type Store } from '@skerry/store'

export type SessionDocument = {
  /** Skerry's session id. */
  _id: string
  bucket: number
  userId: string
  /** SHA-256 of the token. */
  tokenHash: string
  /** Access token, refresh token and email, under a key that only the token gives. */
  sealed: string
  /** When the access token in it expires. */
  accessUntil: Date
  /** Grows with each renewal. */
  version: number
  /** Something of the account has changed: renew before use. */
  stale?: true
  /** Until then somebody is renewing it. */
  renewing?: Date
  expiresAt: Date
}

const BY_USER = { bucket: 1, userId: 1 } as const

export const sessions = defineCollection<SessionDocument>({
  name: 'sessions',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [{ key: BY_USER }, { key: { expiresAt: 1 }, options: { expireAfterSeconds: 0 } }]
})

const byId = (id: string) => ({ bucket: bucketOf(id), _id: id })
const ofUser = (userId: string) => ({ bucket: bucketOf(userId), userId })
const HINT = { hint: { _id: 1 } } as const

export async function findSession(store: Store, id: string): Promise<SessionDocument | undefined> {
  return (await collectionOf(store.db, sessions).findOne(byId(id), HINT)) ?? undefined
}

export async function insertSession(store: Store, session: SessionDocument): Promise<void> {
  await collectionOf(store.db, sessions).insertOne(session)
}

/** Takes the renewal of a session for `ms`, unless somebody else has it or has done it. By the database's clock. */
export async function claimRenewal(store: Store, id: string, version: number, ms: number): Promise<boolean> {
  const taken = await collectionOf(store.db, sessions).updateOne(
    {
      ...byId(id),
      version,
      $or: [{ renewing: { $exists: false } }, { $expr: { $lt: ['$renewing', '$$NOW'] } }]
    },
    [{ $set: { renewing: { $add: ['$$NOW', ms] } } }],
    HINT
  )
  return taken.modifiedCount === 1
}

export async function giveRenewalBack(store: Store, id: string, version: number): Promise<void> {
  await collectionOf(store.db, sessions).updateOne({ ...byId(id), version }, { $unset: { renewing: 1 } }, HINT)
}

/** Stores what a session acts with from now on. False when another has been quicker or the session has ended. */
export async function saveSealed(
  store: Store,
  session: Pick<SessionDocument, '_id' | 'version'>,
  state: Pick<SessionDocument, 'sealed' | 'accessUntil'>
): Promise<boolean> {
  const { _id, version } = session
  const saved = await collectionOf(store.db, sessions).updateOne(
    { ...byId(_id), version },
    { $set: { ...state, version: version + 1 }, $unset: { renewing: 1, stale: 1 } },
    HINT
  )
  return saved.modifiedCount === 1
}

/** Lets all sessions of an account renew before their next use. */
export async function markStale(store: Store, userId: string): Promise<void> {
  await collectionOf(store.db, sessions).updateMany(ofUser(userId), { $set: { stale: true } }, { hint: BY_USER })
}

export async function deleteSession(store: Store, id: string): Promise<void> {
  await collectionOf(store.db, sessions).deleteOne(byId(id), HINT)
}

/** Ends all of somebody's sessions. Resolves with how many there were. */
export async function deleteSessions(store: Store, userId: string): Promise<number> {
  const { deletedCount } = await collectionOf(store.db, sessions).deleteMany(ofUser(userId), { hint: BY_USER })
  return deletedCount
}

/** Somebody's sessions, without their secrets. */
export function findSessionsOf(store: Store, userId: string): Promise<Pick<SessionDocument, '_id' | 'expiresAt'>[]> {
  return collectionOf(store.db, sessions)
    .find(ofUser(userId), { hint: BY_USER, projection: { expiresAt: 1 } })
    .toArray()
}
