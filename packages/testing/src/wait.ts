import { setTimeout as delay } from 'node:timers/promises'

/** Who has waited for long is told a little later: a question to a store costs a processor what others wait for. */
const MOST_MS = 100

/**
 * Waits until a condition holds, asking again after 10 ms at first, and after a fiftieth of the time that it has waited, 100 ms at most. A condition
 * that throws ends the wait.
 *
 * @param options `timeoutMs` (60,000, which a busy machine does not reach) bounds the wait; `message` says what was waited for
 */
export async function waitFor(
  condition: () => unknown,
  options: { timeoutMs?: number; message?: string } = {}
): Promise<void> {
  const bound = options.timeoutMs ?? 60_000
  const since = performance.now()
  while (!(await condition())) {
    const waited = performance.now() - since
    if (waited > bound) throw new Error(`not within ${bound} ms: ${options.message ?? condition}`)
    await delay(Math.min(Math.max(10, waited / 50), MOST_MS))
  }
}
