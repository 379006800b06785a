import { LRUCache } from 'lru-cache'

/** One value in this process. Times are of the cache's clock, ms. */
export type MemoryEntry = {
  value: unknown
  freshUntil: number
  /** Until then it is served while a new one is loaded behind it. */
  staleUntil: number
  /** Until then it is served when loading fails. */
  errorUntil: number
  /** After a load that failed: not tried again before. */
  retryAt: number
  tags: readonly string[]
  size: number
}

/** The bounded tier in this process, with an index from each tag to the keys that carry it. */
export type Memory = {
  /** The value of a key if it is of any use at `time`, fresh or not. */
  get(key: string, time: number): MemoryEntry | undefined
  set(key: string, entry: MemoryEntry): void
  /** Counts an entry anew, which may push it or others out. */
  resize(key: string, value: unknown, size: number): void
  delete(key: string): void
  drop(tags: readonly string[]): void
  clear(): void
  readonly size: number
  readonly bytes: number
}

/**
 * @param maxEntries how many values are held
 * @param maxBytes how much they may come to; a value above a tenth of it isn't held
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
  function set(key: string, entry: MemoryEntry): void {
    entries.delete(key)
    entries.set(key, entry)
    if (!entries.has(key)) return
    for (const tag of entry.tags) {
      const keys = keysOf.get(tag)
      if (keys === undefined) keysOf.set(tag, new Set([key]))
      else keys.add(key)
    }
  }

  return {
    get(key, time) {
      const entry = entries.get(key)
      if (entry === undefined || time < entry.staleUntil || time < entry.errorUntil) return entry
      entries.delete(key)
      return undefined
    },
    set,
    resize(key, value, size) {
      const entry = entries.peek(key)
      if (entry !== undefined && entry.value === value) set(key, { ...entry, size })
    },
    delete(key) {
      entries.delete(key)
    },
    drop(tags) {
      for (const tag of tags) for (const key of [...(keysOf.get(tag) ?? [])]) entries.delete(key)
    },
    clear() {
      entries.clear()
    },
    get size() {
      return entries.size
    },
    get bytes() {
      return entries.calculatedSize
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
