import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { deadlinePassed, withDeadline } from '@skerry/deadline'
import { listen } from './bus.ts'
import type { CacheCodec } from './codec.ts'
import { createMemory, type MemoryEntry } from './memory.ts'
import type { CacheLog, RedisLink } from './redis.ts'
import { createRemote, EVERYTHING, type Lock, type RemoteAnswer } from './remote.ts'

export type CacheOptions = {
  /** Without it the cache is this process's memory alone. */
  redis?: RedisLink | undefined
  /** Starts every key and channel in Redis, e.g. `content:cache:`. */
  prefix: string
  maxEntries: number
  /** Bound of what is held in memory, bytes: JSON, or as the codec counts. */
  maxBytes?: number
  /** How values become bytes and back; JSON unless given. */
  codec?: CacheCodec
  /**
   * Of a key that is in no tier one process loads at a time, and the others wait for it at most so long, ms: by a lock in Redis that
   * ends by itself after the same time. 0, as it is unless given: each process loads for itself.
   */
  lockMs?: number
  /**
   * How long a load may take, ms: then those who wait for it are told UNAVAILABLE, and whoever asks next starts another, so that a load
   * that never ends holds nobody up. 30 s unless given.
   */
  loadMs?: number
  /** Monotonic, ms; for tests. */
  now?: () => number
  log?: CacheLog
}

export type GetOptions<T = unknown> = {
  /** How long a value is served without asking again, ms. */
  ttlMs: number
  /** How long after that it is still served while a new one is loaded behind it, ms. */
  staleMs?: number
  /** How long after `ttlMs` it is still served when loading fails, ms. */
  errorMs?: number
  /** Names under which it can be invalidated; always the same for one key. */
  tags?: readonly string[]
  /** The ttl of a loaded value where it is shorter, ms; `undefined`: it is answered but not kept, nor is what was kept before it. */
  ttlOf?: (value: T) => number | undefined
}

/**
 * A value and where it came from: `load` for who loaded it, `coalesced` for who waited for that, `stale-if-error` when loading failed.
 * `freshMs` is how long it stays fresh, negative once it is stale.
 */
export type Read<T> = { value: T; from: 'memory' | 'redis' | 'load' | 'coalesced' | 'stale-if-error'; freshMs: number }

export type Cache = {
  /**
   * The value of a key: from memory, else from Redis, else from `load`, of which at most one runs at a time for a key in this
   * process. Values are what survives the codec; they are shared, so don't change them. Rejects as `load` does, or with UNAVAILABLE
   * after `loadMs`.
   */
  get<T>(key: string, options: GetOptions<T>, load: () => Promise<T>): Promise<T>
  /** As `get`, and says where the value came from. */
  read<T>(key: string, options: GetOptions<T>, load: () => Promise<T>): Promise<Read<T>>
  /**
   * The value of a key if it is in memory, fresh, or stale and still to be served (then `refresh` it): without a promise. `time` is now
   * by the cache's clock, for who has asked it already.
   */
  find(key: string, time?: number): Held | undefined
  /** Loads a value anew behind those who are served the stale one; nothing while that is under way, or within 1 s of a failure. */
  refresh<T>(key: string, options: GetOptions<T>, load: () => Promise<T>): void
  /** Counts a value that has grown anew, if it is the one in memory. */
  resize(key: string, value: unknown): void
  /**
   * Ends every value of these tags; `*` ends all. When it resolves, no `get` of this process answers an older value, and Redis has
   * been told; the memories of other processes hear of it within a pub/sub delivery. While Redis is away it is remembered, and
   * nothing is read from Redis before it was told. `publish: false`: the others are not told, because they know by other means.
   */
  invalidate(tags: readonly string[], options?: { publish?: boolean }): Promise<void>
  stats(): CacheStats
  close(): Promise<void>
}

export type Held = { readonly value: unknown; readonly freshUntil: number }

export type CacheStats = {
  memoryHits: number
  redisHits: number
  loads: number
  coalesced: number
  staleServed: number
  /** Served because loading failed. */
  errorServed: number
  entries: number
  bytes: number
  /** Whether it hears what other processes invalidate; without Redis there is nothing to hear. */
  listening: boolean
}

type Load = () => Promise<unknown>
type How = Omit<GetOptions, 'ttlOf'> & { ttlOf?: (value: never) => number | undefined }

/** A load under way. `current` turns false when an invalidation makes what it will answer doubtful. */
type Flight = { promise: Promise<Read<unknown>>; tags: readonly string[]; current: boolean; lock: Lock | undefined }

const RETRY_PAUSE_MS = 1_000
const TELL_PAUSE_MS = 10_000
/** Pauses between two looks into Redis for what another process loads, ms: doubling from the first to the longest. */
const FIRST_LOOK_MS = 4
const LONGEST_LOOK_MS = 25

const JSON_CODEC = {
  encode: (value: unknown) => JSON.stringify(value),
  decode: (b: Buffer) => JSON.parse(b.toString())
}

/** A cache of two tiers; see `Cache`. Without Redis, or while it is away, the memory tier works alone. */
export function createCache(options: CacheOptions): Cache {
  const { redis, prefix, log, maxEntries, maxBytes = 64 * 1024 * 1024, lockMs = 0, loadMs = 30_000 } = options
  const { now = () => performance.now() } = options
  const codec: Omit<CacheCodec, 'sizeOf'> & { sizeOf?: CacheCodec['sizeOf'] } = options.codec ?? JSON_CODEC
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
  const counts = { memoryHits: 0, redisHits: 0, loads: 0, coalesced: 0, staleServed: 0, errorServed: 0 }
  let failures = 0
  let tellAgainAt = Number.NEGATIVE_INFINITY

  return {
    async get<T>(key: string, how: GetOptions<T>, load: () => Promise<T>): Promise<T> {
      return (await read(key, how, load)).value as T
    },
    read: read as Cache['read'],
    find(key, time = now()) {
      const held = memory.get(key, time)
      if (held === undefined || time >= Math.max(held.freshUntil, held.staleUntil)) return undefined
      if (time < held.freshUntil) counts.memoryHits++
      else counts.staleServed++
      return held
    },
    refresh,
    resize(key, value) {
      if (codec.sizeOf !== undefined) memory.resize(key, value, Math.max(1, codec.sizeOf(value)))
    },
    async invalidate(tags, { publish = true } = {}) {
      forget(tags)
      await remote?.invalidate(tags, publish)
    },
    stats: () => ({
      ...counts,
      entries: memory.size,
      bytes: memory.bytes,
      listening: bus === undefined || bus.listening()
    }),
    async close() {
      bus?.close()
      remote?.close()
      forget([EVERYTHING])
    }
  }

  async function read(key: string, how: How, load: Load): Promise<Read<unknown>> {
    const time = now()
    const held = memory.get(key, time)
    if (held === undefined) return fly(key, how, load, false)
    const freshMs = held.freshUntil - time
    if (freshMs > 0) counts.memoryHits++
    else if (time < held.staleUntil) {
      counts.staleServed++
      refresh(key, how, load)
    } else if (time < held.retryAt) {
      counts.errorServed++
      return { value: held.value, from: 'stale-if-error', freshMs }
    } else return fly(key, how, load, false)
    return { value: held.value, from: 'memory', freshMs }
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

  function refresh(key: string, how: How, load: Load): void {
    const time = now()
    if (flights.has(key) || time < (memory.get(key, time)?.retryAt ?? 0)) return
    // Why it failed has been told, and the stale value stays.
    fly(key, how, load, true).catch(() => undefined)
  }

  async function fly(key: string, how: How, load: Load, isRefresh: boolean): Promise<Read<unknown>> {
    const running = flights.get(key)
    if (running !== undefined) {
      const landed = await running.promise
      if (landed.from !== 'load') return landed
      counts.coalesced++
      return { ...landed, from: 'coalesced' }
    }
    const lock = remote !== undefined && lockMs > 0 ? { id: randomUUID(), ms: lockMs } : undefined
    const flight: Flight = { promise: NOTHING, tags: how.tags ?? [], current: true, lock }
    flights.set(key, flight)
    // Others join it, and a refresh outlives who set it off: no caller's deadline is this one's.
    flight.promise = bounded(withDeadline(undefined, fill, key, how, load, flight, isRefresh), key, flight)
    return flight.promise
  }

  /** Takes the flight off when it has landed, or when its time is over. */
  function bounded(filled: Promise<Read<unknown>>, key: string, flight: Flight): Promise<Read<unknown>> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer)
        if (flights.get(key) === flight) flights.delete(key)
      }
      const timer = setTimeout(() => {
        // What it may still bring is older than what is asked for from now on.
        flight.current = false
        release(key, flight)
        leave()
        reject(deadlinePassed())
      }, loadMs)
      filled.finally(leave).then(resolve, reject)
    })
  }

  async function fill(key: string, how: How, load: Load, flight: Flight, isRefresh: boolean): Promise<Read<unknown>> {
    // A refresh wants something newer than stale; another process may just have stored it.
    const enoughMs = isRefresh ? 0 : -(how.staleMs ?? 0)
    const shared = await consult(key, how, flight, enoughMs)
    const theirs = decoded(how, shared)
    if (theirs !== undefined && theirs.freshMs > enoughMs) {
      counts.redisHits++
      keep(flight, key, theirs, how, theirs.freshMs)
      if (theirs.freshMs <= 0) setImmediate(refresh, key, how, load)
      return { value: theirs.value, from: 'redis', freshMs: theirs.freshMs }
    }
    counts.loads++
    let value: unknown
    try {
      value = await load()
    } catch (error) {
      return afterFailure(error as Error, key, how, flight, theirs)
    }
    const ttlMs = ttlOf(how, value)
    const needsNoBytes = codec.sizeOf !== undefined && shared === undefined
    const bytes = ttlMs === undefined ? undefined : needsNoBytes ? '' : codec.encode(value)
    if (!flight.current) release(key, flight)
    else if (ttlMs === undefined || bytes === undefined) {
      memory.delete(key)
      if (shared !== undefined) void remote?.write(key, undefined, flight.lock)
    } else {
      keep(flight, key, { value, length: bytes.length }, how, ttlMs)
      const lifeMs = ttlMs + tailOf(how)
      if (shared !== undefined && lifeMs > 0)
        void remote?.write(key, { tokens: shared.tokens, bytes, lifeMs }, flight.lock)
    }
    return { value, from: 'load', freshMs: ttlMs ?? 0 }
  }

  /** The shared tier's answer: at once when it is good enough or ours to load, else when another process has loaded it, within `lockMs`. */
  async function consult(key: string, how: How, flight: Flight, enoughMs: number): Promise<RemoteAnswer | undefined> {
    const tailMs = tailOf(how)
    const lifeMs = how.ttlMs + tailMs
    if (remote === undefined || lifeMs <= 0) return undefined
    const question = { tags: how.tags ?? [], lifeMs, enoughMs: tailMs + enoughMs, lock: flight.lock }
    const until = performance.now() + lockMs
    for (let pauseMs = FIRST_LOOK_MS; ; pauseMs = Math.min(LONGEST_LOOK_MS, pauseMs * 2)) {
      const answer = await remote.read(key, question)
      if (answer === undefined || answer.remainingMs > question.enoughMs || answer.turn) return answer
      if (flight.lock === undefined || !flight.current || performance.now() + pauseMs > until) return answer
      await delay(pauseMs)
    }
  }

  /** An old value in place of a failure, where there is one; the next attempt then waits a little. */
  function afterFailure(
    error: Error,
    key: string,
    how: How,
    flight: Flight,
    theirs: { value: unknown; length: number; freshMs: number } | undefined
  ): Read<unknown> {
    release(key, flight)
    const time = now()
    if (flight.current && theirs !== undefined && memory.get(key, time) === undefined)
      keep(flight, key, theirs, how, theirs.freshMs)
    const old = flight.current ? memory.get(key, time) : undefined
    if (old === undefined) throw error
    old.retryAt = time + RETRY_PAUSE_MS
    tell(key, error, time)
    if (time >= old.errorUntil) throw error
    counts.errorServed++
    return { value: old.value, from: 'stale-if-error', freshMs: old.freshUntil - time }
  }

  /** Of a dependency that is away a line now and then, not one for each value. */
  function tell(key: string, error: Error, time: number): void {
    failures++
    if (time < tellAgainAt) return
    log?.warn({ key, reason: error.message, failures }, 'cache: load failed, keeping the stale value')
    tellAgainAt = time + TELL_PAUSE_MS
    failures = 0
  }

  function release(key: string, flight: Flight): void {
    if (flight.lock !== undefined) void remote?.release(key, flight.lock)
  }

  function decoded(how: How, shared: RemoteAnswer | undefined) {
    if (shared?.bytes === undefined) return undefined
    // Never fresh for longer than the caller says, whatever it said when the value was stored.
    const freshMs = Math.min(how.ttlMs, shared.remainingMs - tailOf(how))
    try {
      return { value: codec.decode(shared.bytes), length: shared.bytes.length, freshMs }
    } catch (error) {
      log?.warn({ reason: (error as Error).message }, 'cache: failed to decode a value from Redis')
      return undefined
    }
  }

  function keep(
    flight: Flight,
    key: string,
    { value, length }: { value: unknown; length: number },
    how: How,
    freshMs: number
  ): void {
    if (!flight.current || freshMs + tailOf(how) <= 0) return
    const freshUntil = now() + freshMs
    const entry: MemoryEntry = {
      value,
      freshUntil,
      staleUntil: freshUntil + (how.staleMs ?? 0),
      errorUntil: freshUntil + (how.errorMs ?? 0),
      retryAt: 0,
      tags: how.tags ?? [],
      size: Math.max(1, codec.sizeOf?.(value) ?? length)
    }
    memory.set(key, entry)
  }
}

const NOTHING: Promise<never> = new Promise(() => undefined)

/** What of a value's life comes after its ttl. */
function tailOf(how: How): number {
  return Math.max(how.staleMs ?? 0, how.errorMs ?? 0)
}

function ttlOf(how: How, value: unknown): number | undefined {
  if (how.ttlOf === undefined) return how.ttlMs
  const ttlMs = how.ttlOf(value as never)
  return ttlMs === undefined ? undefined : Math.min(ttlMs, how.ttlMs)
}
