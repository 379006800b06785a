import { type CollectionDefinition, collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'

/** Who has a name: the name itself is the key, so that it is unique over all shards. */
export type ReservationDocument = { _id: string; userId: string }

export const emails = defineCollection<ReservationDocument>({ name: 'emails', shardKey: { _id: 1 }, indexes: [] })
export const usernames = defineCollection<ReservationDocument>({ name: 'usernames', shardKey: { _id: 1 }, indexes: [] })

export async function findHolder(
  store: Store,
  names: CollectionDefinition<ReservationDocument>,
  name: string,
  tx?: Tx
): Promise<string | undefined> {
  const options = tx === undefined ? {} : { session: tx.session }
  return (await collectionOf(store.db, names).findOne({ _id: name }, options))?.userId
}

/** Fails with a duplicate key when somebody has the name. */
export async function reserve(
  store: Store,
  tx: Tx,
  names: CollectionDefinition<ReservationDocument>,
  name: string,
  userId: string
): Promise<void> {
  await collectionOf(store.db, names).insertOne({ _id: name, userId }, { session: tx.session })
}

export async function release(
  store: Store,
  tx: Tx,
  names: CollectionDefinition<ReservationDocument>,
  name: string,
  userId: string
): Promise<void> {
  await collectionOf(store.db, names).deleteOne({ _id: name, userId }, { session: tx.session })
}
