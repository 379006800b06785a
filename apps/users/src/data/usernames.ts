import { collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'
import { usernameKey } from '@skerry/text'

type UsernameDocument = {
  /** The username in lower case. */
  _id: string
  userId: string
  /** When this user took it: of two that had it one after the other, the later one counts, whichever event comes first. */
  at: Date
}

/** Who has which username, as auth told: for finding people by name. Sharded by name, so that a prefix is on few shards. */
export const usernames = defineCollection<UsernameDocument>({ name: 'usernames', shardKey: { _id: 1 }, indexes: [] })

/** Records that a user took a name, unless somebody took it later. */
export async function saveUsername(store: Store, tx: Tx, username: string, userId: string, at: Date): Promise<void> {
  const later = { $lte: [{ $ifNull: ['$at', new Date(0)] }, at] }
  await collectionOf(store.db, usernames).updateOne(
    { _id: usernameKey(username) },
    [{ $set: { userId: { $cond: [later, userId, '$userId'] }, at: { $cond: [later, at, '$at'] } } }],
    { upsert: true, session: tx.session }
  )
}

/** Removes a name that a user gave up, unless it is somebody else's by now. */
export async function deleteUsername(store: Store, tx: Tx, username: string, userId: string): Promise<void> {
  await collectionOf(store.db, usernames).deleteOne({ _id: usernameKey(username), userId }, { session: tx.session })
}

export async function findUserByName(store: Store, username: string): Promise<string | undefined> {
  return (await collectionOf(store.db, usernames).findOne({ _id: usernameKey(username) }))?.userId
}

/** Names that begin with `prefix`, in order, after `after`. */
export function findNames(
  store: Store,
  prefix: string,
  after: string | undefined,
  limit: number
): Promise<UsernameDocument[]> {
  const start = usernameKey(prefix)
  return collectionOf(store.db, usernames)
    .find(
      { _id: { ...(after === undefined ? {} : { $gt: after }), $gte: start, $lt: `${start}\u{10ffff}` } },
      { sort: { _id: 1 }, limit }
    )
    .toArray()
}
