import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { Client } from 'undici'
import { Scripted } from './scripted.ts'

/** A request as the reference frames it. */
export type Framed = {
  method: string
  target: string
  body: string
  /** Its body came to its end. */
  whole: boolean
  /** What follows on its connection is no request of HTTP/1.1. */
  upgrade: boolean
  /** It says no host, which is refused (RFC 9112, 3.2): it has its answer, and nobody may see it. */
  refused: boolean
  /** The sender said that this is the last one. */
  last: boolean
}

/** Turns of the event loop without anything new, after which nothing more comes out of a parser. */
const TURNS = 4

/**
 * What a bare `node:http` server makes of the bytes of one connection: which requests there are in them.
 *
 * @param headerLimit as the gateway is given it
 */
export function createRequestReference(headerLimit: number): (bytes: Buffer) => Promise<Framed[]> {
  const found = new WeakMap<object, Framed[]>()
  const isWebSocket = (request: IncomingMessage) =>
    request.method === 'GET' && request.headers.upgrade?.toLowerCase() === 'websocket'
  const take = (request: IncomingMessage, response: ServerResponse | undefined) => {
    const framed: Framed = {
      method: request.method ?? '',
      target: request.url ?? '',
      body: '',
      whole: false,
      upgrade: response === undefined,
      refused: request.httpVersion === '1.1' && request.headers.host === undefined,
      last: response?.shouldKeepAlive === false
    }
    found.get(request.socket)?.push(framed)
    request.on('data', (part: Buffer) => {
      framed.body += part.toString('latin1')
    })
    request.on('end', () => {
      framed.whole = true
      response?.end()
    })
    request.on('error', () => undefined)
    if (response === undefined) framed.whole = true
  }
  const server = createServer(
    // As the gateway: Node would answer what says no host by itself, and its place among the answers would be missing.
    { maxHeaderSize: headerLimit, shouldUpgradeCallback: isWebSocket, requireHostHeader: false } as object,
    take
  )
  server.on('checkExpectation', take)
  server.on('checkContinue', take)
  server.on('upgrade', (request, socket) => {
    take(request, undefined)
    socket.on('error', () => undefined)
  })
  // What came whole before stays: whoever destroys the connection here breaks it off.
  server.on('clientError', () => undefined)
  return (bytes) =>
    new Promise((resolve) => {
      const socket = new Scripted()
      const list: Framed[] = []
      found.set(socket, list)
      socket.on('error', () => undefined)
      server.emit('connection', socket)
      // It does not end: that would break off what came whole before.
      socket.push(bytes)
      // A body is handed on, and the request behind it taken up, some turns later; what is not there then is not coming.
      let turns = 0
      let whole = -1
      const look = () => {
        const found = list.filter((one) => one.whole).length
        turns = found > whole ? 0 : turns + 1
        whole = Math.max(whole, found)
        if (turns < TURNS) setImmediate(look)
        else {
          socket.destroy()
          resolve(list)
        }
      }
      look()
    })
}

/** What undici makes of the bytes of one answer: undefined when it takes them for none, or for half of one. */
export type UndiciAnswer = { status: number; body: string; whole: boolean }

/** White space that may be behind a length (RFC 9112, 5): undici's parser takes a tab there for a part of the number. */
const BEHIND_LENGTH = /(\r\ncontent-length:[\t ]*\d+)[\t ]+(?=\r\n)/gi

/**
 * Answers with each 100 as 103. undici takes a 100 that it has not asked for to be an error (`bad response`); RFC 9110 (15.2) has it passed over
 * as any other 1xx. By their bytes, since a mutation makes one out of the other: where what a case plans was changed, round 18, case 19656,
 * became a 100 again.
 */
function asEarlyHints(text: string): string {
  const interim = /HTTP\/1\.[01] 1\d\d[ \r]/y
  let result = text
  for (let at = 0; ; ) {
    interim.lastIndex = at
    if (!interim.test(result)) return result
    if (result.startsWith('100', at + 9)) result = `${result.slice(0, at + 9)}103${result.slice(at + 12)}`
    const end = result.indexOf('\r\n\r\n', at)
    if (end === -1) return result
    at = end + 4
  }
}

/** Asks undici. `ends`: the connection ends behind the bytes, as far as the service is concerned. */
export function undiciReads(method: string, sent: Buffer, ends: boolean): Promise<UndiciAnswer | undefined> {
  const bytes = Buffer.from(asEarlyHints(sent.toString('latin1').replace(BEHIND_LENGTH, '$1')), 'latin1')
  return new Promise((resolve) => {
    const socket = new Scripted()
    const client = new Client('http://reference', {
      connect: (_options: unknown, done: (error: null, socket: Duplex) => void) =>
        setImmediate(() => done(null, socket)),
      headersTimeout: 0,
      maxHeaderSize: 65_536,
      bodyTimeout: 0
    } as object)
    const answer: UndiciAnswer = { status: 0, body: '', whole: false }
    const settle = () => {
      resolve(answer.status === 0 ? undefined : answer)
      client.destroy().catch(() => undefined)
      socket.destroy()
    }
    client.dispatch(
      { method: method as 'GET', path: '/', headers: {} },
      {
        onRequestStart: () => undefined,
        onResponseStart(_controller, status) {
          if (status >= 200) answer.status = status
        },
        onResponseData(_controller, part) {
          answer.body += part.toString('latin1')
        },
        onResponseEnd() {
          answer.whole = true
          settle()
        },
        onResponseError: settle
      }
    )
    socket.onWrite = () =>
      setImmediate(() => {
        socket.push(bytes)
        if (ends) socket.push(null)
        setImmediate(() => setImmediate(() => setImmediate(() => setImmediate(settle))))
      })
  })
}
