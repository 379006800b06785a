import type { IncomingHttpHeaders } from 'node:http'

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
}

// Controls, and CR or LF that do not come together: what another parser might take for the end of a line.
const BAD_TEXT = /[^\t\r\n\x20-\x7e\x80-\xff]|\r(?!\n)|(?:^|[^\r])\n/
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const LENGTH = /^\d{1,15}$/

/** Names as services write them, to lower case: checking and lowering each once is most of what parsing would cost. */
const names = new Map<string, string>()
const NAMES_KEPT = 1_000

/**
 * Parses the head of an answer, without its final empty line (RFC 9112). Throws a ProtocolError for whatever two parsers could read in two
 * ways: folded lines, white space before a colon, controls, a length beside chunks, two lengths, a coding that is not `chunked` alone.
 *
 * @param text the head as latin1
 * @param method of the request: an answer to HEAD has no body
 */
export function parseHead(text: string, method: string): Head {
  if (BAD_TEXT.test(text)) throw new ProtocolError('control characters in the head')
  let at = text.indexOf('\r\n')
  if (at === -1) at = text.length
  const status = statusOf(text, at)
  let keepAlive = text.charCodeAt(7) === 49
  let length = UNTIL_CLOSE
  let chunked = false
  const headers: Record<string, string | string[]> = {}
  while (at < text.length) {
    const start = at + 2
    at = text.indexOf('\r\n', start)
    if (at === -1) at = text.length
    const colon = text.indexOf(':', start)
    if (colon === -1 || colon > at) throw new ProtocolError('a header line without a colon')
    const name = nameOf(text.slice(start, colon))
    const value = valueFrom(text, colon + 1, at)
    const before = headers[name]
    if (name === 'content-length') {
      if (!LENGTH.test(value) || before !== undefined) throw new ProtocolError('a bad content-length')
      length = Number(value)
    } else if (name === 'transfer-encoding') {
      if (value.toLowerCase() !== 'chunked' || before !== undefined) throw new ProtocolError('a bad transfer-encoding')
      chunked = true
    } else if (name === 'connection') {
      const options = value.toLowerCase()
      if (options.includes('close')) keepAlive = false
    }
    if (name === 'set-cookie') {
      if (before === undefined) headers[name] = [value]
      else (before as string[]).push(value)
    } else headers[name] = before === undefined ? value : `${before as string}, ${value}`
  }
  if (chunked) {
    if (length !== UNTIL_CLOSE) throw new ProtocolError('a length and chunks')
    length = CHUNKED
  }
  if (method === 'HEAD' || status === 204 || status === 304 || status < 200) length = 0
  if (length === UNTIL_CLOSE) keepAlive = false
  return { status, headers, length, keepAlive }
}

function statusOf(text: string, end: number): number {
  // `HTTP/1.x NNN`, then a space and a reason or nothing.
  const proper = text.startsWith('HTTP/1.') && (text[7] === '1' || text[7] === '0') && text[8] === ' '
  const digits = text.slice(9, 12)
  if (!proper || !/^[1-5]\d\d$/.test(digits) || (end > 12 && text[12] !== ' ') || end < 12)
    throw new ProtocolError('a bad status line')
  return Number(digits)
}

function nameOf(raw: string): string {
  let name = names.get(raw)
  if (name === undefined) {
    if (!NAME.test(raw)) throw new ProtocolError('a bad header name')
    name = raw.toLowerCase()
    // A name that is a member of every object would be read as one.
    if (name === '__proto__') throw new ProtocolError('a bad header name')
    if (names.size < NAMES_KEPT) names.set(raw, name)
  }
  return name
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
