import { LRUCache } from 'lru-cache'

/** One value in this process. Times are of `performance.now()`. */
export type MemoryEntry = {
  value: unknown
  freshUntil: number
  staleUntil: number
  tags: readonly string[]
  size: number
}

/** The bounded tier in this process, with an index from each tag to the keys that carry it. */
export type Memory = {
  get(key: string): MemoryEntry | undefined
  set(key: string, entry: MemoryEntry): void
  drop(tags: readonly string[]): void
  clear(): void
  readonly size: number
}

/**
 * @param maxEntries how many values are held
 * @param maxBytes how much their JSON may come to; a value above a tenth of it isn't held
 */
export function createMemory(maxEntries: number, maxBytes: number): Memory {
  const keysOf = new Map<string, Set<string>>()
  const entries = new LRUCache<string, MemoryEntry>({
    max: maxEntries,
    maxSize: maxBytes,
    maxEntrySize: Math.ceil(maxBytes / 10),
    sizeCalculation: (entry) => entry.size,
    dispose: (entry, key) => forget(entry.tags, key)
  })
  return {
    get(key) {
      const entry = entries.get(key)
      if (entry === undefined || performance.now() < entry.staleUntil) return entry
      entries.delete(key)
      return undefined
    },
    set(key, entry) {
      entries.delete(key)
      entries.set(key, entry)
      if (!entries.has(key)) return
      for (const tag of entry.tags) {
        const keys = keysOf.get(tag)
        if (keys === undefined) keysOf.set(tag, new Set([key]))
        else keys.add(key)
      }
    },
    drop(tags) {
      for (const tag of tags) for (const key of [...(keysOf.get(tag) ?? [])]) entries.delete(key)
    },
    clear() {
      entries.clear()
    },
    get size() {
      return entries.size
    }
  }

  function forget(tags: readonly string[], key: string): void {
    for (const tag of tags) {
      const keys = keysOf.get(tag)
      keys?.delete(key)
      if (keys?.size === 0) keysOf.delete(tag)
    }
  }
}
