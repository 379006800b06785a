import type { IncomingHttpHeaders } from 'node:http'
import { copied } from '../../copied.ts'

/** An answer that is not HTTP/1.1 as we take it. Its connection is closed, and it counts against the instance. */
export class ProtocolError extends Error {
  readonly code = 'SKERRY_BAD_ANSWER'

  constructor(reason: string) {
    super(`the answer is not proper HTTP/1.1: ${reason}`)
    this.name = 'ProtocolError'
  }
}

/** How the body of an answer is delimited, when it is not by its length. */
export const CHUNKED = -1
export const UNTIL_CLOSE = -2

/** The head of an answer. */
export type Head = {
  status: number
  /** Names in lower case; a repeated header is joined with `, `, `set-cookie` is a list. */
  headers: IncomingHttpHeaders
  /** Bytes of the body, or CHUNKED, or UNTIL_CLOSE. */
  length: number
  /** The connection may carry another request. */
  keepAlive: boolean
  /** How long its sender keeps the unused connection, as it says (`Keep-Alive: timeout=`), ms; Infinity where it does not say. */
  keptMs: number
}

/** Controls, also an LF without a CR; a CR without an LF is found when lines are. */
const NO_VALUE = /[^\t\x20-\x7e\x80-\xff]/
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const LENGTH = /^\d{1,15}$/
/** Header lines of one head: no service says more, and each costs a place in memory. */
const MOST_LINES = 256

/**
 * The lines of the last head from one place, in order. Servers say the same names in the same order again and again: recognising a line
 * costs a comparison, while cutting out, checking and lowering its name is most of what parsing would cost.
 */
export type Familiar = FamiliarLine[]

type FamiliarLine = {
  /** The name as it was written, with its colon. */
  readonly start: string
  readonly name: string
  /** A line before has the same name. */
  readonly repeated: boolean
  /** What it said last, and the whole line with its end when it has said that twice: most say the same for as long as a server lives. */
  value: string
  text: string
}
const MOST_FAMILIAR = 64

/**
 * Parses the head of an answer, without its final empty line (RFC 9112). Throws a ProtocolError for whatever two parsers could read in two
 * ways: folded lines, white space before a colon, controls, a length beside chunks, two lengths, a coding that is not `chunked` alone.
 *
 * @param text the head as latin1
 * @param method of the request: an answer to HEAD has no body
 * @param familiar what the last head from the same place was like; it is kept up to date
 */
export function parseHead(text: string, method: string, familiar: Familiar = []): Head {
  let at = lineEnd(text, 0)
  withoutControls(text.slice(0, at))
  const status = statusOf(text, at)
  let keepAlive = text.charCodeAt(7) === 49
  // HTTP/1.0 has none (RFC 9110, 15.2), so another parser takes it for the last answer of its connection.
  if (status < 200 && !keepAlive) throw new ProtocolError('an interim answer of HTTP/1.0')
  let keptMs = Number.POSITIVE_INFINITY
  let length = UNTIL_CLOSE
  let chunked = false
  const headers: Record<string, string | string[]> = {}
  for (let place = 0; at < text.length; place++) {
    if (place === MOST_LINES) throw new ProtocolError('more header lines than any answer has')
    const start = at + 2
    let line = familiar[place]
    if (line !== undefined && line.text !== '' && text.startsWith(line.text, start)) at = start + line.text.length - 2
    else {
      at = lineEnd(text, start)
      if (line === undefined || !text.startsWith(line.start, start)) {
        line = newLine(text, start, at, headers)
        // What came after another line says nothing of what comes after this one.
        if (place < familiar.length) familiar.length = place
        if (place < MOST_FAMILIAR) familiar.push(line)
      }
      // A known line was looked at when it became one, and so was each name.
      says(line, withoutControls(valueFrom(text, start + line.start.length, at)), text, start, at)
    }
    const { name, repeated, value } = line
    switch (name) {
      case 'content-length':
        if (!LENGTH.test(value) || repeated) throw new ProtocolError('a bad content-length')
        length = Number(value)
        break
      case 'transfer-encoding':
        if (value.toLowerCase() !== 'chunked' || repeated) throw new ProtocolError('a bad transfer-encoding')
        chunked = true
        break
      case 'connection':
        if (value !== 'keep-alive' && value.toLowerCase().includes('close')) keepAlive = false
        break
      case 'keep-alive':
        keptMs = Math.min(keptMs, keptOf(value))
        break
      case 'set-cookie':
        if (repeated) (headers[name] as string[]).push(value)
        else headers[name] = [value]
        continue
    }
    headers[name] = repeated ? `${headers[name] as string}, ${value}` : value
  }
  if (chunked) {
    if (length !== UNTIL_CLOSE) throw new ProtocolError('a length and chunks')
    length = CHUNKED
  }
  if (method === 'HEAD' || status === 204 || status === 304 || status < 200) {
    // Some servers send the body all the same, a moment later: whoever got the connection next would read it as its own answer.
    if (method === 'HEAD' || length > 0 || length === CHUNKED) keepAlive = false
    length = 0
  }
  if (length === UNTIL_CLOSE) keepAlive = false
  return { status, headers, length, keepAlive, keptMs }
}

/** Whether a head that another parser has let pass is one that this one would: a status, and values, that can be passed on. */
export function isProper(status: number, headers: IncomingHttpHeaders): boolean {
  if (status < 100 || status > 599) return false
  for (const name in headers) {
    const value = headers[name]
    if (name === '__proto__' || (typeof value === 'string' && NO_VALUE.test(value))) return false
    if (Array.isArray(value) && value.some((one) => NO_VALUE.test(one))) return false
  }
  return true
}

/** Makes the headers of another parser those of this one: it gives each that is repeated as a list. */
export function joinRepeated(headers: IncomingHttpHeaders): void {
  for (const name in headers) {
    const value = headers[name]
    if (name === 'set-cookie') headers[name] = typeof value === 'string' ? [value] : value
    else if (Array.isArray(value)) headers[name] = value.join(', ')
  }
}

/**
 * Whether the head of an answer over TLS says where its body ends. The end of the connection does not: without the closing alert of TLS a part
 * would be taken for the whole (RFC 9112, 9.8), and nothing tells us of that alert; even a reset is the end to undici. A live stream is never
 * whole, so it may.
 */
export function tellsItsEnd(method: string, status: number, headers: IncomingHttpHeaders): boolean {
  if (method === 'HEAD' || status === 204 || status === 304) return true
  const coding = headers['transfer-encoding']
  if (coding !== undefined) return coding.toLowerCase() === 'chunked'
  return headers['content-length'] !== undefined || headers['content-type']?.startsWith('text/event-stream') === true
}

/** Where a line ends whose end is what another parser would take for it, too. */
function lineEnd(text: string, from: number): number {
  const at = text.indexOf('\r', from)
  if (at === -1) return text.length
  if (text.charCodeAt(at + 1) !== 10) throw new ProtocolError('control characters in the head')
  return at
}

function withoutControls(text: string): string {
  if (NO_VALUE.test(text)) throw new ProtocolError('control characters in the head')
  return text
}

function statusOf(text: string, end: number): number {
  // `HTTP/1.x NNN`, then a space and a reason or nothing.
  const proper = text.startsWith('HTTP/1.') && (text[7] === '1' || text[7] === '0') && text[8] === ' '
  const status = digit(text, 9) * 100 + digit(text, 10) * 10 + digit(text, 11)
  // What is no digit made it NaN.
  if (!proper || !(status >= 100 && status < 600) || (end > 12 && text[12] !== ' ') || end < 12)
    throw new ProtocolError('a bad status line')
  return status
}

function digit(text: string, at: number): number {
  const value = text.charCodeAt(at) - 48
  return value >= 0 && value <= 9 ? value : Number.NaN
}

function newLine(text: string, start: number, end: number, before: object): FamiliarLine {
  const colon = text.indexOf(':', start)
  if (colon === -1 || colon > end) throw new ProtocolError('a header line without a colon')
  const raw = text.slice(start, colon)
  if (!NAME.test(raw)) throw new ProtocolError('a bad header name')
  const name = raw.toLowerCase()
  // A name that is a member of every object would be read as one.
  if (name === '__proto__') throw new ProtocolError('a bad header name')
  return { start: copied(`${raw}:`), name, repeated: Object.hasOwn(before, name), value: '', text: '' }
}

/** Takes in what a line says, in `text` from `start` to `end`. */
function says(line: FamiliarLine, value: string, text: string, start: number, end: number): void {
  if (value !== line.value) {
    line.value = value
    line.text = ''
  } else if (line.text === '' && end < text.length) {
    line.value = copied(value)
    line.text = copied(text.slice(start, end + 2))
  }
}

/** The name, in lower case, and value of one header line by itself; undefined for what is none. */
export function parseLine(line: string): [name: string, value: string] | undefined {
  const colon = line.indexOf(':')
  const name = colon === -1 ? '' : line.slice(0, colon).toLowerCase()
  if (!NAME.test(name) || name === '__proto__' || NO_VALUE.test(line)) return undefined
  return [name, valueFrom(line, colon + 1, line.length)]
}

/** Without the white space around it. */
function valueFrom(text: string, from: number, to: number): string {
  let start = from
  let end = to
  while (start < end && isSpace(text.charCodeAt(start))) start++
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isSpace(code: number): boolean {
  return code === 32 || code === 9
}

let keptValue = ''
let keptFor = Number.POSITIVE_INFINITY

/** What `Keep-Alive` says (`timeout=5, max=100`), ms. It is the same again and again, so the last one is remembered. */
function keptOf(value: string): number {
  if (value === keptValue) return keptFor
  keptValue = copied(value)
  const seconds = /(?:^|[,\s])timeout\s*=\s*"?(\d{1,7})/i.exec(value)?.[1]
  keptFor = seconds === undefined ? Number.POSITIVE_INFINITY : Number(seconds) * 1_000
  if (/(?:^|[,\s])max\s*=\s*"?0+(?!\d)/i.test(value)) keptFor = 0
  return keptFor
}
