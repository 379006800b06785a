import { MOST_TAGS } from '@skerry/service'
import { type Coding, negotiate } from './negotiate.ts'

/**
 * What stands between a service's ETag and the coding. Strong ETags must differ by coding (RFC 9110 8.8.3.3); services must not end
 * theirs in `~br`, `~zstd` or `~gzip`.
 */
const TAGGED = /~(br|zstd|gzip)"/g

const TAGGED_ALONE = /~(br|zstd|gzip)"$/

/** A service's ETag for its body in a coding: `"abc"` becomes `"abc~br"`. Weak tags hold for every coding and stay as they are. */
export function etagFor(etag: string, coding: Coding): string {
  return etag.startsWith('"') && etag.endsWith('"') && etag.length > 1 ? `${etag.slice(0, -1)}~${coding}"` : etag
}

/** Each alone, as an array that is the same each time. */
const EACH: Readonly<Record<Coding, readonly Coding[]>> = { br: ['br'], zstd: ['zstd'], gzip: ['gzip'] }

/**
 * The value of `If-None-Match` or `If-Match` as the service knows its tags. Not for `If-Range`: a client that holds a part of an
 * encoded body must not get the rest of the plain one. Left as it is, its tag matches nothing and the service sends the whole. So do tags of
 * codings that `acceptEncoding`, the client's, rules out: a cache in front names all bodies it holds, and would give this client one that
 * it cannot read. A client that says nothing takes any (RFC 9110 12.5.3).
 */
export function untagHeader(value: string, acceptEncoding?: string): string {
  if (!value.includes('~')) return value
  const readable = readableBy(acceptEncoding)
  return value.replace(TAGGED, (tagged, coding: Coding) => (readable(coding) ? '"' : tagged))
}

/** Which codings a client can read: each is asked for once, however many tags there are. */
function readableBy(acceptEncoding: string | undefined): (coding: Coding) => boolean {
  const known: Partial<Record<Coding, boolean>> = {}
  return (coding) => {
    known[coding] ??= acceptEncoding === undefined || negotiate(acceptEncoding, EACH[coding]) !== undefined
    return known[coding]
  }
}

/**
 * The ETag of a 304, which the service gave by its own tag: the one of `ifNoneMatch` (as the client sent it) that it stands for, since
 * this is the body the client holds, in a coding of its `acceptEncoding`.
 */
export function retag(etag: string, ifNoneMatch: string, acceptEncoding?: string): string {
  if (!ifNoneMatch.includes('~')) return etag
  const candidates = ifNoneMatch.split(',', MOST_TAGS).map((part) => part.trim())
  if (candidates.includes(etag)) return etag
  const readable = readableBy(acceptEncoding)
  for (const candidate of candidates) {
    // What makes tags weak in front of us means the same body.
    const strong = candidate.startsWith('W/') ? candidate.slice(2) : candidate
    const coding = TAGGED_ALONE.exec(strong)?.[1] as Coding | undefined
    if (coding !== undefined && readable(coding) && etagFor(etag, coding) === strong) return strong
  }
  return etag
}
