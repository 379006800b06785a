import { STATUS_CODES, validateHeaderName, validateHeaderValue } from 'node:http'
import { hasLines } from '../head-lines.ts'

/** The part of a head that is the same for many answers, as text that was looked at once; it says nothing of connections. */
export type HeadPart = { readonly pairs: readonly string[]; readonly text: string; readonly sized: boolean }

export const NOTHING: HeadPart = { pairs: [], text: '', sized: false }

/** Makes such a part of `pairs`. Throws Node's errors for names and values that are none. */
export function headPart(pairs: readonly string[]): HeadPart {
  let text = ''
  for (let i = 0; i < pairs.length; i += 2) {
    validateHeaderName(pairs[i]!)
    validateHeaderValue(pairs[i]!, pairs[i + 1]!)
    text += `${pairs[i]}: ${pairs[i + 1]}\r\n`
  }
  // Written out: what was put together in pieces would be joined anew for each answer.
  return { pairs, text: Buffer.from(text, 'latin1').toString('latin1'), sized: pairs.includes('content-length') }
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
  let text = ''
  let sized = common.sized
  let dated = false
  let closes = false
  for (let i = 0; i < pairs.length; i += 2) {
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
  // What is common was looked at when it was made.
  if (!hasLines(text, pairs.length / 2)) throw new BadHeadError()
  const chunked = mayHaveBody && !sized
  const rest = restOf(!dated, closes, chunked, keepAliveMs)
  return { text: statusLine(status) + common.text + text + rest, sized, chunked, closes }
}

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
    // Written out, as what is common.
    kept = Buffer.from(`${keptLines(keepAliveMs)}\r\n`).toString('latin1')
    datedKept = Buffer.from(date + kept).toString('latin1')
  }
  if (!closes && !chunked) return dates ? datedKept : kept
  const connection = closes ? '' : keptLines(keepAliveMs)
  return `${dates ? date : ''}${connection}${chunked ? 'Transfer-Encoding: chunked\r\n' : ''}\r\n`
}

function keptLines(ms: number): string {
  const timeout = ms > 0 ? `Keep-Alive: timeout=${Math.floor(ms / 1_000)}\r\n` : ''
  return `Connection: keep-alive\r\n${timeout}`
}
