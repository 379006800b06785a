import { bucketOf, collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'

export type AccountDocument = {
  bucket: number
  _id: string
  username: string
  email: string
  emailVerified: boolean
  displayName: string
  passwordHash: string
  version: number
  createdAt: Date
  updatedAt: Date
  signedInAt: Date
  /** Hashes of the addresses it was signed in to from last, newest first. */
  places?: string[]
  /** The deletion that is under way: nobody can sign in any more. */
  deletionId?: string
  /** The export that was asked for last. */
  exportId?: string
}

export const accounts = defineCollection<AccountDocument>({
  name: 'accounts',
  shardKey: { bucket: 1, _id: 1 },
  indexes: []
})

export async function insertAccount(store: Store, tx: Tx, account: AccountDocument): Promise<void> {
  await collectionOf(store.db, accounts).insertOne(account, { session: tx.session })
}

export async function findAccount(store: Store, userId: string, tx?: Tx): Promise<AccountDocument | null> {
  return collectionOf(store.db, accounts).findOne(
    { bucket: bucketOf(userId), _id: userId },
    tx === undefined ? {} : { session: tx.session }
  )
}

/**
 * Notes a sign-in with the password whose hash is `passwordHash`. False when the account has another one by now, or is being deleted: writing the account is what
 * makes a sign-in and a change of the password exclude each other.
 */
export async function noteSignIn(
  store: Store,
  tx: Tx,
  account: AccountDocument,
  signIn: { signedInAt: Date; places: string[] }
): Promise<boolean> {
  const { bucket, _id, passwordHash } = account
  const result = await collectionOf(store.db, accounts).updateOne(
    { bucket, _id, passwordHash, deletionId: { $exists: false } },
    { $set: signIn },
    { session: tx.session }
  )
  return result.matchedCount === 1
}

export async function saveAccount(store: Store, tx: Tx, account: AccountDocument): Promise<void> {
  const { bucket, _id, ...rest } = account
  await collectionOf(store.db, accounts).updateOne({ bucket, _id }, { $set: rest }, { session: tx.session })
}

/** Marks an account as being deleted, or as exported: of two who want that at once, the second sees what the first did. */
export async function markAccount(
  store: Store,
  tx: Tx,
  userId: string,
  mark: { deletionId: string } | { exportId: string }
): Promise<void> {
  await collectionOf(store.db, accounts).updateOne(
    { bucket: bucketOf(userId), _id: userId },
    { $set: mark },
    { session: tx.session }
  )
}

export async function removeAccount(store: Store, tx: Tx, userId: string): Promise<void> {
  await collectionOf(store.db, accounts).deleteOne({ bucket: bucketOf(userId), _id: userId }, { session: tx.session })
}
