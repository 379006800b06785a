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

/** Those of a service's headers that a client gets: name, value, name, value. */
export function passedBack(came: IncomingHttpHeaders): string[] {
  const named = came.connection === undefined ? undefined : connectionOptions(came.connection)
  const list: string[] = []
  for (const name in came) {
    if (isDropped(name) || named?.has(name) === true) continue
    const value = came[name]
    if (typeof value === 'string') list.push(name, value)
    else if (value !== undefined) for (const one of value) list.push(name, one)
  }
  return list
}

/** What an answer that the gateway gives itself says, as Fastify and Node have it. */
export type OwnHeaders = Readonly<Record<string, string | number | readonly string[] | undefined>>

/** Less what the gateway says of each answer in its place: name, value, name, value. Both speak in `vary`. */
export function notReplaced(own: OwnHeaders, ours: Readonly<Record<string, string>>): string[] {
  const list: string[] = []
  for (const name in own) {
    const value = own[name]
    if (value === undefined) continue
    for (const one of typeof value === 'object' ? value : [String(value)])
      if (ours[name] === undefined || (name === 'vary' && one.toLowerCase() !== ours.vary)) list.push(name, one)
  }
  return list
}

/**
 * Composes the head of an answer: `list` (name, value, name, value) is made longer by what the gateway says, and by `defaults` where nobody says
 * anything. `vary` may then have two lines, which are one list.
 */
export function compose(
  list: string[],
  ours: Readonly<Record<string, string>>,
  defaults: readonly (readonly [name: string, value: string])[]
): string[] {
  const came = list.length
  for (const name in ours) list.push(name, ours[name]!)
  for (const [name, value] of defaults) if (!hasName(list, name, came)) list.push(name, value)
  return list
}

function hasName(list: readonly string[], name: string, end: number): boolean {
  for (let i = 0; i < end; i += 2) if (list[i] === name) return true
  return false
}

/** Takes a header out of a list. */
export function takeOut(list: string[], name: string): void {
  for (let i = list.length - 2; i >= 0; i -= 2) if (list[i] === name) list.splice(i, 2)
}

/** Whether a service says one of these itself. */
export function saysAny(
  came: IncomingHttpHeaders,
  names: readonly (readonly [name: string, value: string])[]
): boolean {
  for (const [name] of names) if (came[name] !== undefined) return true
  return false
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
