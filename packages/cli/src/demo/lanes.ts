/** Runs tasks at most `width` at a time. The first failure stops what has not begun and is thrown by `start` and `idle`. */
export function createLanes(width: number, signal: AbortSignal) {
  const running = new Set<Promise<void>>()
  let failed: { error: unknown } | undefined

  function check(): void {
    if (failed !== undefined) throw failed.error
    signal.throwIfAborted()
  }

  return {
    /** Begins a task as soon as a lane is free; resolves when it has begun. */
    async start(task: () => Promise<unknown>): Promise<void> {
      while (running.size >= width) await Promise.race(running)
      check()
      const mine: Promise<void> = task()
        .then(
          () => {},
          (error) => {
            failed ??= { error }
          }
        )
        .finally(() => running.delete(mine))
      running.add(mine)
    },
    /** Throws as soon as anything has failed or the signal aborted. */
    check,
    /** Makes every later `check` throw this: a failure outside the lanes. */
    fail(error: unknown): void {
      failed ??= { error }
    },
    /** Resolves when all tasks are done. */
    async idle(): Promise<void> {
      await Promise.all(running)
      check()
    }
  }
}
