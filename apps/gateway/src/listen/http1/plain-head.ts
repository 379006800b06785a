import type { HeadPart } from '../../head-lines.ts'

/** The header lines of a plain head. They are the same for many requests of one connection, which is looked at first. */
export type Fields = {
  /** As they came, from the request line's end to the empty line. */
  readonly text: string
  /** By name in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Name, value, name, value, as they were written. */
  readonly raw: readonly string[]
  /** What a service gets of them, and of whom they come from (`proxy/request-headers.ts`): made for the second request with the same lines. */
  passed: { readonly address: string; readonly protocol: string; readonly part: HeadPart } | undefined
  asked: boolean
}

/** A request of which all servers read the same: it has no body. */
export type PlainHead = { readonly method: string; readonly target: string; readonly fields: Fields }

const CR = 13
/** Methods that mean nothing to a parser; a request line ends with CR. */
const REQUEST_LINE = /^(?:GET|HEAD|DELETE) \/[\w\-.~!$&'()*+,=:@/%?]* HTTP\/1\.1$/
/** Each line ends with CRLF, then there is an empty one, and nothing else. Values are visible ASCII, with spaces inside. */
const FIELDS = /^\r\n(?:[A-Za-z0-9-]{1,64}: [\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?\r\n){1,64}\r\n$/

/** What says how a message is read, or what its connection becomes: whoever sends it is for Node's parser. */
const NOT_PLAIN: ReadonlySet<string> = new Set([
  'content-length',
  'transfer-encoding',
  'te',
  'trailer',
  'expect',
  'upgrade',
  'http2-settings',
  'keep-alive',
  'proxy-connection'
])

/**
 * Reads the first `bytes` of `buffer` if they are exactly one request that every parser of HTTP/1.1 reads in the same way: what is not plain, not
 * whole, or more than one is undefined, and nobody's fault.
 *
 * @param known the lines of the last request on this connection
 */
export function readPlainHead(buffer: Buffer, bytes: number, known: Fields | undefined): PlainHead | undefined {
  const end = buffer.indexOf(CR)
  if (end === -1 || end >= bytes) return undefined
  // By themselves, as all parts that somebody may keep: a part of a string keeps the whole of it in memory.
  const line = buffer.toString('latin1', 0, end)
  if (!REQUEST_LINE.test(line)) return undefined
  const text = buffer.toString('latin1', end, bytes)
  const fields = known?.text === text ? known : readFields(text, buffer, end)
  if (fields === undefined) return undefined
  const space = line.indexOf(' ')
  return { method: line.slice(0, space), target: line.slice(space + 1, line.length - 9), fields }
}

/** @param at where `text` is in `buffer` */
function readFields(text: string, buffer: Buffer, at: number): Fields | undefined {
  if (!FIELDS.test(text)) return undefined
  // A dictionary from the beginning: clients send these in any order, and V8 would make a shape of each, and of all code that reads them.
  const headers: Record<string, string> = Object.create(null)
  const raw: string[] = []
  const last = text.length - 2
  for (let start = 2; start < last; ) {
    const colon = text.indexOf(':', start)
    const end = text.indexOf('\r', colon)
    const { name, lower } = nameOf(text.slice(start, colon))
    // Servers differ in which of two they take.
    if (headers[lower] !== undefined || NOT_PLAIN.has(lower)) return undefined
    const value = buffer.toString('latin1', at + colon + 2, at + end)
    headers[lower] = value
    raw.push(name, value)
    start = end + 2
  }
  const { host, connection } = headers
  if (host === undefined || (connection !== undefined && connection.toLowerCase() !== 'keep-alive')) return undefined
  return { text, headers, raw, passed: undefined, asked: false }
}

type Name = { readonly name: string; readonly lower: string }

const names = new Map<string, Name>()
/** Most are few, and a bound keeps a hostile client from filling the map. */
const NAMES_KEPT = 1_000

function nameOf(text: string): Name {
  const known = names.get(text)
  if (known !== undefined) return known
  const name = Buffer.from(text, 'latin1').toString('latin1')
  const made = { name, lower: name.toLowerCase() }
  if (names.size < NAMES_KEPT) names.set(name, made)
  return made
}
