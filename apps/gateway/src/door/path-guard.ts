import { SkerryError } from '@skerry/contracts'

// What RFC 3986 allows in a path, without `;` (a second delimiter to some parsers) and without `%`.
const PLAIN = /^\/[\w\-.~!$&'()*+,=:@/]*$/
const ESCAPES_ONLY = /^[\w\-.~!$&'()*+,=:@/%]*$/
/** Slash, backslash, dot, semicolon, percent sign and controls mean something else once they are decoded. */
const MEANINGFUL = /%(2f|5c|2e|3b|25|[01].|7f)/i
/** Letters and digits, which nobody has to encode: who looks at a path undecoded would not find a prefix in it. */
const NEEDLESS = /%(3\d|[46][1-9a-f]|[57][\da])/i
/** A dot segment to somebody who also takes backslashes for slashes. */
const DOT_SEGMENT = /[/\\]\.\.?([/\\]|$)/
const BAD_QUERY = /[^\x21-\x7e]/

/**
 * The decoded path of a request, or a 400 for one that two parsers could read in two ways: encoded slashes, dots, percent signs and
 * control characters, empty and dot segments, `;`, backslashes, letters and digits that are encoded, characters that become dot segments
 * where Unicode is normalised (full-width dots), anything outside the grammar. What services and limits see is then
 * the same path that was checked here.
 *
 * @param url the request target as it came
 */
export function guardPath(url: string, limit: number): string {
  if (url.length > limit) throw new SkerryError('URI_TOO_LONG')
  const end = url.indexOf('?')
  const path = end === -1 ? url : url.slice(0, end)
  if (end !== -1 && BAD_QUERY.test(url.slice(end)))
    throw refused('The query holds characters that must be percent-encoded.')
  if (path.includes('//')) throw refused('The path has an empty segment.')
  if (path.includes('/.') && /\/\.\.?(\/|$)/.test(path)) throw refused('The path has a dot segment.')
  if (PLAIN.test(path)) return path
  return decode(path)
}

function decode(path: string): string {
  if (path[0] !== '/' || !ESCAPES_ONLY.test(path))
    throw refused('The path holds a character that does not belong there.')
  if (/%(?![0-9a-f]{2})/i.test(path)) throw refused('The path has a broken percent-encoding.')
  if (MEANINGFUL.test(path) || NEEDLESS.test(path))
    throw refused('The path encodes a character that must not be encoded.')
  const decoded = decodeUtf8(path)
  if (DOT_SEGMENT.test(decoded.normalize('NFKC'))) throw refused('The path has what may be read as a dot segment.')
  return decoded
}

function decodeUtf8(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    throw refused('The path is not UTF-8.')
  }
}

function refused(detail: string): SkerryError {
  return new SkerryError('BAD_REQUEST', { detail })
}
