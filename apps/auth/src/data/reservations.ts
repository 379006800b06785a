import { type CollectionDefinition, collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'

/** Who has a name: the name itself is the key, so that it is unique over all shards. */
export type ReservationDocument = { _id: string; userId: string }

const common = {
  shardKey: { _id: 1 },
  indexes: [],
  untargeted: { 'names-all': 'Operators look at every name that there is, in their order, a page at a time.' }
} as const

export const emails = defineCollection<ReservationDocument>({ ...common, name: 'emails' })
export const usernames = defineCollection<ReservationDocument>({ ...common, name: 'usernames' })

export async function findHolder(
  store: Store,
  names: CollectionDefinition<ReservationDocument>,
  name: string,
  tx?: Tx
): Promise<string | undefined> {
  const options = tx === undefined ? {} : { session: tx.session }
  return (await collectionOf(store.db, names).findOne({ _id: name }, options))?.userId
}

/** Reservations in the order of their names, after `after`. */
export function findReservations(
  store: Store,
  names: CollectionDefinition<ReservationDocument>,
  after: string,
  limit: number
): Promise<ReservationDocument[]> {
  return collectionOf(store.db, names)
    .find(
      { _id: { $gt: after } },
      { sort: { _id: 1 }, limit, batchSize: limit + 1, comment: 'names-all', maxTimeMS: 4_000 }
    )
    .toArray()
}

/** Who has these names. */
export async function findHolders(
  store: Store,
  names: CollectionDefinition<ReservationDocument>,
  keys: readonly string[]
): Promise<Map<string, string>> {
  if (keys.length === 0) return new Map()
  const found = await collectionOf(store.db, names)
    .find({ _id: { $in: [...keys] } }, { batchSize: keys.length + 1, maxTimeMS: 4_000 })
    .toArray()
  return new Map(found.map(({ _id, userId }) => [_id, userId]))
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
