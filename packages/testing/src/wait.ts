import { setTimeout as delay } from 'node:timers/promises'

/**
 * Waits until a condition holds, asking again every 10 ms. A condition that throws ends the wait.
 *
 * @param options `timeoutMs` (60,000, which a busy machine does not reach) bounds the wait; `message` says what was waited for
 */
export async function waitFor(
  condition: () => unknown,
  options: { timeoutMs?: number; message?: string } = {}
): Promise<void> {
  const bound = options.timeoutMs ?? 60_000
  const until = Date.now() + bound
  while (!(await condition())) {
    if (Date.now() > until) throw new Error(`not within ${bound} ms: ${options.message ?? condition}`)
    await delay(10)
  }
}
