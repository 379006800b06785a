import { isDropped } from '../../head/lists.ts'
import { isWithheld } from '../request-headers.ts'

const MOST = 32
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]{0,4096}$/

/**
 * What decides how a message is read, whom it is for and who sent it: whoever reads a header of that name has done so before the trailer came
 * (RFC 9110, 6.5.1).
 */
const NEVER =
  /^(?:content-(?:encoding|type|range|length)|host|authorization|cookie|set-cookie|age|cache-control|expires|date|location|retry-after|vary|warning|pragma|max-forwards|range|if-.*|accept.*|www-authenticate|origin|referer|idempotency-key|strict-transport-security|content-security-policy.*)$/

/** Those of a request's trailers that its service gets: name, value, name, value. */
export function requestTrailers(raw: readonly string[]): string[] {
  return passing(raw, isWithheld)
}

/** Those of an answer's trailers that its client gets. */
export function answerTrailers(came: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const list = passing(Object.entries(came).flat() as string[], isDropped)
  return Object.fromEntries(Array.from({ length: list.length / 2 }, (_, i) => [list[2 * i]!, list[2 * i + 1]!]))
}

/** What `Trailer` says, less the names that do not pass; undefined where none is left. */
export function announcedTrailers(header: unknown, direction: 'request' | 'answer'): string | undefined {
  if (typeof header !== 'string') return undefined
  const names = header.split(',', MOST).map((name) => name.trim().toLowerCase())
  const left = names.filter((name) => mayPass(name, direction === 'request' ? isWithheld : isDropped))
  return left.length === 0 ? undefined : left.join(', ')
}

/** Whether a client takes trailers. */
export function takesTrailers(te: unknown): boolean {
  return typeof te === 'string' && /(?:^|,)\s*trailers\s*(?:,|;|$)/i.test(te.slice(0, 256))
}

function passing(raw: readonly string[], isOut: (name: string) => boolean): string[] {
  const list: string[] = []
  for (let i = 0; i + 1 < raw.length && list.length < 2 * MOST; i += 2) {
    const name = raw[i]!.toLowerCase()
    const value = raw[i + 1]!
    if (VALUE.test(value) && mayPass(name, isOut)) list.push(name, value)
  }
  return list
}

function mayPass(name: string, isOut: (name: string) => boolean): boolean {
  // Some servers read other signs as a hyphen.
  return NAME.test(name) && name !== '__proto__' && !NEVER.test(name.replace(/[_.]/g, '-')) && !isOut(name)
}
