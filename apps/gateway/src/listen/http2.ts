import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants, createServer, type ServerHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'
import { SkerryError } from '@skerry/contracts'
import type { FaultLog } from '@skerry/service'
import type { BoundMet } from '../bounds.ts'
import type { GatewayConfig } from '../config.ts'
import { type Incoming, visitOf } from '../door/visit.ts'
import { answerProblem } from '../head/answer-problem.ts'
import type { Heads } from '../head/heads.ts'
import { brokenByUs } from './broken-streams.ts'
import { guard, type Handler, type OnAnswered } from './guard.ts'
import { GatewayHttp2Request } from './http2-request.ts'
import { GatewayHttp2Response } from './http2-response.ts'
import type { PieceShare } from './piece-share.ts'
import { createPieces, type Pieces } from './pieces.ts'
import type { SlowReaders, UnreadBound } from './slow-readers.ts'
import { type Allowance, createBucket, spend, type TokenBucket } from './token-bucket.ts'

/** Why a connection was ended before its client ended it. */
export type Reason = 'resets' | 'control' | 'pieces' | 'protocol' | 'silent' | 'idle' | 'drained'

/** Which bound ends a connection for what it costs. */
const BOUND_OF = { resets: 'H2_RESET_BURST', control: 'H2_CONTROL_BURST', pieces: 'BODY_PIECES' } as const

export type Http2Options = {
  config: GatewayConfig
  handler: Handler
  heads: Heads
  onAnswered: OnAnswered
  /** The gateway is leaving: each connection that brings a request is told to go elsewhere for its next. */
  draining(): boolean
  /** A connection was ended by a bound. */
  onEnded(reason: Reason, address: string | undefined): void
  /** Has the body of a request count while it is in memory. */
  countBody(request: GatewayHttp2Request, response: ServerResponse, pieces: Pieces): void
  /** What the bodies of all connections may come in. */
  share: PieceShare
  slow: SlowReaders
  /** A request was refused or its answer broken off because of a bound, or a connection for what it costs. */
  onBound: BoundMet
  /** Takes in what the code of a connection threw. */
  onFault: FaultLog
}

export type Http2 = {
  /** Speaks HTTP/2 on a connection, which may be TLS's. */
  accept(socket: Socket): void
  /** Ends what is silent, idle or late at `now` (as of performance.now()). */
  sweep(now: number): void
  /** Tells every client to go elsewhere (GOAWAY with the last stream taken) and ends each connection with its last answer. */
  drain(): void
  /** Breaks the connections that are left. */
  destroy(): void
  /** Open connections. */
  readonly size: number
}

type Connection = {
  session: ServerHttp2Session
  socket: Socket
  /** When it came, or had its last answer. */
  since: number
  /** The client has sent its settings, as it must at first. */
  begun: boolean
  /** When it was told to go elsewhere; undefined before. */
  leftAt: number | undefined
  answers: Set<GatewayHttp2Response>
  /** When requests with a body began that are still under way. */
  uploads: Map<GatewayHttp2Request, number>
  resets: TokenBucket
  control: TokenBucket
  /** What its bodies may come in. */
  pieces: Pieces
  ended(response: GatewayHttp2Response): void
}

/**
 * Speaks HTTP/2 on the connections it is given and hands their requests to the handler that HTTP/1.1's go to. Everything a client can
 * make the gateway hold or do is bounded: streams, header lists, unread bytes, memory, resets (also those it makes the gateway send:
 * CVE-2023-44487, CVE-2025-8671), pings and settings, silence, and the time a body takes.
 */
export function createHttp2(options: Http2Options): Http2 {
  const { config, handler, heads, onAnswered, draining, onEnded, onFault, countBody, share, slow, onBound } = options
  const connections = new Map<ServerHttp2Session, Connection>()
  const resets: Allowance = { burst: config.H2_RESET_BURST, perSecond: config.H2_RESETS_PER_SECOND }
  const control: Allowance = { burst: config.H2_CONTROL_BURST, perSecond: config.H2_CONTROL_PER_SECOND }
  let leaving = false
  let arriving: Socket | undefined
  let asking: Connection | undefined

  const server = createServer({
    Http2ServerRequest: GatewayHttp2Request,
    Http2ServerResponse: GatewayHttp2Response as never,
    settings: {
      maxConcurrentStreams: config.H2_STREAMS,
      initialWindowSize: config.H2_STREAM_WINDOW,
      maxHeaderListSize: config.HEADER_LIMIT,
      enablePush: false
    },
    maxSessionMemory: Math.ceil(config.H2_SESSION_MEMORY / 1_000_000),
    // nghttp2 ends the connection itself before a stream's reset costs us anything.
    streamResetBurst: config.H2_RESET_BURST,
    streamResetRate: config.H2_RESETS_PER_SECOND,
    // As in HTTP/1.1, a service that repeats a header does not fail its request here.
    strictSingleValueFields: false
  } as Parameters<typeof createServer>[0])
  const guarded = guard(onFault, 'http2', take, (_request, response) => response.destroy())
  // Without the others Node would answer them and nobody would count, or tell clients to send what is going to be refused.
  for (const event of ['request', 'connect', 'checkContinue', 'checkExpectation']) server.on(event, guarded)
  server.on('session', (session) => begin(session, arriving!))

  function begin(session: ServerHttp2Session, socket: Socket): void {
    const now = performance.now()
    const connection: Connection = {
      session,
      socket,
      since: now,
      begun: false,
      leftAt: undefined,
      answers: new Set(),
      uploads: new Map(),
      resets: createBucket(resets, now),
      control: createBucket(control, now),
      pieces: createPieces({ most: config.BODY_PIECES, share, onFlood: () => endFor(connection, 'pieces') }),
      ended: (response) => ended(connection, response)
    }
    connections.set(session, connection)
    socket.once('close', () => connections.delete(session))
    session.once('connect', () => session.setLocalWindowSize(config.H2_CONNECTION_WINDOW))
    session.on('remoteSettings', () => {
      connection.begun = true
      controlled(connection)
    })
    session.on('ping', () => controlled(connection))
    // The connection is over then. What Node's parser ends by itself is a bound like ours: its floods, and what is no HTTP/2.
    session.on('error', (error: Error & { code?: string }) => {
      if (error.code?.startsWith('ERR_HTTP2_') !== true) return
      if (isOutOfResets(connection)) tell('resets', socket.remoteAddress)
      else onEnded('protocol', socket.remoteAddress)
    })
    // Before Node makes a request of it; a stream that was reset meanwhile no longer knows its session.
    session.prependListener('stream', () => {
      asking = connection
    })
    if (leaving) leave(connection)
  }

  function take(request: GatewayHttp2Request, response: GatewayHttp2Response): void {
    const { stream } = request
    const connection = asking!
    connection.answers.add(response)
    // In place of a listener for each stream: Node's class has one already.
    response.ended = connection.ended
    if (!stream.endAfterHeaders) {
      connection.uploads.set(request, performance.now())
      countBody(request, response as unknown as ServerResponse, connection.pieces)
    }
    if (draining()) leave(connection)
    // Reset in the same breath as it came: nobody waits for an answer.
    if (stream.destroyed || stream.closed) return
    const isTooLong = listSize(request.came) > config.HEADER_LIMIT
    if (isTooLong) onBound('HEADER_LIMIT', request.socket.remoteAddress)
    const { fault } = request
    // Until a client has confirmed the settings, nghttp2 lets it send longer lists.
    if (isTooLong) refuseStream(response, new SkerryError('HEADERS_TOO_LARGE'))
    else if (fault !== undefined) refuseStream(response, new SkerryError('BAD_REQUEST', { detail: fault }))
    else handler(request as unknown as IncomingMessage, response as unknown as ServerResponse)
  }

  function ended(connection: Connection, response: GatewayHttp2Response): void {
    const { stream, req } = response
    const now = performance.now()
    connection.answers.delete(response)
    connection.since = now
    if (!stream.endAfterHeaders) connection.uploads.delete(req)
    if (stream.rstCode === constants.NGHTTP2_NO_ERROR || brokenByUs(stream)) return
    if (!spend(connection.resets, resets, now)) endFor(connection, 'resets')
  }

  function refuseStream(response: GatewayHttp2Response, error: SkerryError): void {
    const visit = visitOf(response.req as Incoming)
    answerProblem(heads, visit, response as unknown as ServerResponse, error)
    onAnswered(visit, error.status)
  }

  function controlled(connection: Connection): void {
    if (!spend(connection.control, control, performance.now())) endFor(connection, 'control')
  }

  /** GOAWAY with ENHANCE_YOUR_CALM, and its streams with it. */
  function endFor(connection: Connection, reason: keyof typeof BOUND_OF): void {
    if (connection.session.destroyed) return
    tell(reason, connection.socket.remoteAddress)
    connection.session.destroy(new Error(reason), constants.NGHTTP2_ENHANCE_YOUR_CALM)
  }

  function tell(reason: keyof typeof BOUND_OF, address: string | undefined): void {
    onEnded(reason, address)
    onBound(BOUND_OF[reason], address)
  }

  /**
   * Whether it was for its resets that nghttp2 has ended a connection, which its error does not say: the streams have told of them before. nghttp2 earns
   * new ones once in a second, the bucket here all the time.
   */
  function isOutOfResets({ resets: { left } }: Connection): boolean {
    return left <= Math.min(resets.perSecond, resets.burst / 2)
  }

  /** Takes no more streams, and ends with the last one. */
  function leave(connection: Connection): void {
    if (connection.leftAt !== undefined) return
    connection.leftAt = performance.now()
    connection.session.close()
  }

  function check(connection: Connection, now: number): void {
    const { session, socket, since, leftAt } = connection
    if (!connection.begun) {
      if (now - since < config.HEADERS_TIMEOUT_MS) return
      onEnded('silent', socket.remoteAddress)
      onBound('HEADERS_TIMEOUT_MS', socket.remoteAddress)
      socket.destroy()
    } else if (connection.answers.size === 0) {
      if (leftAt === undefined) {
        if (now - since < config.KEEP_ALIVE_TIMEOUT_MS) return
        onEnded('idle', socket.remoteAddress)
        leave(connection)
      } else if (now - Math.max(leftAt, since) >= config.HEADERS_TIMEOUT_MS) {
        // It was told to go and does not.
        socket.destroy()
      }
    }
    for (const [request, began] of connection.uploads) {
      if (now - began < config.REQUEST_TIMEOUT_MS) break
      connection.uploads.delete(request)
      if (request.complete || request.passes) continue
      onBound('REQUEST_TIMEOUT_MS', socket.remoteAddress)
      request.stream.close(constants.NGHTTP2_CANCEL)
    }
    for (const answer of connection.answers) look(answer, socket.remoteAddress, now)
    if (session.destroyed && socket.destroyed) connections.delete(session)
  }

  function look(answer: GatewayHttp2Response, address: string | undefined, now: number): void {
    const { unread: pending, taken } = answer
    const end = (bound: UnreadBound) => {
      onBound(bound, address)
      answer.destroy()
    }
    answer.reading = pending === 0 ? undefined : slow.judge(answer.reading, { pending, taken, address, end }, now)
  }

  return {
    accept(socket) {
      // HTTP/2 has no half-open connections.
      socket.allowHalfOpen = false
      arriving = socket
      // Documented for connections that come another way than by listening.
      server.emit('connection', socket)
      arriving = undefined
    },
    sweep(now) {
      for (const connection of connections.values()) check(connection, now)
    },
    drain() {
      leaving = true
      for (const connection of connections.values()) leave(connection)
    },
    destroy() {
      for (const { socket, session } of connections.values()) {
        onEnded('drained', socket.remoteAddress)
        session.destroy()
        socket.destroy()
      }
    },
    get size() {
      return connections.size
    }
  }
}

/** The size of a header list as RFC 9113 10.5.1 counts it, in bytes. */
function listSize(list: readonly string[]): number {
  let size = list.length * 16
  for (const text of list) size += text.length
  return size
}
