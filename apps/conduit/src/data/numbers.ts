import { bucketOf, collectionOf, defineCollection, isDuplicate, type Store } from '@skerry/store'

type CommentIdDocument = { _id: string; bucket: number; number: number }

/** The number of each comment: kept apart from the read model, so that a rebuild finds it again. */
export const commentIds = defineCollection<CommentIdDocument>({
  name: 'comment_ids',
  shardKey: { bucket: 1, _id: 1 },
  indexes: []
})

/** The last number given. */
export const counters = defineCollection<{ _id: string; last: number }>({
  name: 'counters',
  shardKey: null,
  indexes: []
})

/** The integer of a comment: the one it has, or the next. Whoever asks again, also at the same time, gets the same; numbers may be left out. */
export async function numberOf(store: Store, commentId: string): Promise<number> {
  const collection = collectionOf(store.db, commentIds)
  const where = { bucket: bucketOf(commentId), _id: commentId }
  const known = await collection.findOne(where, { hint: { _id: 1 } })
  if (known !== null) return known.number
  const number = await nextNumber(store)
  try {
    await collection.insertOne({ ...where, number })
    return number
  } catch (error) {
    if (!isDuplicate(error, commentIds.name)) throw error
    return numberOf(store, commentId)
  }
}

async function nextNumber(store: Store): Promise<number> {
  const counter = await collectionOf(store.db, counters).findOneAndUpdate(
    { _id: 'comments' },
    { $inc: { last: 1 } },
    { upsert: true, returnDocument: 'after' }
  )
  return counter?.last ?? nextNumber(store)
}
