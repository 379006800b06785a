import { collectionOf, defineCollection } from './collection.ts'
import type { Store } from './store.ts'
import { isDuplicate } from './transaction.ts'

type LeaseDocument = { _id: string; owner: string; until: Date; epoch: number }

/** One small document for each kind of work that only one instance does at a time. */
export const leases = defineCollection<LeaseDocument>({ name: 'leases', shardKey: null, indexes: [] })

/**
 * Takes or renews a lease: the database's clock decides, so that the instances' clocks need not agree.
 *
 * @returns the epoch, which grows whenever the owner changes, or undefined while somebody else holds it
 */
export async function takeLease(store: Store, name: string, owner: string, ttlMs: number): Promise<number | undefined> {
  const taken = await takeExisting(store, name, owner, ttlMs)
  if (taken !== undefined) return taken
  const documents = collectionOf(store.db, leases)
  if ((await documents.findOne({ _id: name })) !== null) return undefined
  try {
    await documents.insertOne({ _id: name, owner: '', until: new Date(0), epoch: 0 })
  } catch (error) {
    if (!isDuplicate(error)) throw error
  }
  return takeExisting(store, name, owner, ttlMs)
}

async function takeExisting(store: Store, name: string, owner: string, ttlMs: number): Promise<number | undefined> {
  const held = await collectionOf(store.db, leases).findOneAndUpdate(
    { _id: name, $or: [{ owner }, { $expr: { $lt: ['$until', '$$NOW'] } }] },
    [
      {
        $set: {
          epoch: { $cond: [{ $eq: ['$owner', { $literal: owner }] }, '$epoch', { $add: ['$epoch', 1] }] },
          owner: { $literal: owner },
          until: { $add: ['$$NOW', ttlMs] }
        }
      }
    ],
    { returnDocument: 'after', maxTimeMS: ttlMs }
  )
  return held?.epoch
}

/** Gives a lease back, so that the next owner need not wait for it to run out. */
export async function releaseLease(store: Store, name: string, owner: string): Promise<void> {
  await collectionOf(store.db, leases).updateOne({ _id: name, owner }, { $set: { until: new Date(0) } })
}
