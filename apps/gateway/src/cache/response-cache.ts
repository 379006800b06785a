import { type CacheStats, createCache, type RedisLink } from '@skerry/cache'
import type { Logger } from '@skerry/service'
import { LRUCache } from 'lru-cache'
import { NoPlaceError } from '../overload/place.ts'
import { outranks } from '../overload/priority.ts'
import { answerCodec, judgeAnswer, type LoadedAnswer, type StoredAnswer } from './answer.ts'
import { BY_EVENTS, type CachedRequest, type CachedRoute, contractTag, keyOf } from './cached-route.ts'

/** A loader rejects with it as soon as it knows that an answer is above `entryBytes`. */
export class AnswerTooLargeError extends Error {
  constructor() {
    super('the answer is too large to be kept')
    this.name = 'AnswerTooLargeError'
  }
}

/**
 * Asks the service for the whole answer, as it is for everybody: without the caller's conditions, range and encodings, and with the route's
 * time rather than one caller's. Rejects when there is none, with a NoPlaceError when there was no place for its caller's priority. The signal
 * aborts when the cache closes.
 */
export type LoadAnswer = (signal: AbortSignal) => Promise<LoadedAnswer>

/** Where an answer came from. `coalesced`: somebody else's request brought it. */
export type Source = 'memory' | 'redis' | 'load' | 'coalesced' | 'stale-if-error'

/** An answer with what is to be said of it. */
export type Served = {
  readonly answer: StoredAnswer
  readonly source: Source
  /** Beyond its time; `ttlSeconds` is then negative or 0. */
  readonly stale: boolean
  readonly ageSeconds: number
  readonly ttlSeconds: number
}

export type ResponseCacheOptions = {
  redis: RedisLink | undefined
  /** Starts every key in Redis, e.g. `gateway:cache:`. */
  prefix: string
  maxEntries: number
  maxBytes: number
  /** Bound of one body. */
  entryBytes: number
  /** How long a gateway waits for the answer that another is fetching, ms; 0: not at all. */
  lockMs: number
  log: Pick<Logger, 'info' | 'warn'>
  /** Monotonic, ms; for tests. */
  now?: () => number
}

/** Whole answers of GETs, in memory and Redis; see docs/gateway-cache.md for what it guarantees. Keys come from `keyOf`. */
export type ResponseCache = {
  /** An answer in memory that may be served now. When it is stale, `refresh` it. Costs no promise. */
  find(key: string): Served | undefined
  /**
   * An answer from memory, Redis or `load`, of which one runs at a time for a key. `undefined`: ask the service yourself, past the cache; the
   * answer is too large, or is for one caller only, and so it goes on for a while. A failure of the service is answered with an old answer
   * within its `staleIfError`; without one, all who waited get the same 5xx, or the rejection of `load`. Only what was refused for the
   * priority of who came first is tried again for those that matter more.
   */
  fetch(key: string, route: CachedRoute, request: CachedRequest, load: LoadAnswer): Promise<Served | undefined>
  /** Replaces a stale answer behind those who are served it: one at a time, and not within a second of a failure. */
  refresh(key: string, route: CachedRoute, request: CachedRequest, load: LoadAnswer): void
  /** Keeps an encoded body of an answer that is in memory, and counts it. */
  addVariant(answer: StoredAnswer, coding: string, body: Buffer): void
  /** Ends the answers of these tags: here and in Redis when it resolves, in the memories of other gateways when they hear of it. */
  end(tags: readonly string[]): Promise<void>
  /** The same for what all gateways hear by themselves: they are not told. */
  endHere(tags: readonly string[]): Promise<void>
  /** Ends, here and in Redis, all that events could have ended: some may have been missed. */
  endUnheard(): Promise<void>
  stats(): CacheStats
  close(): Promise<void>
}

const TOO_LARGE = Symbol('too large')
/** How long requests of a key go past the cache after an answer that was too large, or was for one caller. */
const TOO_LARGE_MS = 60_000
const PERSONAL_MS = 10_000

/** Carries a 5xx through the cache as the failure that it is. */
class ServiceFailure extends Error {
  readonly answer: StoredAnswer

  constructor(answer: StoredAnswer) {
    super(`the service answered ${answer.status}`)
    this.answer = answer
  }
}

export function createResponseCache(options: ResponseCacheOptions): ResponseCache {
  const { redis, prefix, maxEntries, maxBytes, entryBytes, lockMs, log, now = () => performance.now() } = options
  const cache = createCache({ redis, prefix, maxEntries, maxBytes, lockMs, log, now, codec: answerCodec })
  const closing = new AbortController()
  /** Keys that go past the cache, and until when. */
  const past = new LRUCache<string, number>({ max: maxEntries })

  return {
    find(key) {
      const time = now()
      const held = cache.find(key, time)
      return held === undefined ? undefined : served(held.value as StoredAnswer, 'memory', held.freshUntil - time)
    },
    fetch: fetchAnswer,
    refresh(key, route, request, load) {
      const how = howOf(key, route, request)
      if (how !== undefined) cache.refresh(key, how, loader(key, route, request, load))
    },
    addVariant(answer, coding, body) {
      answer.variants.set(coding, body)
      cache.resize(answer.key, answer)
    },
    end: (tags) => cache.invalidate(tags.map(contractTag)),
    endHere: (tags) => cache.invalidate(tags.map(contractTag), { publish: false }),
    endUnheard: () => cache.invalidate([BY_EVENTS], { publish: false }),
    stats: () => cache.stats(),
    async close() {
      closing.abort()
      await cache.close()
    }
  }

  async function fetchAnswer(
    key: string,
    route: CachedRoute,
    request: CachedRequest,
    load: LoadAnswer
  ): Promise<Served | undefined> {
    const how = howOf(key, route, request)
    if (how === undefined) return undefined
    let mine = false
    const ask = loader(key, route, request, load)
    let landed: { value: StoredAnswer | typeof TOO_LARGE; from: Source; freshMs: number }
    try {
      landed = await cache.read(key, how, () => {
        mine = true
        return ask()
      })
    } catch (error) {
      if (error instanceof NoPlaceError) {
        if (!mine && outranks(request.priority ?? 'normal', error.priority))
          return fetchAnswer(key, route, request, load)
        throw error.cause
      }
      if (!(error instanceof ServiceFailure)) throw error
      landed = { value: error.answer, from: mine ? 'load' : 'coalesced', freshMs: 0 }
    }
    const { value, from, freshMs } = landed
    if (typeof value === 'symbol') return undefined
    if (from === 'coalesced') {
      if (value.use === 'caller') return undefined
      // It turned out to differ by a header that was not known when this request joined in.
      const wanted = keyOf(route, request)
      if (wanted !== value.key) return wanted === undefined ? undefined : fetchAnswer(wanted, route, request, load)
    }
    return served(value, from, freshMs)
  }

  function howOf(key: string, route: CachedRoute, request: CachedRequest) {
    if (isPast(key)) return undefined
    const tags = route.tagsOf(request.target, request.userId)
    return tags === undefined ? undefined : { ...route, tags, ttlOf }
  }

  function loader(key: string, route: CachedRoute, request: CachedRequest, load: LoadAnswer) {
    return async (): Promise<StoredAnswer | typeof TOO_LARGE> => {
      let loaded: LoadedAnswer
      try {
        loaded = await load(closing.signal)
      } catch (error) {
        if (!(error instanceof AnswerTooLargeError)) throw error
        past.set(key, now() + TOO_LARGE_MS)
        return TOO_LARGE
      }
      const answer = judgeAnswer(loaded, route, key, request, entryBytes)
      if (loaded.body.length > entryBytes) past.set(key, now() + TOO_LARGE_MS)
      // A refusal says nothing of what the next caller will be answered.
      else if (answer.use === 'caller' && answer.status < 400) past.set(key, now() + PERSONAL_MS)
      if (answer.status >= 500) throw new ServiceFailure(answer)
      return answer
    }
  }

  function isPast(key: string): boolean {
    const until = past.get(key)
    if (until === undefined) return false
    if (now() < until) return true
    past.delete(key)
    return false
  }
}

function ttlOf(answer: StoredAnswer | typeof TOO_LARGE): number | undefined {
  return typeof answer === 'symbol' || answer.use !== 'keep' ? undefined : answer.ttlMs
}

function served(answer: StoredAnswer, source: Source, freshMs: number): Served {
  const ageSeconds = Math.max(0, Math.floor(answer.cameAgedSeconds + (answer.ttlMs - freshMs) / 1_000))
  return { answer, source, stale: freshMs <= 0, ageSeconds, ttlSeconds: Math.floor(freshMs / 1_000) }
}
