import { collectionOf, defineCollection, isDuplicate, newId, type Store, type Tx } from '@skerry/store'
import { OperatorError } from './protocol.ts'

export type OperationKind = 'retry' | 'discard' | 'replay' | 'rebuild' | 'switch' | 'rollback' | 'finish' | 'abort'

/** What an operator asked for: work until it has ended, and the audit record for as long as it is kept. */
export type Operation = {
  _id: string
  /** The durable's name. */
  consumer: string
  kind: OperationKind
  /** What it is about; only one pending operation of a consumer may be about the same: `letter:12`, `replay:content`, `model`. */
  target: string
  by: string
  at: Date
  state: 'pending' | 'done' | 'failed'
  request: Record<string, unknown>
  /** The partitions in which it has been done, of what each has to do. */
  parts?: number[]
  /** The thing before and after, as text. */
  before: string | null
  after: string | null
  outcome: string | null
  finishedAt?: Date
}

/** How long audit records are kept, in seconds. */
export const OPERATION_RETENTION_S = 400 * 24 * 3600
const LISTED_AT_ONCE = 50
/** Pending operations taken in at one look; the others come with the next. */
const TAKEN_AT_ONCE = 100

export const operations = defineCollection<Operation>({
  name: 'operations',
  shardKey: null,
  indexes: [
    { key: { consumer: 1, _id: -1 } },
    {
      key: { consumer: 1, target: 1 },
      options: { unique: true, partialFilterExpression: { state: 'pending' } }
    },
    { key: { at: 1 }, options: { expireAfterSeconds: OPERATION_RETENTION_S } }
  ]
})

export type NewOperation = Pick<Operation, 'consumer' | 'kind' | 'target' | 'by' | 'request'> &
  Partial<Pick<Operation, 'before' | 'after' | 'state' | 'outcome'>>

/** Records an operation, pending unless it says otherwise. Rejects with BUSY while another one about the same thing is pending. */
export async function recordOperation(store: Store, operation: NewOperation, tx?: Tx): Promise<Operation> {
  const at = new Date()
  const record: Operation = {
    _id: newId(0),
    at,
    state: 'pending',
    before: null,
    after: null,
    outcome: null,
    ...(operation.state === undefined || operation.state === 'pending' ? {} : { finishedAt: at }),
    ...operation
  }
  try {
    await collectionOf(store.db, operations).insertOne(record, tx === undefined ? {} : { session: tx.session })
  } catch (error) {
    if (!isDuplicate(error, operations.name)) throw error
    throw new OperatorError('BUSY', `an operation on ${operation.target} of ${operation.consumer} is still pending`)
  }
  return record
}

/** Ends a pending operation; one that has ended stays as it is. */
export async function finishOperation(
  store: Store,
  id: string,
  end: { state: 'done' | 'failed'; outcome: string; after?: string }
): Promise<void> {
  await collectionOf(store.db, operations).updateOne(
    { _id: id, state: 'pending' },
    { $set: { ...end, finishedAt: new Date() } }
  )
}

/** Notes that a pending operation was done in one partition, and ends it when that was the last one. */
export async function finishPart(
  store: Store,
  id: string,
  { index, of }: { index: number; of: number },
  outcome: string
): Promise<void> {
  const noted = await collectionOf(store.db, operations).findOneAndUpdate(
    { _id: id, state: 'pending' },
    { $addToSet: { parts: index } },
    { returnDocument: 'after' }
  )
  if (noted !== null && new Set(noted.parts).size >= of) await finishOperation(store, id, { state: 'done', outcome })
}

export function findOperation(store: Store, id: string): Promise<Operation | null> {
  return collectionOf(store.db, operations).findOne({ _id: id })
}

/** What a consumer has still to do, oldest first. */
export function pendingOperations(store: Store, consumer: string): Promise<Operation[]> {
  return collectionOf(store.db, operations)
    .find({ consumer, state: 'pending' }, { sort: { target: 1 }, limit: TAKEN_AT_ONCE })
    .toArray()
}

/** What was done to a consumer, newest first. */
export function listOperations(
  store: Store,
  consumer: string,
  page: { before?: string | undefined; limit?: number | undefined; target?: string | undefined }
): Promise<Operation[]> {
  const { before, target } = page
  const limit = Math.min(page.limit ?? LISTED_AT_ONCE, LISTED_AT_ONCE)
  return collectionOf(store.db, operations)
    .find(
      {
        consumer,
        ...(before === undefined ? {} : { _id: { $lt: before } }),
        ...(target === undefined ? {} : { target })
      },
      { sort: { _id: -1 }, limit, hint: { consumer: 1, _id: -1 } }
    )
    .toArray()
}
