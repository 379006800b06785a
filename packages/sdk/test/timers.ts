import type { Test } from 'tap'

export type HeldTimers = {
  /** The delays of the held timers that have neither fired nor been cleared. */
  waiting(): number[]
  /** Lets the held timers fire now. */
  fire(): void
}

/**
 * Holds the timers whose delay `held` accepts until the test lets them fire, so that a wait of seconds is seen to begin, has the length that
 * it should have, and ends when the test says so. All other timers run as they are.
 */
export function holdTimers(t: Test, held: (ms: number) => boolean): HeldTimers {
  const { setTimeout: real, clearTimeout: clear } = globalThis
  const kept = new Map<unknown, { ms: number; work: () => void }>()
  const hold = (work: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) => {
    if (!held(ms)) return real(work, ms, ...args)
    const timer = real(() => {}, 2 ** 31 - 1)
    kept.set(timer, { ms, work: () => work(...args) })
    return timer
  }
  globalThis.setTimeout = hold as unknown as typeof setTimeout
  globalThis.clearTimeout = ((timer: Parameters<typeof clear>[0]) => {
    kept.delete(timer)
    clear(timer)
  }) as typeof clearTimeout
  t.teardown(() => {
    globalThis.setTimeout = real
    globalThis.clearTimeout = clear
    for (const timer of kept.keys()) clear(timer as Parameters<typeof clear>[0])
  })
  return {
    waiting: () => [...kept.values()].map(({ ms }) => ms),
    fire() {
      for (const [timer, { work }] of [...kept]) {
        kept.delete(timer)
        clear(timer as Parameters<typeof clear>[0])
        work()
      }
    }
  }
}
