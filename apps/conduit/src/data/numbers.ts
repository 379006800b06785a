import {
  bucketOf,
  collectionOf,
  createTurns,
  defineCollection,
  type Store,
  type Turns,
  type Tx,
  transaction
} from '@skerry/store'
import { despiteOthers } from './common.ts'

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

/** Draws of one instance, which has one client, stand in line, so that they don't make each other's transactions start again. */
const lines = new WeakMap<Store['client'], Turns>()

/**
 * The integer of a comment: the one it has, or the next. Whoever asks again, also at the same time, gets the same. The draw and its record are
 * one transaction, so a comment draws once, whether its answer or its event asks first, and no number is left out.
 */
export async function numberOf(store: Store, commentId: string): Promise<number> {
  return (await findNumber(store, commentId)) ?? inLine(store, () => draw(store, commentId))
}

function inLine(store: Store, work: () => Promise<number>): Promise<number> {
  const line = lines.get(store.client) ?? createTurns()
  lines.set(store.client, line)
  return line(counters.name, work)
}

async function findNumber(store: Store, commentId: string, tx?: Tx): Promise<number | undefined> {
  const known = await collectionOf(store.db, commentIds).findOne(
    { bucket: bucketOf(commentId), _id: commentId },
    { hint: { _id: 1 }, ...(tx && { session: tx.session }) }
  )
  return known?.number
}

/** Two that draw at the same moment change the same counter: the second starts again, and finds what the first has recorded. */
function draw(store: Store, commentId: string): Promise<number> {
  return despiteOthers(() =>
    transaction(store, {}, async (tx) => {
      const known = await findNumber(store, commentId, tx)
      if (known !== undefined) return known
      const { session } = tx
      const counter = await collectionOf(store.db, counters).findOneAndUpdate(
        { _id: 'comments' },
        { $inc: { last: 1 } },
        { upsert: true, returnDocument: 'after', session }
      )
      const number = counter!.last
      await collectionOf(store.db, commentIds).insertOne(
        { _id: commentId, bucket: bucketOf(commentId), number },
        { session }
      )
      return number
    })
  )
}
