import { bucketOf, collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'

export type Erased = { service: string; at: Date; counts: Record<string, number> }

/**
 * - `erasing`: services are waited for; the account is there, and nobody can sign in to it
 * - `ending`: all have answered, the account has ended; what auth keeps beside it goes
 * - `done`: nothing is left
 */
export type DeletionState = 'erasing' | 'ending' | 'done'

export type DeletionDocument = {
  _id: string
  /** The user's. */
  bucket: number
  userId: string
  state: DeletionState
  requestedAt: Date
  finishedAt?: Date
  waitingFor: string[]
  erased: Erased[]
}

/** Deletions of accounts: they stay as the proof, without anything of the person but the id. */
export const deletions = defineCollection<DeletionDocument>({
  name: 'deletions',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [
    { key: { bucket: 1, userId: 1 } },
    { key: { waitingFor: 1, _id: 1 }, options: { partialFilterExpression: { state: 'erasing' } } }
  ],
  untargeted: { 'deletions-waiting': 'What waits for a service, of all users: for its operators and when it leaves.' }
})

const keyOf = (id: string) => ({ bucket: bucketOf(id), _id: id })

export async function insertDeletion(store: Store, tx: Tx, deletion: DeletionDocument): Promise<void> {
  await collectionOf(store.db, deletions).insertOne(deletion, { session: tx.session })
}

export async function findDeletion(store: Store, id: string, tx?: Tx): Promise<DeletionDocument | null> {
  return collectionOf(store.db, deletions).findOne(keyOf(id), tx === undefined ? {} : { session: tx.session })
}

/** The deletion of somebody's account, if they have asked for it. */
export async function findDeletionOf(store: Store, userId: string, tx?: Tx): Promise<DeletionDocument | null> {
  return collectionOf(store.db, deletions).findOne(
    { bucket: bucketOf(userId), userId },
    tx === undefined ? {} : { session: tx.session }
  )
}

/** Notes that a service has answered, or left (without counts). Answers what stands then; null when it was not waited for. */
export async function noteErased(
  store: Store,
  tx: Tx,
  id: string,
  erased: Erased | { service: string }
): Promise<DeletionDocument | null> {
  const { service } = erased
  return collectionOf(store.db, deletions).findOneAndUpdate(
    { ...keyOf(id), state: 'erasing', waitingFor: service },
    { $pull: { waitingFor: service }, ...('at' in erased ? { $push: { erased } } : {}) },
    { session: tx.session, returnDocument: 'after', hint: { _id: 1 } }
  )
}

export async function moveDeletion(store: Store, id: string, state: DeletionState, at?: Date, tx?: Tx): Promise<void> {
  await collectionOf(store.db, deletions).updateOne(
    keyOf(id),
    { $set: { state, ...(at === undefined ? {} : { finishedAt: at }) } },
    tx === undefined ? {} : { session: tx.session }
  )
}

/** Deletions that wait for a service, the oldest first. */
export function findWaiting(store: Store, service: string, limit: number): Promise<DeletionDocument[]> {
  return collectionOf(store.db, deletions)
    .find({ state: 'erasing', waitingFor: service }, { sort: { _id: 1 }, limit, comment: 'deletions-waiting' })
    .toArray()
}
