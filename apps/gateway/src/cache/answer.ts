import { hash } from 'node:crypto'
import type { CacheCodec } from '@skerry/cache'
import { copied } from '../copied.ts'
import { HOP_BY_HOP } from '../hop-by-hop.ts'
import { type CachedRequest, type CachedRoute, keyOf, learnVary } from './cached-route.ts'

/** An answer of a service as it came, whole: headers are name, value, name, value; names in lower case. */
export type LoadedAnswer = { readonly status: number; readonly headers: readonly string[]; readonly body: Buffer }

/**
 * An answer as it is kept. `headers` are name, value, name, value, without what belongs to one hop or one request, CORS, the length, and what
 * `cachedHeaders` says. Shared by all who get it: not to be changed.
 */
export type StoredAnswer = {
  readonly key: string
  readonly status: number
  readonly headers: readonly string[]
  /** Not encoded. */
  readonly body: Buffer
  readonly etag: string | undefined
  /** Value of `Vary`. */
  readonly vary: string
  /** How long it is fresh, and how old it was when it came. */
  readonly ttlMs: number
  readonly cameAgedSeconds: number
  /**
   * `keep`: for all who ask by its key; `share`: only for those who waited for it; `caller`: only for who asked for it, whose own headers, such
   * as `set-cookie`, it carries.
   */
  readonly use: 'keep' | 'share' | 'caller'
  /** Encoded bodies by their coding; `addVariant` adds to them. */
  readonly variants: Map<string, Buffer>
}

/** Complete answers that mean the same to everybody and tomorrow (RFC 9110, 15.1), redirects by method excepted. */
const STORABLE: ReadonlySet<number> = new Set([200, 203, 204, 301, 308, 404, 410])
/** Refusals of who asked, not of what was asked for. */
const PERSONAL: ReadonlySet<number> = new Set([401, 403, 407, 408, 412, 417, 421, 425, 428, 429, 431])
const LONGEST_AGE_S = 2_147_483_648

const NEVER_KEPT: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  ...['proxy-authenticate', 'proxy-authentication-info', 'authentication-info', 'server', 'x-powered-by'],
  ...['x-request-id', 'traceparent', 'tracestate', 'server-timing', 'ratelimit', 'ratelimit-policy', 'date'],
  ...['content-length', 'etag', 'vary', 'age', 'cache-status', 'warning']
])
/** What a service says to caches; the gateway says it in its place when it keeps the answer. */
const CACHE_WORDS: ReadonlySet<string> = new Set(['cache-control', 'expires', 'pragma'])

/**
 * Judges an answer: what of it is kept, for whom and for how long (RFC 9111, 3). The contract's policy outranks what the service says of
 * freshness, as a targeted policy does (RFC 9213), but for a shorter `s-maxage`; `no-store`, `private` under a public policy, `set-cookie` and
 * `vary: *` are heard. An answer that differs by headers not known before teaches the route and is not kept.
 */
export function judgeAnswer(
  loaded: LoadedAnswer,
  route: CachedRoute,
  key: string,
  request: CachedRequest,
  maxBytes: number
): StoredAnswer {
  const { status, body } = loaded
  const said = fieldsOf(loaded.headers)
  const directives = directivesOf(said.get('cache-control'))
  const cameAgedSeconds = Math.min(LONGEST_AGE_S, seconds(said.get('age')) ?? 0)
  const names = listOf(said.get('vary'))
  const limit = route.shared ? seconds(directives.get('s-maxage')) : undefined
  const ttlMs = Math.min(route.ttlMs, limit === undefined ? Infinity : (limit - cameAgedSeconds) * 1_000)

  const spent = limit !== undefined && limit <= cameAgedSeconds

  let use: StoredAnswer['use'] = 'keep'
  let keptBy = key
  if (isPersonal(status, said, names) || (route.shared && directives.has('private'))) use = 'caller'
  // Failures of the service are the same for who waited, whose key is the same; its words about storing them are not about those.
  else if (status >= 500) use = 'share'
  // What is said to one (400, 406, 302), or is to be kept by nobody, is for nobody else.
  else if (!STORABLE.has(status) || directives.has('no-store')) use = 'caller'
  else if (spent || body.length > maxBytes) use = route.shared ? 'share' : 'caller'
  if (use !== 'caller') {
    if (learnVary(route, names)) keptBy = keyOf(route, request) ?? ''
    else use = 'caller'
    if (keptBy !== key && use === 'keep') use = 'share'
  }
  const etag =
    said.get('etag') ?? (use === 'keep' && status === 200 ? `"${hash('sha1', body, 'base64url')}"` : undefined)
  return {
    key: keptBy,
    status,
    headers: cleaned(loaded.headers, said, use),
    body: use === 'keep' ? compact(body) : body,
    etag,
    vary: varyOf(names, route),
    ttlMs: use === 'keep' ? ttlMs : 0,
    cameAgedSeconds,
    use,
    variants: new Map()
  }
}

/** A part, an empty confirmation, an encoded body that not everybody reads, or something for one caller. */
function isPersonal(status: number, said: ReadonlyMap<string, string>, vary: readonly string[]): boolean {
  if (status < 200 || status === 206 || status === 304 || PERSONAL.has(status)) return true
  const coding = said.get('content-encoding')
  return said.has('set-cookie') || vary.includes('*') || (coding !== undefined && coding !== 'identity')
}

/** All values of each name, joined. */
function fieldsOf(headers: readonly string[]): Map<string, string> {
  const said = new Map<string, string>()
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    const before = said.get(name)
    said.set(name, before === undefined ? headers[i + 1]! : `${before}, ${headers[i + 1]}`)
  }
  return said
}

function cleaned(
  headers: readonly string[],
  said: ReadonlyMap<string, string>,
  use: StoredAnswer['use']
): readonly string[] {
  const ofHop = listOf(said.get('connection'))
  const list: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    if (NEVER_KEPT.has(name) || ofHop.includes(name)) continue
    if (name.startsWith('access-control-') || name.startsWith('x-skerry-')) continue
    if (use === 'keep' && CACHE_WORDS.has(name)) continue
    list.push(name, use === 'keep' ? copied(headers[i + 1]!, 'utf8') : headers[i + 1]!)
  }
  return list
}

function varyOf(names: readonly string[], route: CachedRoute): string {
  if (names.includes('*')) return '*'
  const all = new Set(['accept-encoding', ...names])
  if (route.guarded) all.add('authorization')
  return [...all].join(', ')
}

function listOf(value: string | undefined): string[] {
  if (value === undefined) return []
  return value
    .toLowerCase()
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '')
}

/** Of a repeated directive the first counts; one with a list of names (`private="x"`) counts whole. */
function directivesOf(value: string | undefined): Map<string, string> {
  const found = new Map<string, string>()
  for (const part of listOf(value?.replaceAll(/"[^"]*"/g, (quoted) => quoted.slice(1, -1).replaceAll(',', ' ')))) {
    const [name = '', argument = ''] = part.split('=', 2)
    if (!found.has(name)) found.set(name, argument)
  }
  return found
}

/** Whole seconds; what is none counts as 0, which is the careful reading (RFC 9111, 4.2.1). */
function seconds(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  return /^\d{1,15}$/.test(value) ? Number(value) : 0
}

/** A body that is part of a much larger buffer, such as what a socket read at once, would keep all of that in memory. */
function compact(body: Buffer): Buffer {
  if (body.buffer.byteLength <= body.length * 1.25) return body
  const copy = Buffer.allocUnsafeSlow(body.length)
  body.copy(copy)
  return copy
}

/** Beside bodies and headers, an entry's objects, its place in the indexes and its head as text, bytes. */
const OVERHEAD = 2_048

/** An answer in Redis: a line of JSON with all but the body, then the body's bytes. Variants are each gateway's own. */
export const answerCodec: CacheCodec = {
  encode(value) {
    const { body, variants: _, ...rest } = value as StoredAnswer
    return Buffer.concat([Buffer.from(`${JSON.stringify({ ...rest, format: FORMAT })}\n`), body])
  },
  decode(bytes): StoredAnswer {
    const end = bytes.indexOf(10)
    const { format, ...rest } = JSON.parse(bytes.toString('utf8', 0, end)) as StoredAnswer & { format?: number }
    if (format !== FORMAT) throw new Error(`an answer of format ${format}`)
    return { ...rest, etag: rest.etag, body: compact(bytes.subarray(end + 1)), variants: new Map() }
  },
  sizeOf(value) {
    const { key, headers, body, variants } = value as StoredAnswer
    let size = OVERHEAD + key.length * 2 + body.length
    for (const text of headers) size += text.length
    for (const variant of variants.values()) size += variant.length
    return size
  }
}
const FORMAT = 1
