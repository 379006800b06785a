import { hash } from 'node:crypto'
import { SkerryError } from '@skerry/contracts'

/** An answer as it was sent: a replay sends the same bytes. */
export type StoredAnswer = { status: number; body: string | null; headers?: Record<string, string> }

/** What keeps answers by `Idempotency-Key`; `@skerry/store` has one in MongoDB. */
export interface IdempotencyStore {
  /** Takes `id` for this request, or says who has it. `bucketOf` is the user the record belongs to. */
  claim(claim: {
    id: string
    bodyHash: string
    bucketOf?: string
  }): Promise<
    { state: 'new' } | { state: 'in-flight' } | { state: 'mismatch' } | { state: 'done'; answer: StoredAnswer }
  >
  /** Keeps the answer, within the transaction of the write when there is one. */
  complete(id: string, answer: StoredAnswer, tx?: unknown): Promise<void>
  /** Gives up a claim that is still in flight; one that is done stays. */
  release(id: string): Promise<void>
}

export type IdempotentRequest = {
  key: string
  userId: string | undefined
  method: string
  /** With its parameters, without the query. */
  path: string
  body: unknown
}

const KEY = /^[\x21-\x7e]{1,255}$/
/** Refusals of this moment rather than of this request: the same request may do better later, so they are not kept. */
const PASSING: ReadonlySet<number> = new Set([401, 408, 425, 429])

/**
 * Runs a write once for its key. A first request runs `write(keep)`, where `keep(tx, result)` stores the answer in the write's own
 * transaction; what was not kept that way is stored afterwards. A repeated one gets the stored answer with `replayed: true`.
 * Throws IDEMPOTENCY_IN_FLIGHT, IDEMPOTENCY_MISMATCH, BAD_REQUEST for a bad key, and what `write` throws.
 */
export async function runOnce<T>(
  store: IdempotencyStore,
  request: IdempotentRequest,
  write: (keep: (tx: unknown, result: T) => Promise<void>) => Promise<T>,
  answerOf: { result(result: T): StoredAnswer; error(error: unknown): { status: number; answer: StoredAnswer } }
): Promise<{ answer: StoredAnswer; replayed: boolean }> {
  if (!KEY.test(request.key)) {
    const errors = [
      { path: 'header.idempotency-key', code: 'pattern', message: 'must be 1 to 255 visible ASCII characters' }
    ]
    throw new SkerryError('BAD_REQUEST', { errors })
  }
  const { userId } = request
  const id = hash('sha256', `${userId ?? 'anonymous'}\n${request.method}\n${request.path}\n${request.key}`, 'base64url')
  const bodyHash = hash('sha256', JSON.stringify(request.body) ?? '', 'base64url')
  const claim = await store.claim({ id, bodyHash, ...(userId === undefined ? {} : { bucketOf: userId }) })
  if (claim.state === 'done') return { answer: claim.answer, replayed: true }
  if (claim.state === 'in-flight') throw new SkerryError('IDEMPOTENCY_IN_FLIGHT', { retryAfter: 1 })
  if (claim.state === 'mismatch') throw new SkerryError('IDEMPOTENCY_MISMATCH')

  let kept: { result: T; answer: StoredAnswer } | undefined
  let result: T
  try {
    result = await write(async (tx, value) => {
      const answer = answerOf.result(value)
      await store.complete(id, answer, tx)
      kept = { result: value, answer }
    })
  } catch (error) {
    const failed = answerOf.error(error)
    const again = failed.status >= 500 || PASSING.has(failed.status)
    // What went wrong first is what the caller hears, also when the store is away now: its claim then ends by itself.
    await Promise.allSettled([again ? store.release(id) : store.complete(id, failed.answer)])
    throw error
  }
  if (kept !== undefined) return { answer: kept.answer, replayed: false }
  const answer = answerOf.result(result)
  await store.complete(id, answer)
  return { answer, replayed: false }
}
