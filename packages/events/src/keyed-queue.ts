/** Work that runs in parallel between keys and one after the other within a key. */
export type KeyedQueue = {
  /** Resolves when the work has been taken in, which waits while the queue is full. The work must not throw. */
  add(key: string, work: () => Promise<void>, signal?: AbortSignal): Promise<void>
  /** Resolves when nothing is left. */
  idle(): Promise<void>
  /** How much of a key is held, waiting or running. */
  heldOf(key: string): number
  readonly size: number
}

/** @param capacity how much may be held, waiting or running */
export function createKeyedQueue(capacity: number): KeyedQueue {
  const tails = new Map<string, Promise<void>>()
  const counts = new Map<string, number>()
  const room: (() => void)[] = []
  const idlers: (() => void)[] = []
  let held = 0

  async function run(before: Promise<void> | undefined, work: () => Promise<void>): Promise<void> {
    await before
    await work()
  }

  return {
    get size() {
      return held
    },
    async add(key, work, signal) {
      while (held >= capacity && !signal?.aborted) await new Promise<void>((resolve) => room.push(resolve))
      held++
      counts.set(key, (counts.get(key) ?? 0) + 1)
      const tail = run(tails.get(key), work).finally(() => {
        if (tails.get(key) === tail) tails.delete(key)
        const left = counts.get(key)! - 1
        if (left === 0) counts.delete(key)
        else counts.set(key, left)
        held--
        room.shift()?.()
        if (held === 0) for (const resolve of idlers.splice(0)) resolve()
      })
      tails.set(key, tail)
    },
    heldOf: (key) => counts.get(key) ?? 0,
    async idle() {
      if (held > 0) await new Promise<void>((resolve) => idlers.push(resolve))
    }
  }
}
