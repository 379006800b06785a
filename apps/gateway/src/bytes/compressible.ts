/** Headers of an answer by their lower-case names. */
export type AnswerHeaders = Readonly<Record<string, string | readonly string[] | undefined>>

/** Text formats and the few binary ones that shrink. Media types with `+json` and `+xml` are among them. */
const SHRINKS =
  /^(?:text\/(?!event-stream\b)[\w.+-]+|(?:application|image|model|message)\/[\w.-]+\+(?:json|xml|text|yaml)|application\/(?:json|xml|javascript|x-javascript|ecmascript|graphql|toml|yaml|sql|wasm|x-www-form-urlencoded|vnd\.ms-fontobject)|font\/(?:ttf|otf|collection)|image\/(?:bmp|vnd\.microsoft\.icon|x-icon))\s*(?:;|$)/i
/** What speaks of the bytes of the body: it would be wrong beside a coding that the service did not know of. */
const ABOUT_BYTES = ['content-encoding', 'content-range', 'content-md5', 'content-digest', 'repr-digest', 'digest']

/** Media types whose outcome is remembered; services use few, and a bound keeps a hostile one from filling the map. */
const remembered = new Map<string, boolean>()
const REMEMBERED = 500

/**
 * Whether an answer is worth a content coding and may have one. Not: bodies below `minBytes` or of types that do not shrink, what is
 * encoded or partial or carries a digest of its bytes, `no-transform`, `no-store` (it marks what carries tokens, see "BREACH" in
 * docs/gateway-cache.md), live streams, and answers that have no body. `length` is undefined while it is not known: then the type decides.
 * Such an answer varies by `Accept-Encoding` also when it goes out as it is.
 */
export function compressible(
  method: string,
  status: number,
  headers: AnswerHeaders,
  length: number | undefined,
  minBytes: number
): boolean {
  if (length !== undefined && length < minBytes) return false
  if (method === 'HEAD' || status < 200 || status === 204 || status === 205 || status === 206 || status === 304)
    return false
  const type = headers['content-type']
  if (typeof type !== 'string' || !shrinks(type)) return false
  for (const name of ABOUT_BYTES) if (headers[name] !== undefined) return false
  const control = headers['cache-control']
  if (control === undefined) return true
  const text = typeof control === 'string' ? control : control.join()
  return !/\bno-(?:transform|store)\b/i.test(text)
}

function shrinks(type: string): boolean {
  let known = remembered.get(type)
  if (known === undefined) {
    known = SHRINKS.test(type)
    if (remembered.size < REMEMBERED) remembered.set(type, known)
  }
  return known
}
