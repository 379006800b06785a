import { hash } from 'node:crypto'
import { SkerryError } from '@skerry/contracts'
import canonicalize from 'canonicalize'

/** An answer as it was sent: a replay sends the same bytes. */
export type StoredAnswer = { status: number; body: string | null; headers?: Record<string, string> }

export type Claim =
  | { state: 'new' }
  | { state: 'in-flight' }
  | { state: 'mismatch' }
  | { state: 'done'; answer: StoredAnswer }

/** What keeps answers by `Idempotency-Key`; `@skerry/store` has one in MongoDB. */
export interface IdempotencyStore {
  /** Takes `id` for this request, or says who has it. `bucketOf` is the user the record belongs to. */
  claim(claim: { id: string; bodyHash: string; bucketOf?: string }): Promise<Claim>
  /**
   * Keeps the answer, within the transaction of the write when there is one. `owner`: whose it is, where that was not known before; with
   * the user everything that is theirs is erased.
   */
  complete(id: string, answer: StoredAnswer, tx?: unknown, owner?: string): Promise<void>
  /** Gives up a claim that is still in flight; one that is done stays. */
  release(id: string): Promise<void>
  /**
   * Keeps an answer for an id that was not claimed, within the transaction of the write when there is one. Rejects when the id is taken;
   * within a transaction that fails the transaction.
   */
  record(record: { id: string; bodyHash: string; bucketOf?: string; answer: StoredAnswer }, tx?: unknown): Promise<void>
  /** Who has an id; `new`: nobody. */
  find(request: { id: string; bodyHash: string }): Promise<Claim>
}

export type IdempotentRequest = {
  key: string
  userId: string | undefined
  method: string
  /** With its parameters, without the query. */
  path: string
  body: unknown
}

/** A request as stores know it. */
type Identified = { id: string; bodyHash: string; bucketOf?: string }

/** What is kept of a success: the answer itself, or what it can be made of again, and whose it is. */
export type Kept = { answer: StoredAnswer; owner?: string | undefined }

const KEY = /^[\x21-\x7e]{1,255}$/
/** Refusals of this moment rather than of this request: the same request may do better later, so they are not kept. */
const PASSING: ReadonlySet<number> = new Set([401, 408, 425, 429])

/**
 * Bodies are the same when their canonical JSON is (RFC 8785): a client that stores a request and sends it again may write its members in
 * another order. Without a user a key holds for its body alone: strangers may choose the same key, and must not meet each other's answers.
 *
 * Runs a write once for its key. A first request runs `write(keep)`, where `keep(tx, result)` stores the answer in the write's own
 * transaction; what was not kept that way is stored afterwards. A repeated one gets the stored answer with `replayed: true`.
 * Throws IDEMPOTENCY_IN_FLIGHT, IDEMPOTENCY_MISMATCH, BAD_REQUEST for a bad key, and what `write` throws.
 */
export async function runOnce<T>(
  store: IdempotencyStore,
  request: IdempotentRequest,
  write: Write<T>,
  answerOf: Answers<T>
): Promise<Once> {
  const identified = identify(request)
  const { id } = identified
  const before = ended(await store.claim(identified))
  if (before !== undefined) return before

  let kept: { answer: StoredAnswer } | undefined
  let result: T
  try {
    result = await write(async (tx, value) => {
      const { answer, owner } = answerOf.result(value)
      await store.complete(id, answer, tx, owner)
      kept = { answer }
    })
  } catch (error) {
    const failed = answerOf.error(error)
    // What went wrong first is what the caller hears, also when the store is away now: its claim then ends by itself.
    await Promise.allSettled([mayDoBetter(failed) ? store.release(id) : store.complete(id, failed.answer)])
    throw error
  }
  if (kept !== undefined) return { answer: kept.answer, replayed: false }
  const { answer, owner } = answerOf.result(result)
  await store.complete(id, answer, undefined, owner)
  return { answer, replayed: false }
}

/**
 * The same for a write that is one transaction and changes nothing outside of it: nothing is claimed before, the answer is inserted by
 * the transaction itself, and one of two that run at once commits. That saves a journaled write of each request. What fails looks whether
 * the work was done before: the refusal may only say that it was (a name that is taken, a post that has been deleted since).
 */
export async function runOnceByCommit<T>(
  store: IdempotencyStore,
  request: IdempotentRequest,
  write: Write<T>,
  answerOf: Omit<Answers<T>, 'result'> & { result(result: T): { answer: StoredAnswer } }
): Promise<Once> {
  const identified = identify(request)
  let kept: { answer: StoredAnswer } | undefined
  // Said anew by each attempt of the transaction.
  let recording = false
  const earlier = async (): Promise<Once | undefined> => ended(await store.find(identified))
  try {
    const result = await write(async (tx, value) => {
      const { answer } = answerOf.result(value)
      recording = true
      await store.record({ ...identified, answer }, tx)
      recording = false
      kept = { answer }
    })
    if (kept !== undefined) return { answer: kept.answer, replayed: false }
    const { answer } = answerOf.result(result)
    return await keep(answer)
  } catch (error) {
    const failed = answerOf.error(error)
    if (!recording && mayDoBetter(failed)) throw error
    try {
      const done = recording ? await earlier() : await keep(failed.answer)
      if (done?.replayed) return done
    } catch (second) {
      // A store that is away now is not what went wrong first.
      if (second instanceof SkerryError && second.code.startsWith('IDEMPOTENCY_')) throw second
    }
    throw error
  }

  async function keep(answer: StoredAnswer): Promise<Once> {
    try {
      await store.record({ ...identified, answer })
      return { answer, replayed: false }
    } catch (error) {
      const done = await earlier()
      if (done === undefined) throw error
      return done
    }
  }
}

type Write<T> = (keep: (tx: unknown, result: T) => Promise<void>) => Promise<T>
type Answers<T> = { result(result: T): Kept; error(error: unknown): { status: number; answer: StoredAnswer } }
type Once = { answer: StoredAnswer; replayed: boolean }

function identify(request: IdempotentRequest): Identified {
  if (!KEY.test(request.key)) {
    const errors = [
      { path: 'header.idempotency-key', code: 'pattern', message: 'must be 1 to 255 visible ASCII characters' }
    ]
    throw new SkerryError('BAD_REQUEST', { errors })
  }
  const { userId } = request
  const bodyHash = hash('sha256', canonical(request.body), 'base64url')
  const whose = userId ?? `anonymous ${bodyHash}`
  const id = hash('sha256', `${whose}\n${request.method}\n${request.path}\n${request.key}`, 'base64url')
  return { id, bodyHash, ...(userId === undefined ? {} : { bucketOf: userId }) }
}

/** The answer that was given before; undefined when this request is the first. */
function ended(claim: Claim): Once | undefined {
  if (claim.state === 'done') return { answer: claim.answer, replayed: true }
  if (claim.state === 'in-flight') throw new SkerryError('IDEMPOTENCY_IN_FLIGHT', { retryAfter: 1 })
  if (claim.state === 'mismatch') throw new SkerryError('IDEMPOTENCY_MISMATCH')
  return undefined
}

function mayDoBetter({ status }: { status: number }): boolean {
  return status >= 500 || PASSING.has(status)
}

function canonical(body: unknown): string {
  try {
    return canonicalize(body) ?? ''
  } catch (error) {
    // JSON reads 1e999 as infinite, which no JSON can say again.
    const errors = [{ path: 'body', code: 'type', message: 'must hold finite numbers alone' }]
    throw new SkerryError('BAD_REQUEST', { errors, cause: error })
  }
}
