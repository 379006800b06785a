/**
 * Waits for answers, and gives all of them up when the signal aborts: they then reject with its reason. One listener serves them all.
 */
export function untilAborted(signal: AbortSignal): <T>(answer: Promise<T>) => Promise<T> {
  const waiting = new Set<(reason: unknown) => void>()
  signal.addEventListener('abort', () => {
    for (const giveUp of waiting) giveUp(signal.reason)
  })
  return async (answer) => {
    let mine: (reason: unknown) => void = () => undefined
    const givenUp = new Promise<never>((_, reject) => {
      mine = reject
      if (signal.aborted) reject(signal.reason)
      else waiting.add(reject)
    })
    try {
      return await Promise.race([answer, givenUp])
    } finally {
      waiting.delete(mine)
    }
  }
}
