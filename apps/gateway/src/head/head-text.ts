import { STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http'
import { copied } from '../copied.ts'
import { type HeadPart, hasLines } from '../head-lines.ts'

export const NOTHING: HeadPart = { pairs: [], text: '', sized: false }

/** Makes such a part of `pairs`. Throws Node's errors for names and values that are none. */
export function headPart(pairs: readonly string[]): HeadPart {
  for (let i = 0; i < pairs.length; i += 2) {
    validateHeaderName(pairs[i]!)
    validateHeaderValue(pairs[i]!, pairs[i + 1]!)
  }
  return { pairs, text: copied(linesOf(pairs)), sized: says(pairs, 'content-length') }
}

/** Headers as the lines of a head, whatever is in them. */
function linesOf(pairs: readonly string[]): string {
  let text = ''
  for (let i = 0; i < pairs.length; i += 2) text += `${pairs[i]}: ${pairs[i + 1]}\r\n`
  return text
}

function says(pairs: readonly string[], name: string): boolean {
  return pairs.some((part, at) => at % 2 === 0 && part === name)
}

/** A head over HTTP/1.1 as text, and what it says of the body and of the connection. */
export type HeadText = {
  readonly text: string
  /** It says how long the body is. */
  readonly sized: boolean
  /** The body goes in chunks. */
  readonly chunked: boolean
  /** The connection ends with this answer. */
  readonly closes: boolean
}

/**
 * The head of an answer with status 200 or above to a request of HTTP/1.1 whose connection stays, unless `pairs` say `connection: close`: byte for
 * byte what Node would write, without the two regular expressions that Node asks of each header (docs/gateway-design.md has the figures). The
 * text as a whole is looked at once, for line ends that do not belong there. Undefined for a head that says more of its connection, which is
 * Node's to write. Throws when a value would end its line.
 *
 * @param common comes before `pairs` (name, value, name, value; names in lower case)
 * @param mayHaveBody whether the answer has a body, which goes in chunks where nothing says its length: none to HEAD, none with 204 and 304
 */
export function headText(
  status: number,
  common: HeadPart,
  pairs: readonly string[],
  keepAliveMs: number,
  mayHaveBody: boolean
): HeadText | undefined {
  const known = knownFor(pairs)
  const from = known?.pairs.length ?? 0
  let text = ''
  let sized = common.sized || known?.sized === true
  let dated = known?.dated === true
  let closes = false
  for (let i = from; i < pairs.length; i += 2) {
    const name = pairs[i]!
    switch (name) {
      case 'connection':
        if (pairs[i + 1] !== 'close') return undefined
        closes = true
        break
      case 'keep-alive':
      case 'transfer-encoding':
      case 'trailer':
        return undefined
      case 'content-length':
        sized = true
        break
      case 'date':
        dated = true
        break
    }
    text += `${name}: ${pairs[i + 1]}\r\n`
  }
  // What is common or known was looked at when it was made.
  if (!hasLines(text, (pairs.length - from) / 2)) throw new BadHeadError()
  const chunked = mayHaveBody && !sized
  const rest = restOf(!dated, closes, chunked, keepAliveMs)
  return {
    text: statusLine(status) + common.text + (known === undefined ? '' : known.text) + text + rest,
    sized,
    chunked,
    closes
  }
}

/**
 * A whole head as text, as it is: for what has no response to write to. Throws when a value would end its line.
 *
 * @param line the first one
 * @param pairs name, value, name, value
 */
export function wholeHeadText(line: string, pairs: readonly string[]): string {
  const text = `${line}\r\n${linesOf(pairs)}`
  if (!hasLines(text, 1 + pairs.length / 2)) throw new BadHeadError()
  return `${text}\r\n`
}

/** What the last heads of one kind began with. */
type Known = {
  readonly pairs: readonly string[]
  readonly text: string
  readonly sized: boolean
  readonly dated: boolean
}
type Kind = { known: Known | undefined; last: readonly string[] }

/** Heads of several services and routes come in turns: by a cheap mark each kind mostly has a place to itself. */
const kinds: Kind[] = Array.from({ length: 16 }, () => ({ known: undefined, last: [] }))
/** Below this it costs more to look than to write. */
const FEWEST_KNOWN = 4
/** What is longer is not kept. */
const LONGEST_KNOWN = 2_048

/**
 * The beginning of a head that is as that of the last two of its kind, as text that is made once: a service says the same again and again,
 * before what the gateway says of each request.
 */
function knownFor(pairs: readonly string[]): Known | undefined {
  if (pairs.length < FEWEST_KNOWN) return undefined
  const kind = kinds[(pairs.length + pairs[1]!.length) % kinds.length]!
  const { known } = kind
  if (known !== undefined && sameUpTo(pairs, known.pairs) === known.pairs.length) return known
  const same = sameUpTo(pairs, kind.last)
  kind.last = pairs
  if (same < FEWEST_KNOWN) return undefined
  kind.known = knownOf(pairs.slice(0, same))
  return kind.known
}

/** How many of both are the same, from the first on; whole pairs. */
function sameUpTo(pairs: readonly string[], others: readonly string[]): number {
  const most = Math.min(pairs.length, others.length)
  let at = 0
  while (at < most && pairs[at] === others[at]) at++
  return at - (at % 2)
}

/** Undefined for what the caller has to look at each time, or refuse. */
function knownOf(pairs: readonly string[]): Known | undefined {
  if (OF_CONNECTIONS.some((name) => says(pairs, name))) return undefined
  const text = linesOf(pairs)
  if (text.length > LONGEST_KNOWN || !hasLines(text, pairs.length / 2)) return undefined
  return {
    pairs: pairs.map((part) => copied(part)),
    text: copied(text),
    sized: says(pairs, 'content-length'),
    dated: says(pairs, 'date')
  }
}

const OF_CONNECTIONS: readonly string[] = ['connection', 'keep-alive', 'transfer-encoding', 'trailer']

/** `code` is Node's for a value that cannot be a header's. */
class BadHeadError extends TypeError {
  readonly code = 'ERR_INVALID_CHAR'

  constructor() {
    super('a header with line ends or characters that do not belong there')
  }
}

const statusLines = new Map<number, string>()

function statusLine(status: number): string {
  let line = statusLines.get(status)
  if (line === undefined) {
    line = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`
    statusLines.set(status, line)
  }
  return line
}

let second = 0
let date = ''
let keptFor = -1
/** By far most often: that the connection is kept, and the end of the head; and the same with the time of this second. */
let kept = ''
let datedKept = ''

/** What the gateway says at the end of a head: when it is, and how its connection and its body end. */
function restOf(dates: boolean, closes: boolean, chunked: boolean, keepAliveMs: number): string {
  const now = Math.floor(Date.now() / 1_000)
  if (now !== second || keepAliveMs !== keptFor) {
    second = now
    keptFor = keepAliveMs
    date = `Date: ${new Date(now * 1_000).toUTCString()}\r\n`
    kept = copied(`${keptLines(keepAliveMs)}\r\n`)
    datedKept = copied(date + kept)
  }
  if (!closes && !chunked) return dates ? datedKept : kept
  const connection = closes ? '' : keptLines(keepAliveMs)
  return `${dates ? date : ''}${connection}${chunked ? 'Transfer-Encoding: chunked\r\n' : ''}\r\n`
}

function keptLines(ms: number): string {
  const timeout = ms > 0 ? `Keep-Alive: timeout=${Math.floor(ms / 1_000)}\r\n` : ''
  return `Connection: keep-alive\r\n${timeout}`
}
