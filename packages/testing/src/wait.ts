import { setTimeout as delay } from 'node:timers/promises'

/** Between two looks at first, and at most. */
const FIRST_MS = 10
const LONGEST_MS = 100
/** A look is late by at most this part of what was waited for; many looks at what is dear to ask would keep it from happening. */
const LATENESS = 0.05

/**
 * Waits until a condition holds. It asks again after 10 ms at first, then after a twentieth of the time that has passed, at most after 100 ms.
 * A condition that throws ends the wait. It asks, and does nothing: what is to be done until something holds is a loop.
 *
 * @param options `timeoutMs` (60,000, which a busy machine does not reach) bounds the wait; `message` says what was waited for
 */
export async function waitFor(
  condition: () => unknown,
  options: { timeoutMs?: number; message?: string } = {}
): Promise<void> {
  const bound = options.timeoutMs ?? 60_000
  const begun = performance.now()
  while (!(await condition())) {
    const waited = performance.now() - begun
    if (waited > bound) throw new Error(`not within ${bound} ms: ${options.message ?? condition}`)
    await delay(Math.min(LONGEST_MS, Math.max(FIRST_MS, waited * LATENESS)))
  }
}
