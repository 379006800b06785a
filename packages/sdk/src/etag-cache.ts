const MAX_CHARS = 4_000_000

type Entry = { etag: string; body: string }

export type EtagCache = {
  get(key: string): Entry | undefined
  set(key: string, entry: Entry): void
  clear(): void
}

/**
 * Keeps the newest answers by key, bounded by number and by size (4 million characters). Bodies are kept as text, so every reader gets
 * its own copy and nobody can change what the next one sees.
 */
export function createEtagCache(maxEntries: number): EtagCache {
  const entries = new Map<string, Entry>()
  let chars = 0
  const drop = (key: string) => {
    const entry = entries.get(key)
    if (entry === undefined) return
    chars -= entry.body.length
    entries.delete(key)
  }
  return {
    get(key) {
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entries.delete(key) // to the end: what was used last goes last
      entries.set(key, entry)
      return entry
    },
    set(key, entry) {
      drop(key)
      if (entry.body.length > MAX_CHARS / 4) return
      entries.set(key, entry)
      chars += entry.body.length
      for (const oldest of entries.keys()) {
        if (entries.size <= maxEntries && chars <= MAX_CHARS) break
        drop(oldest)
      }
    },
    clear() {
      entries.clear()
      chars = 0
    }
  }
}
