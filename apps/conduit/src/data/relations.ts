import { bucketOf, type CollectionDefinition, collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'
import { bucketsOf } from './common.ts'

/** That somebody likes a post or follows somebody, as far as events and the API's answers have told. */
export type RelationDocument = {
  /** `<from>:<to>` */
  _id: string
  /** Of `from`. */
  bucket: number
  from: string
  to: string
  /** Present while it holds. */
  on?: true
  /** How many flips the API's answers are ahead of the events. */
  ahead: number
  /** How many events were news: no answer had been ahead of them. */
  news: number
}

const BY_OWNER = { bucket: 1, from: 1, to: -1 } as const

const relation = (name: string) =>
  defineCollection<RelationDocument>({
    name,
    shardKey: { bucket: 1, _id: 1 },
    indexes: [{ key: BY_OWNER, options: { partialFilterExpression: { on: true } } }]
  })

/** Who likes which post. */
export const favorites = relation('favorites')
/** Who follows whom. */
export const follows = relation('follows')

export type Relations = CollectionDefinition<RelationDocument>
export type Edge = { from: string; to: string }

export async function findRelation(
  store: Store,
  kind: Relations,
  { from, to }: Edge,
  tx?: Tx
): Promise<RelationDocument | undefined> {
  const found = await collectionOf(store.db, kind).findOne(
    { bucket: bucketOf(from), _id: `${from}:${to}` },
    { hint: { _id: 1 }, ...(tx === undefined ? {} : { session: tx.session }) }
  )
  return found ?? undefined
}

export async function saveRelation(
  store: Store,
  kind: Relations,
  tx: Tx,
  { from, to }: Edge,
  state: { on: boolean; ahead: number; news: number }
): Promise<void> {
  const { on, ahead, news } = state
  await collectionOf(store.db, kind).updateOne(
    { bucket: bucketOf(from), _id: `${from}:${to}` },
    { $set: { from, to, ahead, news, ...(on ? { on: true as const } : {}) }, ...(on ? {} : { $unset: { on: 1 } }) },
    { upsert: true, hint: { _id: 1 }, session: tx.session }
  )
}

/** To whom or what somebody has the relation, the newest of them first (by their ids). */
export async function findTargets(store: Store, kind: Relations, from: string, limit: number): Promise<string[]> {
  const found = await collectionOf(store.db, kind)
    .find(
      { bucket: bucketOf(from), from, on: true },
      { sort: { to: -1 }, limit, hint: BY_OWNER, projection: { to: 1 } }
    )
    .toArray()
  return found.map((one) => one.to)
}

/** Which of `to` somebody has the relation to. */
export async function findHeld(
  store: Store,
  kind: Relations,
  from: string,
  to: readonly string[]
): Promise<ReadonlySet<string>> {
  if (to.length === 0) return new Set()
  const found = await collectionOf(store.db, kind)
    .find(
      { bucket: { $in: bucketsOf([from]) }, _id: { $in: to.map((one) => `${from}:${one}`) } },
      { hint: { _id: 1 }, projection: { to: 1, on: 1 } }
    )
    .toArray()
  return new Set(found.filter((one) => one.on === true).map((one) => one.to))
}

/** Forgets a relation, whether it holds or not. */
export async function deleteRelation(store: Store, kind: Relations, tx: Tx, { from, to }: Edge): Promise<void> {
  const where = { bucket: bucketOf(from), _id: `${from}:${to}` }
  await collectionOf(store.db, kind).deleteOne(where, { hint: { _id: 1 }, session: tx.session })
}

/** Forgets all relations of somebody that hold no more. */
export async function deleteRelations(store: Store, kind: Relations, from: string): Promise<void> {
  await collectionOf(store.db, kind).deleteMany(
    { bucket: bucketOf(from), _id: { $gte: `${from}:`, $lt: `${from};` }, on: { $exists: false } },
    { hint: { _id: 1 } }
  )
}
