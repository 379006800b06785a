import { hash } from 'node:crypto'
import { SkerryError } from '@skerry/contracts'

/** What `If-Match` asks for: a version of the resource, or `any` for `*`. */
export type Precondition = { version: number } | 'any'

/** The strong ETag of a body: `"<version>.<hash>"` when the resource has an integer version, else `"<hash>"`. */
export function etagOf(resource: unknown, body: string): string {
  const digest = hash('sha1', body, 'base64url')
  const version = (resource as { version?: unknown } | null)?.version
  return typeof version === 'number' ? `"${version}.${digest}"` : `"${digest}"`
}

/** Whether `If-None-Match` names this ETag (weak comparison, RFC 9110 13.1.2). */
export function noneMatch(header: string, etag: string): boolean {
  if (header === etag || header === '*') return true
  if (header.length < etag.length) return false
  return header.split(',').some((part) => {
    const candidate = part.trim()
    return candidate === etag || (candidate.startsWith('W/') && candidate.slice(2) === etag)
  })
}

const STRONG = /^"(\d{1,15})(?:\.[\w-]+)?"$/

/** Reads `If-Match`. Throws PRECONDITION_FAILED for what cannot match: a weak tag, a list, or a tag without a version. */
export function preconditionFrom(header: string | undefined): Precondition | undefined {
  if (header === undefined) return undefined
  const tag = header.trim()
  if (tag === '*') return 'any'
  const match = STRONG.exec(tag)
  if (match !== null) return { version: Number(match[1]) }
  const errors = [{ path: 'header.if-match', code: 'no_match', message: 'must be * or one strong ETag with a version' }]
  throw new SkerryError('PRECONDITION_FAILED', { errors })
}
