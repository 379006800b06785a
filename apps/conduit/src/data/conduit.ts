import { bucketOf, collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'

export type ArticleDocument = {
  _id: string
  /** The owner's. */
  bucket: number
  ownerId: string
  text: string
  version: number
  createdAt: Date
}

export const conduitCollection = defineCollection<ArticleDocument>({
  name: 'conduit',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [{ key: { bucket: 1, ownerId: 1, _id: -1 } }]
})

const sessionOf = (tx: Tx | undefined) => (tx === undefined ? {} : { session: tx.session })

export async function insertArticle(store: Store, tx: Tx, document: ArticleDocument): Promise<void> {
  await collectionOf(store.db, conduitCollection).insertOne(document, { session: tx.session })
}

/** One article of its owner; null when there is none. */
export function findArticle(store: Store, ownerId: string, id: string, tx?: Tx): Promise<ArticleDocument | null> {
  return collectionOf(store.db, conduitCollection).findOne(
    { bucket: bucketOf(ownerId), _id: id, ownerId },
    { hint: { _id: 1 }, ...sessionOf(tx) }
  )
}

/** What somebody has, newest first, older than `before`. */
export function findArticlesOf(
  store: Store,
  ownerId: string,
  { before, limit }: { before: string | undefined; limit: number }
): Promise<ArticleDocument[]> {
  return collectionOf(store.db, conduitCollection)
    .find(
      { bucket: bucketOf(ownerId), ownerId, ...(before === undefined ? {} : { _id: { $lt: before } }) },
      { sort: { _id: -1 }, limit }
    )
    .toArray()
}

/** False when it was gone already. */
export async function eraseArticle(store: Store, tx: Tx, { bucket, _id }: ArticleDocument): Promise<boolean> {
  const done = await collectionOf(store.db, conduitCollection).deleteOne({ bucket, _id }, { session: tx.session })
  return done.deletedCount === 1
}
