import type { IncomingHttpHeaders } from 'node:http'
import type { Priority, RouteRules } from '@skerry/contracts'
import { compileTags, type TagsOf } from './tags.ts'

/** The cache policy of a route as the hot path needs it. Made once for its rules, since it learns by which headers answers differ. */
export type CachedRoute = {
  /** One answer for all callers; otherwise one for each user. */
  readonly shared: boolean
  /** A token decides who may have the answer, so caches outside are told to keep nothing. */
  readonly guarded: boolean
  /** Its service answers nobody without a token, so what is loaded for all goes with the token of one of them. */
  readonly needsToken: boolean
  readonly ttlMs: number
  readonly staleMs: number
  readonly errorMs: number
  readonly tagsOf: TagsOf
  /** Request headers by which answers differ, besides encoding and token; sorted. `learnVary` adds to them. */
  vary: readonly string[]
}

/** What of a request decides which answer it may get. `target` is the path with its query as it came. */
export type CachedRequest = {
  readonly target: string
  readonly headers: IncomingHttpHeaders
  /** Of a verified token. */
  readonly userId: string | undefined
  /** How its client came, as its service is told: a redirect to https must not answer who is there already. `http` unless given. */
  readonly protocol?: 'http' | 'https' | undefined
  /** How much it matters under overload; `normal` unless given. No part of the key. */
  readonly priority?: Priority | undefined
  /** The version of the service that it was given to, whose answers are kept apart. */
  readonly version?: string | undefined
}

/** Tags and events of one route. */
const MOST_TAGS = 32
const MOST_VARY = 8
/** Characters: a key beyond that is not worth its place. */
const LONGEST_KEY = 2_048
const LONGEST_TIME_S = 7 * 86_400
const HEADER_NAME = /^[a-z0-9-]{1,64}$/
/** Named in `Vary`, but no part of a key: bodies are encoded behind the cache, and the policy says what a token means. */
const OUTSIDE_KEYS: ReadonlySet<string> = new Set(['accept-encoding', 'authorization'])
/** The same for all, or in the key already: whom the gateway itself asks, and how its client came. */
const SAME_IN_KEYS: ReadonlySet<string> = new Set(['host', 'x-forwarded-proto'])
/** What the gateway says of its client in its own words: what a client sends by these names never reaches a service, so no key can have it. */
const SAID_BY_GATEWAY =
  /^(?:x-forwarded-.*|x-skerry-.*|forwarded|via|x-real-ip|x-client-ip|x-user-id|x-request-id|traceparent|tracestate)$/
/** Tag of all answers that events end, so that they can be forgotten when events may have been missed. */
export const BY_EVENTS = 'by-events'

/**
 * Compiles the cache policy of a route; `undefined` where it has none. Throws, in words for whoever wrote it, for one that is out of bounds.
 */
export function compileCachedRoute(rules: RouteRules): CachedRoute | undefined {
  const { cache: policy, method, path, auth, stream } = rules
  if (policy === undefined || method !== 'GET' || stream === true) return undefined
  const { scope, ttl, staleWhileRevalidate = 0, staleIfError = 0, tags = [], endedBy = {}, vary = [] } = policy
  const unfit = (what: string) => new Error(`the cache policy of GET ${path}: ${what}`)
  if (scope === 'private' && auth === 'none') throw unfit('private answers need a token')
  for (const time of [ttl, staleWhileRevalidate, staleIfError])
    if (!(time >= 0 && time <= LONGEST_TIME_S)) throw unfit(`times are 0 to ${LONGEST_TIME_S} seconds`)
  if (tags.length > MOST_TAGS) throw unfit(`at most ${MOST_TAGS} tags`)
  if (vary.length > MOST_VARY || !vary.every((name) => HEADER_NAME.test(name)))
    throw unfit(`vary names at most ${MOST_VARY} headers in lower case`)
  const said = vary.find((name) => SAID_BY_GATEWAY.test(name) && !SAME_IN_KEYS.has(name))
  if (said !== undefined) throw unfit(`vary names ${said}, which no client can say`)
  const shared = scope === 'public'
  const byEvents = Object.keys(endedBy).length > 0
  const named = compileTags(
    tags.map((tag) => contractTag(tag)),
    path,
    !shared
  )
  return {
    shared,
    guarded: auth !== 'none',
    needsToken: auth === 'required',
    ttlMs: ttl * 1_000,
    staleMs: staleWhileRevalidate * 1_000,
    errorMs: staleIfError * 1_000,
    tagsOf(target, userId) {
      const found = named(target, userId)
      if (byEvents) found?.push(BY_EVENTS)
      return found
    },
    vary: [...new Set(vary)].filter((name) => !OUTSIDE_KEYS.has(name) && !SAME_IN_KEYS.has(name)).sort()
  }
}

/** A tag of a contract as the cache knows it: apart from the cache's own. */
export function contractTag(tag: string): string {
  return `=${tag}`
}

/**
 * The key of a GET's answer, or `undefined` when it may not come from the cache: the route keeps answers by user and there is none; the
 * request asks for no storing, for a part, or under a condition that the service judges. `if-none-match` is no such condition:
 * `isNotModified` judges it. A HEAD may `find` by the key of its GET, but not fill it.
 */
export function keyOf(route: CachedRoute, request: CachedRequest): string | undefined {
  const { headers, target, userId } = request
  if (headers.range !== undefined || headers['if-match'] !== undefined || headers['if-unmodified-since'] !== undefined)
    return undefined
  const control = headers['cache-control']
  if (control !== undefined && /no-store/i.test(control)) return undefined
  let key = target
  // Neither a target nor an id in front of its length can be mistaken: HTTP targets have no space and start with a slash.
  if (!route.shared) {
    if (userId === undefined) return undefined
    key = `${userId.length} ${userId} ${target}`
  }
  // No target has a space or a line end.
  if (request.protocol === 'https') key += '\n!https'
  if (request.version !== undefined) key += `\n@${request.version}`
  for (const name of route.vary) key += `\n${name}=${headers[name] ?? ''}`
  return key.length > LONGEST_KEY ? undefined : key
}

/** What makes an answer one caller's own, or a part of it. */
const NOT_FOR_ALL: ReadonlySet<string> = new Set([
  'if-none-match',
  'if-modified-since',
  'if-range',
  'range',
  'cache-control',
  'pragma',
  'connection'
])

/**
 * The headers of a request whose answer is to be kept: without conditions, parts and encodings, without `Connection`, by which a client could
 * take away headers that the key has; and where all share it, without who it is that asks: cookies, and a token that the route could do
 * without.
 */
export function headersToLoad(route: CachedRoute, came: IncomingHttpHeaders): IncomingHttpHeaders {
  const headers: IncomingHttpHeaders = {}
  for (const name in came) if (!NOT_FOR_ALL.has(name)) headers[name] = came[name]
  if (route.shared) {
    delete headers.cookie
    if (!route.needsToken) delete headers.authorization
  }
  headers['accept-encoding'] = 'identity'
  return headers
}

/** Takes in by which headers an answer differs. False: by more than keys can carry, or by what only the gateway knows of its client. */
export function learnVary(route: CachedRoute, names: readonly string[]): boolean {
  const all = new Set(route.vary)
  for (const name of names) {
    if (OUTSIDE_KEYS.has(name) || SAME_IN_KEYS.has(name)) continue
    if (SAID_BY_GATEWAY.test(name)) return false
    all.add(name)
  }
  if (all.size === route.vary.length) return true
  if (all.size > MOST_VARY || ![...all].every((name) => HEADER_NAME.test(name))) return false
  route.vary = [...all].sort()
  return true
}
