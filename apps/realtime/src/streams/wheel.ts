/** One timer for all streams: each of its slots is served once in a turn. */
export type Wheel<T> = {
  add(item: T): void
  remove(item: T): void
  close(): void
}

const SLOTS = 15

/**
 * @param turnMs milliseconds between two visits of an item
 * @param onTick before the visits of each tick, `SLOTS` times a turn
 */
export function createWheel<T>(turnMs: number, visit: (item: T) => void, onTick: () => void): Wheel<T> {
  const slots = Array.from({ length: SLOTS }, () => new Set<T>())
  const slotOf = new Map<T, Set<T>>()
  let at = 0
  const timer = setInterval(
    () => {
      onTick()
      at = (at + 1) % SLOTS
      for (const item of slots[at]!) visit(item)
    },
    Math.max(1, turnMs / SLOTS)
  )
  timer.unref()
  return {
    add(item) {
      // The slot just served: the first visit is one full turn away.
      const slot = slots[at]!
      slot.add(item)
      slotOf.set(item, slot)
    },
    remove(item) {
      slotOf.get(item)?.delete(item)
      slotOf.delete(item)
    },
    close: () => clearInterval(timer)
  }
}
