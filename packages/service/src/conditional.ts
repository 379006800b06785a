import { hash } from 'node:crypto'
import { SkerryError } from '@skerry/contracts'

/** What `If-Match` asks for: one of some versions of the resource, or `any` for `*`. */
export type Precondition = { versions: readonly number[] } | 'any'

/** The strong ETag of a body: `"<version>.<hash>"` when the resource has an integer version, else `"<hash>"`. */
export function etagOf(resource: unknown, body: string): string {
  const digest = hash('sha1', body, 'base64url')
  const version = (resource as { version?: unknown } | null)?.version
  return typeof version === 'number' ? `"${version}.${digest}"` : `"${digest}"`
}

/** Tags of `If-None-Match` that are looked at: a cache in front may name all that it holds, and one that is not found costs an answer. */
export const MOST_TAGS = 128

/** Whether `If-None-Match` names this ETag (weak comparison, RFC 9110 13.1.2). */
export function noneMatch(header: string, etag: string): boolean {
  if (header === etag || header === '*') return true
  if (header.length < etag.length) return false
  return header.split(',', MOST_TAGS).some((part) => {
    const candidate = part.trim()
    return candidate === etag || (candidate.startsWith('W/') && candidate.slice(2) === etag)
  })
}

/** A tag with a version, strong or weak. */
const TAG = /^(?:W\/)?"(\d{1,15})(?:\.[\w-]+)?"$/
/** Tags of a list: a client names the few versions that it holds. */
const TAGS = 32

/**
 * Reads `If-Match`. Weak tags count, too, though RFC 9110 13.1.1 rules them out: a proxy that compresses makes every tag weak, and only the
 * version in it is compared, which is the same for all encodings (docs/decisions.md). Of a list any may match; tags of other servers, without
 * a version, never do. Throws PRECONDITION_FAILED when none can match, BAD_REQUEST for more than 32 tags.
 */
export function preconditionFrom(header: string | undefined): Precondition | undefined {
  if (header === undefined) return undefined
  if (header.trim() === '*') return 'any'
  const tags = header.split(',', TAGS + 1).map((tag) => tag.trim())
  if (tags.length > TAGS) {
    const errors = [{ path: 'header.if-match', code: 'too_many', message: `must not have more than ${TAGS} tags` }]
    throw new SkerryError('BAD_REQUEST', { errors })
  }
  const versions = tags.flatMap((tag) => TAG.exec(tag)?.[1] ?? []).map(Number)
  if (versions.length > 0) return { versions }
  const errors = [
    { path: 'header.if-match', code: 'no_match', message: 'must be * or ETags, one of them with a version' }
  ]
  throw new SkerryError('PRECONDITION_FAILED', { errors })
}
