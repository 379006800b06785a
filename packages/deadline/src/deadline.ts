import { AsyncLocalStorage } from 'node:async_hooks'
import { SkerryError } from '@skerry/contracts'

/** Until when somebody waits for what is being done. */
export type Deadline = {
  /** Milliseconds left; 0 or less once the time has passed or nobody waits any more; Infinity where nothing bounds it. */
  remainingMs(): number
}

const current = new AsyncLocalStorage<Deadline | undefined>()

/**
 * Runs `work` under a deadline: everything that it starts and awaits finds it with `currentDeadline`. Costs 0.3 µs on Node 26 and nothing
 * for each await (docs/decisions.md). `undefined` takes the caller's deadline off, for what others wait for too or what outlives its caller.
 */
export function withDeadline<A extends unknown[], T>(
  deadline: Deadline | undefined,
  work: (...args: A) => T,
  ...args: A
): T {
  return current.run(deadline, work, ...args)
}

/** The deadline of the work that runs now; undefined outside of any request. */
export function currentDeadline(): Deadline | undefined {
  return current.getStore()
}

/** Milliseconds that the work that runs now has left; Infinity where nothing bounds it. */
export function remainingMs(): number {
  return current.getStore()?.remainingMs() ?? Number.POSITIVE_INFINITY
}

/** Milliseconds left, in requests to services; `passed` in an answer whose caller's time was over, which says nothing of the service. */
export const DEADLINE_HEADER = 'x-skerry-deadline'

/** What work ends with that has no time left: 503 with `Retry-After` and `x-skerry-deadline: passed`. */
export function deadlinePassed(cause?: unknown): SkerryError {
  return new SkerryError('UNAVAILABLE', {
    detail: 'The deadline of this request has passed.',
    retryAfter: 1,
    headers: { [DEADLINE_HEADER]: 'passed' },
    ...(cause === undefined ? {} : { cause })
  })
}
