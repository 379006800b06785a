import type { IncomingHttpHeaders } from 'node:http'
import { untagHeader } from '../bytes/etags.ts'
import { headPart } from '../head/head-text.ts'
import type { HeadPart } from '../head-lines.ts'
import { connectionOptions, HOP_BY_HOP } from '../hop-by-hop.ts'
import type { Fields } from '../listen/http1/plain-head.ts'

/** What a client may not tell a service: it is hop-by-hop, or only the gateway knows it. */
const NEVER_FORWARDED = new Set([
  ...HOP_BY_HOP,
  'expect',
  'host',
  'content-length',
  'proxy-authorization',
  'proxy-authenticate',
  'forwarded',
  'via',
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'client-ip',
  'true-client-ip',
  'x-user-id',
  'x-original-url',
  'x-original-uri',
  'x-original-forwarded-for',
  'x-rewrite-url',
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'x-request-id',
  'traceparent'
])

/** What was decided about names is kept; most are few, and a bound keeps a hostile peer from filling the maps. */
const NAMES_KEPT = 1_000

/** What the gateway tells a service of a request. */
export type Told = {
  address: string
  protocol: string
  requestId: string
  traceparent: string
  /** The trace that came in was continued, so its state belongs to it. */
  traceContinued: boolean
}

/** The headers a service gets, as undici takes them: name, value, name, value. `body` is what will be sent, if anything. */
export function requestHeaders(came: IncomingHttpHeaders, told: Told, body: Buffer | null): string[] {
  const list = passedOn(came, told.traceContinued)
  list.push(...comesFrom(told), ...isKnownAs(told))
  if (body !== null) list.push('content-length', String(body.length))
  return list
}

/**
 * The same in two parts for what came in `fields`: what is the same for each request with these, and what is not. Whom they come from is the same,
 * too: their connection and these lines say it.
 */
export function splitHeaders(fields: Fields, told: Told): { common: HeadPart | undefined; headers: string[] } {
  const { address, protocol } = told
  let { passed } = fields
  if (passed === undefined || passed.address !== address || passed.protocol !== protocol) {
    // Most connections ask more than once, with the same headers; for one request it costs more than it spares.
    if (!fields.asked || fields.headers.tracestate !== undefined) {
      fields.asked = true
      return { common: undefined, headers: requestHeaders(fields.headers, told, null) }
    }
    const part = headPart([...passedOn(fields.headers, false), ...comesFrom(told)])
    passed = { address, protocol, part }
    fields.passed = passed
  }
  return { common: passed.part, headers: isKnownAs(told) }
}

/** What a service gets of what came. */
function passedOn(came: IncomingHttpHeaders, traceContinued: boolean): string[] {
  const named = came.connection === undefined ? undefined : connectionOptions(came.connection)
  const list: string[] = []
  for (const name in came) {
    if (isWithheld(name)) continue
    if (name === 'tracestate' && !traceContinued) continue
    if (named?.has(name) === true) continue
    const value = came[name]
    if (typeof value !== 'string') continue
    // The service knows its ETags without what we add for a coding.
    if (name === 'if-none-match') list.push(name, untagHeader(value, came['accept-encoding'] as string | undefined))
    else list.push(name, name === 'if-match' ? untagHeader(value) : value)
  }
  return list
}

function comesFrom({ address, protocol }: Told): string[] {
  return ['x-forwarded-for', address, 'x-forwarded-proto', protocol]
}

function isKnownAs({ requestId, traceparent }: Told): string[] {
  return ['x-request-id', requestId, 'traceparent', traceparent]
}

const withheld = new Map<string, boolean>()

/** Whether a service must not get a header of a client; also in spellings that some servers take for it (`x_forwarded_for`, `x.forwarded.for`). */
export function isWithheld(name: string): boolean {
  let answer = withheld.get(name)
  if (answer === undefined) {
    const plain = name.replaceAll(/[^a-z0-9]/g, '-')
    answer = NEVER_FORWARDED.has(plain) || plain.startsWith('x-forwarded-') || plain.startsWith('x-skerry-')
    if (withheld.size < NAMES_KEPT) withheld.set(name, answer)
  }
  return answer
}
