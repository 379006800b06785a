import { collectionOf, defineCollection } from './collection.ts'
import { bucketFromText } from './ids.ts'
import type { Store } from './store.ts'
import { isDuplicate, type Tx } from './transaction.ts'

/** An answer as it was first given. */
export type StoredAnswer = { status: number; body: string | null; headers?: Record<string, string> }

/** What became of a claim. */
export type Claim =
  | { state: 'new' }
  | { state: 'in-flight' }
  | { state: 'mismatch' }
  | { state: 'done'; answer: StoredAnswer }

type KeyDocument = {
  _id: string
  bucket: number
  bodyHash: string
  lockedUntil: Date
  answer?: StoredAnswer
  /** The user whose answer it is. */
  owner?: string
  expiresAt: Date
}

/** One document for each Idempotency-Key, for a day. */
export const idempotencyKeys = defineCollection<KeyDocument>({
  name: 'idempotency',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [
    { key: { expiresAt: 1 }, options: { expireAfterSeconds: 0 } },
    { key: { owner: 1 }, options: { sparse: true } }
  ],
  untargeted: { 'answers-of': 'Keys say nothing of whose they are: an erased user is looked for on every shard.' }
})

const DAY_MS = 24 * 3600 * 1000
/** Longer than any request may take; after it a claim whose process died may be taken over. */
const LOCK_MS = 15_000

/**
 * Idempotency keys in the service's own database. `complete` inside the write's transaction makes the answer and the write one:
 * a process that dies in between leaves either both or neither. `record` does the same where nothing was claimed before.
 */
export function createIdempotency(store: Store) {
  const keys = collectionOf(store.db, idempotencyKeys)

  return {
    async claim(request: Request): Promise<Claim> {
      const { id } = request
      const bucket = bucketFromText(id)
      // By the database's clock: instances whose clocks are apart must not take a claim from each other while it is worked at.
      const claim = { lockedUntil: { $add: ['$$NOW', LOCK_MS] }, expiresAt: { $add: ['$$NOW', DAY_MS] } }
      const { _id, ...document } = documentOf(request)
      const inserted = { $mergeObjects: ['$$ROOT', { $literal: document }, claim] }
      try {
        const { upsertedCount } = await keys.updateOne(
          { bucket, _id },
          [{ $replaceWith: { $cond: [{ $eq: [{ $type: '$bodyHash' }, 'missing'] }, inserted, '$$ROOT'] } }],
          { upsert: true }
        )
        if (upsertedCount === 1) return { state: 'new' }
      } catch (error) {
        // Two that were the first at the same time.
        if (!isDuplicate(error)) throw error
      }
      const found = await this.find(request)
      if (found.state === 'mismatch' || found.state === 'done') return found
      // Whoever moves the lock on has the claim; the other's filter no longer fits.
      const taken = await keys.updateOne(
        { bucket, _id: id, answer: { $exists: false }, $expr: { $lt: ['$lockedUntil', '$$NOW'] } },
        [{ $set: claim }]
      )
      return { state: taken.modifiedCount === 1 ? 'new' : 'in-flight' }
    },

    async record({ answer, ...request }: Request & { answer: StoredAnswer }, tx?: unknown): Promise<void> {
      const now = Date.now()
      const times = { lockedUntil: new Date(now), expiresAt: new Date(now + DAY_MS) }
      await keys.insertOne({ ...documentOf(request), ...times, answer }, sessionOf(tx))
    },

    async find({ id, bodyHash }: Pick<Request, 'id' | 'bodyHash'>): Promise<Claim> {
      const held = await keys.findOne({ bucket: bucketFromText(id), _id: id })
      if (held === null) return { state: 'new' }
      if (held.bodyHash !== bodyHash) return { state: 'mismatch' }
      return held.answer === undefined ? { state: 'in-flight' } : { state: 'done', answer: held.answer }
    },

    async complete(id: string, answer: StoredAnswer, tx?: unknown, owner?: string): Promise<void> {
      const kept = { answer, ...(owner === undefined ? {} : { owner }) }
      await keys.updateOne({ bucket: bucketFromText(id), _id: id }, { $set: kept }, sessionOf(tx))
    },

    async release(id: string): Promise<void> {
      await keys.deleteOne({ bucket: bucketFromText(id), _id: id, answer: { $exists: false } })
    }
  }
}

type Request = { id: string; bodyHash: string; bucketOf?: string }

function documentOf({ id, bodyHash, bucketOf: owner }: Request) {
  return { _id: id, bucket: bucketFromText(id), bodyHash, ...(owner === undefined ? {} : { owner }) }
}

function sessionOf(tx: unknown) {
  return tx === undefined ? {} : { session: (tx as Tx).session }
}

/** Deletes the answers that a user was given, for they say what the user wrote. */
export async function eraseAnswers(store: Store, userId: string): Promise<void> {
  await collectionOf(store.db, idempotencyKeys).deleteMany({ owner: userId }, { comment: 'answers-of' })
}
