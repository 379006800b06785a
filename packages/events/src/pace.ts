/** Keeps the batches of a handler apart, so that what comes closely shares one. */
export type Pace = {
  /** A batch has begun. */
  begun(): void
  /**
   * Resolves when the next batch may begin: `paceMs` after the one before, once as many wait as a batch may have, or when `signal` aborts.
   * Undefined: at once.
   */
  turn(signal: AbortSignal): Promise<void> | undefined
  /** It is the turn of all that wait. */
  open(): void
}

/** @param most events of a batch at most, as it is now */
export function createPace(paceMs: number, most: () => number): Pace {
  const waiting = new Set<() => void>()
  /** Signals whose end is heard of. */
  const heard = new WeakSet<AbortSignal>()
  let begunAt = Number.NEGATIVE_INFINITY
  let timer: NodeJS.Timeout | undefined

  function open(): void {
    clearTimeout(timer)
    timer = undefined
    for (const go of waiting) go()
    waiting.clear()
  }

  return {
    open,
    begun() {
      begunAt = performance.now()
    },
    turn(signal) {
      const left = begunAt + paceMs - performance.now()
      if (left <= 0 || signal.aborted) return undefined
      if (!heard.has(signal)) {
        heard.add(signal)
        signal.addEventListener('abort', open, { once: true })
      }
      return new Promise((go) => {
        waiting.add(go)
        if (waiting.size >= most()) open()
        else timer ??= setTimeout(open, left)
      })
    }
  }
}
