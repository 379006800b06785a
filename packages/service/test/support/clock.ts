import type { Test } from 'tap'

export type StoppedClock = {
  /** Moves the clock on; timers that are due by then fire, the earliest first. */
  advance(ms: number): void
}

/**
 * Stops `performance.now` and the timers of `setTimeout` until the test moves them on, so that a time limit is met or passed however slow the
 * machine is. Waits of `node:timers/promises`, as `waitFor` has them, go on.
 */
export function stopClock(t: Test): StoppedClock {
  const { setTimeout: realTimeout, clearTimeout: realClear } = globalThis
  let now = performance.now()
  const due = new Map<unknown, { at: number; work: () => void }>()
  t.intercept(performance, 'now', { value: () => now })
  t.intercept(globalThis, 'setTimeout', {
    value: (work: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
      const timer = realTimeout(() => {}, 2 ** 31 - 1).unref()
      due.set(timer, { at: now + ms, work: () => work(...args) })
      return timer
    }
  })
  t.intercept(globalThis, 'clearTimeout', {
    value: (timer: NodeJS.Timeout) => {
      due.delete(timer)
      realClear(timer)
    }
  })
  return {
    advance(ms) {
      const until = now + ms
      for (;;) {
        const [timer, next] = [...due].filter(([, { at }]) => at <= until).sort(([, a], [, b]) => a.at - b.at)[0] ?? []
        if (next === undefined) break
        due.delete(timer)
        realClear(timer as NodeJS.Timeout)
        now = Math.max(now, next.at)
        next.work()
      }
      now = until
    }
  }
}
