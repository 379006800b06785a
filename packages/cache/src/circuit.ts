/** A breaker in front of one dependency: after a failure it isn't asked again until a growing pause is over. */
export type Circuit = {
  /** May it be asked now? After a pause one caller is told yes; the others wait for what it reports. */
  allows(): boolean
  succeeded(): void
  failed(): void
  /** Forgets the pause: the dependency is known to be back. */
  reset(): void
}

/**
 * @param firstMs pause after the first failure, doubled by each further one
 * @param longestMs where the doubling ends
 */
export function createCircuit(
  firstMs: number,
  longestMs: number,
  now: () => number = () => performance.now()
): Circuit {
  let failures = 0
  let pausedUntil = 0
  let trial = false
  return {
    allows() {
      if (failures === 0) return true
      const time = now()
      if (time < pausedUntil) return false
      // The trial holds the door for one more pause, in case it never reports.
      pausedUntil = time + pause()
      trial = true
      return true
    },
    succeeded() {
      failures = 0
      trial = false
    },
    failed() {
      // Calls that were under way together fail together: that is one failure, not many.
      if (failures > 0 && !trial && now() < pausedUntil) return
      trial = false
      failures++
      pausedUntil = now() + pause()
    },
    reset() {
      failures = 0
      trial = false
    }
  }

  function pause(): number {
    return Math.min(longestMs, firstMs * 2 ** Math.min(Math.max(failures - 1, 0), 20))
  }
}
