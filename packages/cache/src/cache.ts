import { randomUUID } from 'node:crypto'
import { listen } from './bus.ts'
import { createMemory } from './memory.ts'
import type { CacheLog, RedisLink } from './redis.ts'
import { createRemote, EVERYTHING } from './remote.ts'

export type CacheOptions = {
  /** Without it the cache is this process's memory alone. */
  redis?: RedisLink
  /** Starts every key and channel in Redis, e.g. `content:cache:`. */
  prefix: string
  maxEntries: number
  /** Bound of the JSON held in memory, bytes. */
  maxBytes?: number
  log?: CacheLog
}

export type GetOptions = {
  /** How long a value is served without asking again, ms. */
  ttlMs: number
  /** How long after that it is still served while a new one is loaded behind it, ms. */
  staleMs?: number
  /** Names under which it can be invalidated; always the same for one key. */
  tags?: readonly string[]
}

export type Cache = {
  /**
   * The value of a key: from memory, else from Redis, else from `load`, of which at most one runs at a time for a key in this
   * process. Values are what survives JSON; they are shared, so don't change them. Rejects only as `load` does.
   */
  get<T>(key: string, options: GetOptions, load: () => Promise<T>): Promise<T>
  /**
   * Ends every value of these tags; `*` ends all. When it resolves, no `get` of this process answers an older value, and Redis has
   * been told; the memories of other processes hear of it within a pub/sub delivery. While Redis is away it is remembered, and
   * nothing is read from Redis before it was told.
   */
  invalidate(tags: readonly string[]): Promise<void>
  stats(): CacheStats
  close(): Promise<void>
}

export type CacheStats = { memoryHits: number; redisHits: number; loads: number; staleServed: number; entries: number }

/** A load under way. `current` turns false when an invalidation makes what it will answer doubtful. */
type Flight = { promise: Promise<unknown>; tags: readonly string[]; current: boolean }

const REFRESH_PAUSE_MS = 1_000

/** A cache of two tiers; see `Cache`. Without Redis, or while it is away, the memory tier works alone. */
export function createCache(options: CacheOptions): Cache {
  const { redis, prefix, log, maxEntries, maxBytes = 64 * 1024 * 1024 } = options
  const origin = randomUUID()
  const channel = `${prefix}invalidate`
  const memory = createMemory(maxEntries, maxBytes)
  const flights = new Map<string, Flight>()
  const remote = redis === undefined ? undefined : createRemote(redis, prefix, channel, origin)
  const bus =
    redis === undefined
      ? undefined
      : listen(redis, channel, {
          message: (message) => {
            if (message.origin !== origin) forget(message.all ? [EVERYTHING] : message.tags)
          },
          // What was published while this process was deaf is unknown, so nothing it holds can be trusted.
          gap: () => forget([EVERYTHING])
        })
  const counts = { memoryHits: 0, redisHits: 0, loads: 0, staleServed: 0 }

  return {
    async get<T>(key: string, how: GetOptions, load: () => Promise<T>): Promise<T> {
      const held = memory.get(key)
      if (held === undefined) return (await fly(key, how, load, false)) as T
      const now = performance.now()
      if (now < held.freshUntil) counts.memoryHits++
      else {
        counts.staleServed++
        refresh(key, how, load)
      }
      return held.value as T
    },
    async invalidate(tags) {
      forget(tags)
      await remote?.invalidate(tags)
    },
    stats: () => ({ ...counts, entries: memory.size }),
    async close() {
      bus?.close()
      remote?.close()
      forget([EVERYTHING])
    }
  }

  function forget(tags: readonly string[]): void {
    const all = tags.includes(EVERYTHING)
    if (all) memory.clear()
    else memory.drop(tags)
    for (const [key, flight] of flights) {
      if (!all && !flight.tags.some((tag) => tags.includes(tag))) continue
      // Who asked before may get its answer; who asks from now on starts afresh.
      flight.current = false
      flights.delete(key)
    }
  }

  function refresh(key: string, how: GetOptions, load: () => Promise<unknown>): void {
    fly(key, how, load, true).catch((error: Error) => {
      log?.warn({ key, reason: error.message }, 'cache: a refresh failed, the stale value stays')
      const held = memory.get(key)
      if (held !== undefined) held.freshUntil = Math.max(held.freshUntil, performance.now() + REFRESH_PAUSE_MS)
    })
  }

  function fly(key: string, how: GetOptions, load: () => Promise<unknown>, isRefresh: boolean): Promise<unknown> {
    const running = flights.get(key)
    if (running !== undefined) return running.promise
    const flight: Flight = { promise: Promise.resolve(), tags: how.tags ?? [], current: true }
    flights.set(key, flight)
    flight.promise = fill(key, how, load, flight, isRefresh).finally(() => {
      if (flights.get(key) === flight) flights.delete(key)
    })
    return flight.promise
  }

  async function fill(key: string, how: GetOptions, load: () => Promise<unknown>, flight: Flight, isRefresh: boolean) {
    const { ttlMs, staleMs = 0, tags = [] } = how
    const lifeMs = ttlMs + staleMs
    const shared = await remote?.read(key, tags, lifeMs)
    if (shared?.json !== undefined) {
      const freshMs = shared.remainingMs - staleMs
      // A refresh wants something newer than stale; another process may just have stored it.
      if (freshMs > 0 || !isRefresh) {
        const value: unknown = JSON.parse(shared.json)
        counts.redisHits++
        keep(flight, key, value, shared.json.length, freshMs, shared.remainingMs, tags)
        if (freshMs <= 0) setImmediate(refresh, key, how, load)
        return value
      }
    }
    counts.loads++
    const value = await load()
    const json = JSON.stringify(value)
    if (json !== undefined && flight.current) {
      keep(flight, key, value, json.length, ttlMs, lifeMs, tags)
      if (shared !== undefined) void remote?.write(key, shared.tokens, json, lifeMs)
    }
    return value
  }

  function keep(
    flight: Flight,
    key: string,
    value: unknown,
    size: number,
    freshMs: number,
    lifeMs: number,
    tags: readonly string[]
  ): void {
    if (!flight.current || lifeMs <= 0) return
    const now = performance.now()
    memory.set(key, { value, freshUntil: now + freshMs, staleUntil: now + lifeMs, tags, size: Math.max(1, size) })
  }
}
