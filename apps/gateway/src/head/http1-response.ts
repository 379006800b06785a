import {
  type IncomingMessage,
  type OutgoingHttpHeaders,
  ServerResponse,
  STATUS_CODES,
  validateHeaderName,
  validateHeaderValue
} from 'node:http'
import { hasLines } from '../head-lines.ts'

/** What of Node's response its types do not name: the head that waits for the first part of the body, and what the head says of the connection. */
type Inside = {
  _header: string | null
  _headerSent: boolean
  _keepAliveTimeout: number
  _expect_continue: boolean
  _sent100: boolean
}

/** The part of a head that is the same for many answers, as text that was looked at once; it says nothing of connections. */
export type HeadPart = { readonly pairs: readonly string[]; readonly text: string; readonly sized: boolean }

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

/**
 * An answer over HTTP/1.1. `writePairs` is Node's `writeHead` for headers whose names are proper already: Node asks two regular
 * expressions of each header, which is a third of what answering costs (docs/gateway-design.md has the figures). Here the head as a whole is
 * looked at once, for line ends that do not belong there.
 */
export class GatewayResponse extends ServerResponse<IncomingMessage> {
  /**
   * Writes a head of `pairs` (name, value, name, value; names in lower case), byte for byte as Node would. Whatever is not the ordinary case
   * is Node's to write: no length, no body, a connection that ends with this answer. Throws when a value would end its line.
   *
   * @param common comes before them
   */
  writePairs(status: number, pairs: readonly string[], common: HeadPart = NOTHING): void {
    const inside = this as unknown as Inside
    const text = this.isOrdinary(status, inside) ? headText(status, common, pairs, inside._keepAliveTimeout) : undefined
    if (text === undefined) {
      this.writeHead(status, joined(common, pairs))
      return
    }
    this.statusCode = status
    inside._header = text
    inside._headerSent = false
  }

  private isOrdinary(status: number, { _header, _expect_continue, _sent100 }: Inside): boolean {
    return (
      _header === null &&
      this.getHeaderNames().length === 0 &&
      this.shouldKeepAlive &&
      status >= 200 &&
      status !== 204 &&
      status !== 304 &&
      this.req.httpVersionMinor === 1 &&
      (!_expect_continue || _sent100)
    )
  }
}

/** Writes the head of an answer, over whichever protocol, as `GatewayResponse.writePairs` does. */
export function writePairs(
  response: ServerResponse,
  status: number,
  pairs: readonly string[],
  common: HeadPart = NOTHING
): void {
  if (response instanceof GatewayResponse) response.writePairs(status, pairs, common)
  else response.writeHead(status, joined(common, pairs))
}

/** Lets the head of an answer say how long its connection is kept, where Node does not keep it by a timer of its own. */
export function tellKeepAlive(response: ServerResponse, ms: number): void {
  ;(response as unknown as Inside)._keepAliveTimeout = ms
}

const NOTHING: HeadPart = { pairs: [], text: '', sized: false }

/** As Node takes them; its type does not know of lists. */
function joined(common: HeadPart, pairs: readonly string[]): OutgoingHttpHeaders {
  return (common === NOTHING ? pairs : [...common.pairs, ...pairs]) as unknown as OutgoingHttpHeaders
}

/** Undefined for a head that says something of its connection or leaves its length open. */
function headText(status: number, common: HeadPart, pairs: readonly string[], keepAliveMs: number): string | undefined {
  let text = ''
  let lines = pairs.length / 2 + 2
  let sized = common.sized
  let dated = false
  for (let i = 0; i < pairs.length; i += 2) {
    const name = pairs[i]!
    switch (name) {
      case 'connection':
      case 'keep-alive':
      case 'transfer-encoding':
      case 'trailer':
      case 'expect':
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
  if (!sized) return undefined
  if (!dated) {
    text += dateLine()
    lines++
  }
  text += 'Connection: keep-alive\r\n'
  if (keepAliveMs > 0) {
    text += keepAliveLine(keepAliveMs)
    lines++
  }
  text += '\r\n'
  // What is common was looked at when it was made.
  if (!hasLines(text, lines)) throw new BadHeadError()
  return statusLine(status) + common.text + text
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

function dateLine(): string {
  const now = Math.floor(Date.now() / 1_000)
  if (now !== second) {
    second = now
    date = `Date: ${new Date(now * 1_000).toUTCString()}\r\n`
  }
  return date
}

let keptFor = 0
let keepAlive = ''

function keepAliveLine(ms: number): string {
  if (ms !== keptFor) {
    keptFor = ms
    keepAlive = `Keep-Alive: timeout=${Math.floor(ms / 1_000)}\r\n`
  }
  return keepAlive
}
