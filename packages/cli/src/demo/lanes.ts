export type Lanes = {
  /** Begins a task as soon as a lane is free; resolves when it has begun, throws what stopped the lanes. */
  start(task: () => Promise<unknown>): Promise<void>
  /** Throws as soon as anything has failed or the signal aborted. */
  check(): void
}

/**
 * Runs tasks at most `width` at a time. After the first failure, or when the signal aborts, nothing more begins; what is under way is
 * waited for, and then the failure is thrown.
 * @param onFail called once at the first failure, while others are still under way
 */
export async function inLanes(
  options: { width: number; signal: AbortSignal; onFail: () => void },
  body: (lanes: Lanes) => Promise<void>
): Promise<void> {
  const { width, signal, onFail } = options
  const running = new Set<Promise<void>>()
  let failed: { error: unknown } | undefined

  function fail(error: unknown): void {
    if (failed === undefined) onFail()
    failed ??= { error }
  }
  function check(): void {
    if (failed !== undefined) throw failed.error
    signal.throwIfAborted()
  }

  const lanes: Lanes = {
    async start(task) {
      while (running.size >= width) await Promise.race(running)
      check()
      const mine: Promise<void> = task()
        .then(() => {}, fail)
        .finally(() => running.delete(mine))
      running.add(mine)
    },
    check
  }
  await body(lanes).catch(fail)
  await Promise.all(running)
  check()
}
