import { bucketOf, collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'

export type SessionDocument = {
  /** The user's. */
  bucket: number
  _id: string
  userId: string
  /** SHA-256 of the part of the refresh tokens that stays. */
  familyHash: string
  /** What the first refresh token is made of, together with a secret that is not stored. */
  seed?: string
  /** SHA-256 of the refresh token that is to be used next, and of those before it: domain/refresh-rules.ts. */
  tokenHash: string
  previousHash?: string
  rotatedAt?: Date
  older?: { hash: string; at: Date }[]
  lateRepeats?: Date[]
  userAgent: string | null
  createdAt: Date
  lastUsedAt: Date
  authenticatedAt: Date
  expiresAt: Date
  revokedAt?: Date
}

export const sessions = defineCollection<SessionDocument>({
  name: 'sessions',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [
    { key: { bucket: 1, userId: 1, _id: -1 } },
    { key: { revokedAt: 1 }, options: { sparse: true } },
    { key: { expiresAt: 1, _id: 1 } }
  ],
  untargeted: {
    'recently-revoked': 'What ended in the last minutes is told again, of all users, when NATS comes back.',
    'expired-sessions': 'One instance ends what has expired, of all users.'
  }
})

/** How long an ended session is kept, so that ending it again is no error. */
const KEEP_REVOKED_MS = 24 * 3600 * 1000

export async function insertSession(store: Store, tx: Tx, session: SessionDocument): Promise<void> {
  await collectionOf(store.db, sessions).insertOne(session, { session: tx.session })
}

export async function findSession(store: Store, sessionId: string, tx?: Tx): Promise<SessionDocument | null> {
  return collectionOf(store.db, sessions).findOne(
    { bucket: bucketOf(sessionId), _id: sessionId },
    tx === undefined ? {} : { session: tx.session }
  )
}

/** The sessions of a user that have not ended, newest first, from the one after `before`. */
export async function listSessions(
  store: Store,
  userId: string,
  options: { before?: string | undefined; limit: number; now: Date }
): Promise<SessionDocument[]> {
  const { before, limit, now } = options
  return collectionOf(store.db, sessions)
    .find({
      bucket: bucketOf(userId),
      userId,
      ...(before === undefined ? {} : { _id: { $lt: before } }),
      revokedAt: { $exists: false },
      expiresAt: { $gt: now }
    })
    .sort({ _id: -1 })
    .limit(limit)
    .toArray()
}

/** The ids of a user's sessions that have not ended, newest first, without the newest `skip`. */
export async function activeSessionIds(
  store: Store,
  tx: Tx,
  userId: string,
  options: { skip: number; limit: number }
): Promise<string[]> {
  const found = await collectionOf(store.db, sessions)
    .find({ bucket: bucketOf(userId), userId, revokedAt: { $exists: false } }, { session: tx.session })
    .project<{ _id: string }>({ _id: 1 })
    .sort({ _id: -1 })
    .skip(options.skip)
    .limit(options.limit)
    .toArray()
  return found.map((session) => session._id)
}

/** Puts the next refresh token in place of `tokenHash`. False when somebody else was quicker or the session has ended. */
export async function rotate(
  store: Store,
  session: SessionDocument,
  change: Partial<SessionDocument> & { tokenHash: string }
): Promise<boolean> {
  const { bucket, _id, tokenHash } = session
  const result = await collectionOf(store.db, sessions).updateOne(
    { bucket, _id, tokenHash, revokedAt: { $exists: false } },
    { $set: change }
  )
  return result.modifiedCount === 1
}

/** Notes that the token before was taken after the grace. False when somebody else was quicker or the session has moved on. */
export async function takeLateRepeat(store: Store, session: SessionDocument, lateRepeats: Date[]): Promise<boolean> {
  const { bucket, _id, tokenHash } = session
  const last = session.lateRepeats?.[0]
  const result = await collectionOf(store.db, sessions).updateOne(
    {
      bucket,
      _id,
      tokenHash,
      revokedAt: { $exists: false },
      'lateRepeats.0': last === undefined ? { $exists: false } : last
    },
    { $set: { lateRepeats, lastUsedAt: lateRepeats[0] as Date } }
  )
  return result.modifiedCount === 1
}

/** Ends a session. False when it had ended before or is not this user's. */
export async function markRevoked(store: Store, tx: Tx, userId: string, sessionId: string, at: Date): Promise<boolean> {
  const result = await collectionOf(store.db, sessions).updateOne(
    { bucket: bucketOf(userId), _id: sessionId, userId, revokedAt: { $exists: false } },
    { $set: { revokedAt: at, expiresAt: new Date(at.getTime() + KEEP_REVOKED_MS) } },
    { session: tx.session }
  )
  return result.modifiedCount === 1
}

/** The sessions of all users that ended since a time. */
export async function* recentlyRevoked(store: Store, since: Date): AsyncGenerator<{ id: string; revokedAt: Date }> {
  const found = collectionOf(store.db, sessions).find(
    { revokedAt: { $gte: since } },
    { projection: { revokedAt: 1 }, comment: 'recently-revoked', batchSize: 500 }
  )
  for await (const session of found)
    if (session.revokedAt !== undefined) yield { id: session._id, revokedAt: session.revokedAt }
}

/** Sessions of all users that have expired, the longest ago first. */
export async function findExpired(store: Store, now: Date, limit: number): Promise<SessionDocument[]> {
  return collectionOf(store.db, sessions)
    .find({ expiresAt: { $lte: now } }, { sort: { expiresAt: 1, _id: 1 }, limit, comment: 'expired-sessions' })
    .toArray()
}

/** Removes a session that has expired. False when it is gone, or was refreshed meanwhile. */
export async function deleteExpired(store: Store, tx: Tx, session: SessionDocument, now: Date): Promise<boolean> {
  const { bucket, _id } = session
  const result = await collectionOf(store.db, sessions).deleteOne(
    { bucket, _id, expiresAt: { $lte: now } },
    { session: tx.session }
  )
  return result.deletedCount === 1
}

/** Removes all sessions of a user. */
export async function deleteSessionsOf(store: Store, userId: string): Promise<void> {
  await collectionOf(store.db, sessions).deleteMany({ bucket: bucketOf(userId), userId })
}

/** All sessions of a user that are kept, newest first. */
export function findSessionsOf(store: Store, userId: string, limit: number): Promise<SessionDocument[]> {
  return collectionOf(store.db, sessions)
    .find({ bucket: bucketOf(userId), userId }, { sort: { _id: -1 }, limit })
    .toArray()
}
