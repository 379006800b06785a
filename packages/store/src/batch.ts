import { createSharedDeadline, currentDeadline, type SharedDeadline, withDeadline } from '@skerry/deadline'

/** Reads by key, many callers at once. */
export type Batch<V> = {
  one(key: string): Promise<V | undefined>
  /** What was found, by key. */
  many(keys: readonly string[]): Promise<Map<string, V>>
}

/**
 * Gathers what is asked for within one turn of the event loop into one query, each key once: under load a query serves many requests, and a
 * lone request waits for nothing. Every read begins after it was asked for, so nobody gets what was there before their own write.
 * Values are shared between callers: don't change them. A query has the latest deadline of those who wait for it.
 *
 * @param max keys of one query
 */
export function createBatch<V>(load: (keys: string[]) => Promise<Map<string, V>>, max: number): Batch<V> {
  type Open = { keys: Set<string>; deadline: SharedDeadline; found: Promise<Map<string, V>> }
  let open: Open | undefined

  function join(): Open {
    const batch = open !== undefined && open.keys.size < max ? open : begin()
    batch.deadline.add(currentDeadline())
    return batch
  }

  function begin(): Open {
    const keys = new Set<string>()
    const deadline = createSharedDeadline()
    const mine = {
      keys,
      deadline,
      found: new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
        if (open === mine) open = undefined
        return withDeadline(deadline, load, [...keys])
      })
    }
    open = mine
    return mine
  }

  return {
    async one(key) {
      const batch = join()
      batch.keys.add(key)
      return (await batch.found).get(key)
    },
    async many(keys) {
      if (keys.length === 0) return new Map()
      const batch = join()
      for (const key of keys) batch.keys.add(key)
      return batch.found
    }
  }
}
