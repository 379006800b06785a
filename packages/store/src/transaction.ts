import { setTimeout as delay } from 'node:timers/promises'
import { deadlinePassed, remainingMs } from '@skerry/deadline'
import {
  type ClientSession,
  MongoAPIError,
  MongoError,
  MongoNotConnectedError,
  MongoServerError,
  MongoTopologyClosedError
} from 'mongodb'
import { DURABLE, type Store } from './store.ts'

/** A running transaction. Repositories pass `session` to the driver; nothing else may. */
export type Tx = {
  readonly session: ClientSession
  /** W3C trace context of the request or event this belongs to. */
  readonly traceparent: string | undefined
  /** Runs at the end, inside the transaction, in the order given: outbox records go last, so that their order is commit order. */
  beforeCommit(work: () => Promise<void>): void
}

/** What a caller brings: the trace, and work that must commit with the write (the stored answer of an Idempotency-Key). */
export type CallContext = {
  traceparent?: string
  beforeCommit?(tx: Tx, result: unknown): Promise<void>
}

const OPTIONS = {
  readConcern: { level: 'snapshot' },
  writeConcern: DURABLE,
  readPreference: 'primary',
  maxCommitTimeMS: 5_000
} as const

/**
 * How long transactions may be tried again, in milliseconds: a little longer than mongod keeps one whose client was killed
 * (`transactionLifetimeLimitSeconds`, 5). An attempt that has begun is bounded by the store's own limits.
 */
const RETRY_FOR_MS = 7_000

/**
 * Runs `work` in a transaction, again while MongoDB says that it may be tried again (a write conflict, a new primary), for a bounded time.
 * `work` must not keep state outside of the transaction: it may run several times.
 *
 * Resolves only when the commit is journaled by a majority. Under a deadline it is tried again only while time is left, and rejects with
 * UNAVAILABLE when that ran out before the commit was sent; from then on only the commit's own outcome counts.
 */
export async function transaction<T>(store: Store, call: CallContext, work: (tx: Tx) => Promise<T>): Promise<T> {
  const session = store.client.startSession()
  const until = performance.now() + RETRY_FOR_MS
  try {
    for (let attempt = 0; ; attempt++) {
      let committing = false
      try {
        refuseLate()
        session.startTransaction(OPTIONS)
        const result = await runWork(session, call, work)
        refuseLate()
        committing = true
        await commit(session, until)
        return result
      } catch (error) {
        if (session.inTransaction()) await abort(session)
        // An operation that was stopped by what was left of the deadline rejects with mongod's own code.
        if (!committing && error instanceof MongoError && remainingMs() <= 0) throw deadlinePassed(error)
        if (!hasLabel(error, 'TransientTransactionError') || performance.now() > until) throw error
        // Full jitter: two writers of one document would else meet again and again.
        await delay(Math.min(Math.random() * Math.min(200, 2 * 2 ** attempt), Math.max(0, remainingMs())))
      }
    }
  } finally {
    await session.endSession()
  }
}

function refuseLate(): void {
  if (remainingMs() <= 0) throw deadlinePassed()
}

async function runWork<T>(session: ClientSession, call: CallContext, work: (tx: Tx) => Promise<T>): Promise<T> {
  const last: (() => Promise<void>)[] = []
  const tx: Tx = { session, traceparent: call.traceparent, beforeCommit: (f) => last.push(f) }
  const result = await work(tx)
  await call.beforeCommit?.(tx, result)
  for (const f of last) await f()
  return result
}

async function commit(session: ClientSession, until: number): Promise<void> {
  for (;;) {
    try {
      await session.commitTransaction()
      return
    } catch (error) {
      // Committing twice is committing once, so an unknown outcome is asked for again.
      if (!hasLabel(error, 'UnknownTransactionCommitResult') || performance.now() > until) throw error
      await delay(20)
    }
  }
}

async function abort(session: ClientSession): Promise<void> {
  try {
    await session.abortTransaction()
  } catch (error) {
    // The server ends it by itself; what matters to the caller is why the work failed.
    if (!(error instanceof MongoError)) throw error
  }
}

function hasLabel(error: unknown, label: string): boolean {
  return error instanceof MongoError && error.hasErrorLabel(label)
}

/**
 * Whether an error says that a unique value is taken.
 *
 * @param collection only when it happened there, or in another generation of it
 */
export function isDuplicate(error: unknown, collection?: string): boolean {
  if (!(error instanceof MongoServerError) || error.code !== 11000) return false
  if (collection === undefined) return true
  return error.message.includes(`.${collection} `) || error.message.includes(`.${collection}--r`)
}

/** What a server says that is away, stopping, no primary, too busy for a bound, or without room: codes of the retryable reads specification, two of time, one of its disk. */
const TRANSIENT_CODES: ReadonlySet<unknown> = new Set([
  ...[6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436],
  ...[50, 64],
  14031
])

/**
 * Whether an error means that the database was away or busy, so that the same work may succeed later. Wrong use of the driver never is:
 * it would be waited for without end.
 */
export function isTransient(error: unknown): boolean {
  if (!(error instanceof MongoError)) return false
  if (error instanceof MongoNotConnectedError || error instanceof MongoTopologyClosedError) return true
  if (error instanceof MongoAPIError) return false
  if (!(error instanceof MongoServerError)) return true
  const labels = error.errorLabels
  return (
    TRANSIENT_CODES.has(error.code) ||
    labels.some(
      (l) => l === 'TransientTransactionError' || l === 'RetryableWriteError' || l === 'UnknownTransactionCommitResult'
    )
  )
}
