/** Values that are remembered for a short, bounded time. */
export type ShortMemory<V> = {
  get(key: string): V | undefined
  /** Where to put what is about to be read: its age then counts from before the read. */
  begin(): (key: string, value: V) => void
}

/**
 * Two generations of at most `max` values, the younger of which becomes the older after a third of `ttlMs`: no clock per value, nothing to sweep.
 * A value made at the beginning of a generation may be asked for until just before two thirds, and live on as old for the last one.
 *
 * @param ttlMs how old a value may be when it is given out, in milliseconds; 0 remembers nothing
 */
export function createShortMemory<V>(ttlMs: number, max: number): ShortMemory<V> {
  let young = new Map<string, V>()
  let old = new Map<string, V>()
  let turnedAt = performance.now()

  function turn(): void {
    const now = performance.now()
    const age = (now - turnedAt) / (ttlMs / 3)
    if (age < 1 && young.size < max) return
    old = age < 2 ? young : new Map()
    young = new Map()
    turnedAt = now
  }

  return {
    get(key) {
      turn()
      return young.get(key) ?? old.get(key)
    },
    begin() {
      turn()
      const into = young
      return (key, value) => {
        if (ttlMs > 0 && into.size < max) into.set(key, value)
      }
    }
  }
}
