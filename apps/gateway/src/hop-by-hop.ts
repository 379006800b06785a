import type { IncomingHttpHeaders } from 'node:http'

/** Between two hops only (RFC 9110, 7.6.1), set anew by whoever sends. */
export const HOP_BY_HOP: readonly string[] = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings'
]

/** The names in a `Connection` header, in lower case. */
export function connectionOptions(header: string): ReadonlySet<string> {
  // By far most often, and nothing to look for.
  if (header === 'keep-alive' || header === 'close') return NONE
  return new Set(
    header
      .toLowerCase()
      .split(',')
      .map((option) => option.trim())
  )
}
const NONE: ReadonlySet<string> = new Set()

/**
 * What `Connection` cannot take away: how the message is delimited and whom it is for, which has been decided when it is read, and what the
 * proxy in front says to this gateway.
 */
const FOR_HERE: ReadonlySet<string> = new Set([
  ...HOP_BY_HOP,
  'host',
  'content-length',
  'expect',
  'x-forwarded-for',
  'x-forwarded-proto'
])

/**
 * Takes away what `Connection` names, before anything is decided by it: a token that its service does not get must not let anybody in here
 * (RFC 9110 7.6.1).
 */
export function takeOffNamed(headers: IncomingHttpHeaders): void {
  const { connection } = headers
  if (connection === undefined || connection === 'keep-alive' || connection === 'close') return
  for (const name of connectionOptions(connection))
    if (headers[name] !== undefined && !FOR_HERE.has(name)) delete headers[name]
}
