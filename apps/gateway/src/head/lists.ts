import type { IncomingHttpHeaders } from 'node:http'
import { connectionOptions, HOP_BY_HOP } from '../hop-by-hop.ts'
import type { Verdict } from '../limits/limiter.ts'

const NEVER_ANSWERED = new Set([
  ...HOP_BY_HOP,
  'server',
  'x-powered-by',
  'x-request-id',
  'server-timing',
  'ratelimit',
  'ratelimit-policy',
  'proxy-authenticate'
])

/** What was decided about names is kept; most are few, and a bound keeps a hostile service from filling the map. */
const NAMES_KEPT = 1_000

/**
 * The headers a client gets: name, value, name, value. Those in `ours` (lower case) are the gateway's and replace the service's, but both
 * speak in `vary`; `defaults` hold where the service says nothing itself.
 */
export function responseHeaders(
  came: IncomingHttpHeaders,
  ours: Readonly<Record<string, string>>,
  defaults: readonly (readonly [name: string, value: string])[]
): string[] {
  const named = came.connection === undefined ? undefined : connectionOptions(came.connection)
  const list: string[] = []
  for (const name in came) {
    if (isDropped(name) || named?.has(name) === true) continue
    const value = came[name]
    if (typeof value === 'string') list.push(name, value)
    else if (value !== undefined) for (const one of value) list.push(name, one)
  }
  for (const name in ours) list.push(name, ours[name]!)
  for (const [name, value] of defaults) if (came[name] === undefined) list.push(name, value)
  return list
}

/** Whether a service says one of these itself. */
export function saysAny(
  came: IncomingHttpHeaders,
  names: readonly (readonly [name: string, value: string])[]
): boolean {
  for (const [name] of names) if (came[name] !== undefined) return true
  return false
}

/** Adds the gateway's own headers and defaults to those of a kept answer (name, value, name, value). */
export function withOurs(
  list: string[],
  ours: Readonly<Record<string, string>>,
  defaults: readonly (readonly [name: string, value: string])[]
): string[] {
  const kept = list.length
  for (const name in ours) {
    // Both speak in `vary`.
    const at = name === 'vary' ? indexOfName(list, name, kept) : -1
    if (at === -1) list.push(name, ours[name]!)
    else list[at + 1] = `${list[at + 1]}, ${ours[name]}`
  }
  for (const [name, value] of defaults) if (indexOfName(list, name, kept) === -1) list.push(name, value)
  return list
}

function indexOfName(list: readonly string[], name: string, end: number): number {
  for (let i = 0; i < end; i += 2) if (list[i] === name) return i
  return -1
}

const decided = new Map<string, boolean>()

/** Whether a client must not get a header of a service. */
export function isDropped(name: string): boolean {
  let dropped = decided.get(name)
  if (dropped === undefined) {
    dropped = NEVER_ANSWERED.has(name) || name.startsWith('x-skerry-') || name.startsWith('access-control-')
    if (decided.size < NAMES_KEPT) decided.set(name, dropped)
  }
  return dropped
}

/** Adds the draft's `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10). */
export function limitHeaders(verdict: Verdict, headers: Record<string, string>): void {
  const { policy, policyHeader, remaining, resetSeconds } = verdict
  headers.ratelimit = `"${policy.name}";r=${remaining};t=${resetSeconds}`
  headers['ratelimit-policy'] = policyHeader
}
