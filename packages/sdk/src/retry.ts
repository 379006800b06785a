import { reasonOf } from './abort.ts'
import { SkerryApiError, SkerryNetworkError } from './errors.ts'

const BASE_MS = 250
const CAP_MS = 10_000

/**
 * Full-jitter back-off (Marc Brooker, "Exponential Backoff And Jitter", AWS 2015): evenly random up to a doubling bound.
 * @param attempt how many attempts have failed before this one, from 0
 * @returns milliseconds
 */
export function backoff(attempt: number, base = BASE_MS, cap = CAP_MS): number {
  return Math.random() * Math.min(cap, base * 2 ** Math.min(attempt, 20))
}

/**
 * How long to wait before the next attempt, or undefined when there must be none.
 * A 429 was refused before anything happened, so it may always be sent again; anything else only when sending twice is harmless.
 */
export function retryDelay(error: unknown, attempt: number, safe: boolean, maxWaitMs: number): number | undefined {
  if (error instanceof SkerryNetworkError) return safe ? backoff(attempt) : undefined
  if (!(error instanceof SkerryApiError)) return undefined
  if (error.status !== 429 && !(safe && isPassing(error))) return undefined
  if (error.retryAfter === undefined) return backoff(attempt)
  const asked = error.retryAfter * 1000
  return asked > maxWaitMs ? undefined : asked + backoff(Math.min(attempt, 2))
}

function isPassing(error: SkerryApiError): boolean {
  if (error.code === 'IDEMPOTENCY_IN_FLIGHT') return true // our own earlier attempt is still running
  return error.status === 503 || error.status === 502 || error.status === 504 || error.status === 408
}

/** Waits `ms`; rejects with the signal's reason as soon as it aborts. */
export function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(reasonOf(signal))
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal && reasonOf(signal))
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** A key nobody else makes up. React Native has no `crypto.randomUUID`; uniqueness is enough here, secrecy is not needed. */
export function newIdempotencyKey(): string {
  const uuid = globalThis.crypto?.randomUUID?.()
  if (uuid !== undefined) return uuid
  let hex = Date.now().toString(16)
  while (hex.length < 36) hex += Math.floor(Math.random() * 16).toString(16)
  return hex
}
