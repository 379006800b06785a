import { createServer, type IncomingMessage, Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type FaultLog, keepIdleConnections, type Logger } from '@skerry/service'
import type { BoundMet } from '../bounds.ts'
import type { GatewayConfig } from '../config.ts'
import { corsHeadersFor } from '../door/cors.ts'
import { createHeads, type Heads } from '../head/heads.ts'
import { GatewayResponse, tellKeepAlive } from '../head/http1-response.ts'
import { takeOffNamed } from '../hop-by-hop.ts'
import { createBodyBudget } from './body-budget.ts'
import { guard, guardRequests, type Handler, ignore, type OnAnswered } from './guard.ts'
import { createLanes, type Lanes } from './http1/lanes.ts'
import { canReadInto } from './http1/read-into.ts'
import { GatewayRequest } from './http1-request.ts'
import { createHttp2, type Reason } from './http2.ts'
import type { GatewayHttp2Request } from './http2-request.ts'
import { endIfUpgradeIgnored } from './ignored-upgrade.ts'
import { createKeptConnections } from './kept-connections.ts'
import { knowsAddress } from './known-address.ts'
import { createPieceShare } from './piece-share.ts'
import { type Pieces, piecesOf } from './pieces.ts'
import { createNewcomers, type Protocol } from './protocol.ts'
import { refuseBody } from './refuse-body.ts'
import { createSlowReaders } from './slow-readers.ts'
import { openTls } from './tls.ts'

export type ListenerOptions = {
  config: GatewayConfig
  /** Gets the requests of every protocol: `proxy/entry.ts`. Those of HTTP/2 look like HTTP/1.1's (docs/gateway-http2.md). */
  handler: Handler
  /** Makes the heads of what is refused before the handler gets it; without it they have no policies. */
  heads?: Heads
  /** One of these was given, or one in place of the handler's. */
  onAnswered?: OnAnswered
  /**
   * Whether the handler takes requests for a target that are not Node's objects, but what the gateway uses of them (`http1/`); without it there are
   * none.
   */
  takesPlain?: (target: string) => boolean
  /** Gets upgrades, which only HTTP/1.1 has: `websocket/upgrade.ts`. Their connections are its own from then on, however long they are silent. */
  upgrade?: (request: IncomingMessage, socket: Duplex, head: Buffer) => void
  /** Listens on this socket, whatever it is told. */
  listenFd?: number | undefined
  /** Answers what the HTTP/1.1 parser refused, and what came without TLS where it must have it. */
  clientError(error: Error & { code?: string }, socket: Socket): void
  /** The gateway is leaving, but still answers: clients of HTTP/2 are told to connect elsewhere. */
  draining?(): boolean
  log?: Pick<Logger, 'info' | 'warn'>
  /** Takes in what the code of a request or a connection threw, which ends that request or connection and nothing else. */
  onFault?: FaultLog
  /** Whether an address is that of one client, whose share of memory is bounded. */
  countsAddress?(address: string): boolean
  /** The address whose share of memory for bodies a request takes; undefined where only the bound of all holds. */
  addressOf?(request: IncomingMessage): string | undefined
  /** What a client brought or left unread was more than may be: it was refused, or ended. */
  onBound?: BoundMet
  /** An HTTP/2 connection was ended by a bound. */
  onEnded?(reason: Reason, address: string | undefined): void
}

export type Listener = {
  /** What Fastify gets by its `serverFactory`: it emits 'request' and 'upgrade', and its `close()` ends every protocol. */
  server: Server
  /** Takes the place of whoever answers what the parser refused: Fastify would do it at once, ahead of requests that came whole before. */
  takeClientErrors(): void
  /** Open HTTP/2 connections. */
  http2Connections(): number
  /** Looks at the certificate's files now. */
  reload(): Promise<void>
  listen(options: { host: string; port: number }): Promise<AddressInfo>
  /**
   * Takes no more connections and ends the open ones as soon as they have no request under way; HTTP/2's are broken after H2_DRAIN_MS.
   * Resolves when all are gone.
   */
  close(): Promise<void>
}

/** Which bound a body is refused at. */
const BOUND_OF = { memory: 'BODIES_BYTES', pieces: 'BODY_PIECES', busy: 'BODY_PIECES_TURN' } as const
/** How often it looks for connections that are late, at most. */
const SWEEP_MS = 1_000
/** While it closes: how often it looks, and how long a connection without a byte may still bring a request that is on its way. */
const CLOSING_SWEEP_MS = 50
const CLOSING_GRACE_MS = 1_000

/**
 * One port for HTTP/1.1, HTTP/2 with prior knowledge (h2c) and, with a certificate, both over TLS. The first bytes of a connection say
 * which it is (`protocol.ts`); afterwards it belongs to Node's own server of that protocol, or to the lanes (`http1/lanes.ts`) while it brings plain
 * requests of HTTP/1.1 without TLS. Throws when the certificate cannot be used.
 */
export async function createListener(options: ListenerOptions): Promise<Listener> {
  const { config, draining = () => false, onEnded = () => {}, onFault = () => {}, onBound = () => {} } = options
  const { onAnswered = () => {} } = options
  const { addressOf = ({ socket }: IncomingMessage) => socket.remoteAddress } = options
  const { heads = createHeads({ corsHeaders: corsHeadersFor(config.CORS_ORIGINS), draining }) } = options
  const handler = guardRequests(options.handler, onFault, heads, onAnswered)
  const clientError = guard(onFault, 'connection', options.clientError, (_error, socket) => socket.destroy())
  let closing = false
  const bodies = createBodyBudget({
    total: config.BODIES_BYTES,
    perAddress: config.BODIES_ADDRESS_BYTES
  })
  const share = createPieceShare(config.BODY_PIECES_TURN)
  /** Has the body of a request count until its answer is given. */
  const countBody = (request: GatewayRequest | GatewayHttp2Request, response: ServerResponse, pieces: Pieces) => {
    const hold = bodies.open(addressOf(request as IncomingMessage), pieces, (why) => {
      onBound(BOUND_OF[why], request.socket.remoteAddress)
      refuseBody(why, request as IncomingMessage, response, heads, onAnswered)
    })
    request.hold = hold
    response.once('close', () => hold.close())
  }
  const server = createServer({
    IncomingMessage: GatewayRequest as typeof IncomingMessage,
    ServerResponse: GatewayResponse,
    maxHeaderSize: config.HEADER_LIMIT,
    // The door refuses what says none, in the one shape of all refusals, and handshakes as well, which Node would let through.
    requireHostHeader: false,
    headersTimeout: config.HEADERS_TIMEOUT_MS,
    requestTimeout: config.REQUEST_TIMEOUT_MS,
    // `kept` does it for less.
    keepAliveTimeout: 0,
    // Spares a request without a body the life of a stream; who reads it must look first whether there is one (`mayHaveBody`).
    optimizeEmptyRequests: true,
    connectionsCheckingInterval: Math.min(SWEEP_MS, config.HEADERS_TIMEOUT_MS)
  })
  const closed = new Promise<void>((resolve) => server.once('close', resolve))
  server.maxConnections = config.MAX_CONNECTIONS
  server.on('drop', (data) => onBound('MAX_CONNECTIONS', data?.remoteAddress))
  const slow = createSlowReaders({
    periodMs: config.UNREAD_PERIOD_MS,
    bytes: config.UNREAD_PERIOD_BYTES,
    total: config.UNREAD_BYTES,
    perAddress: config.UNREAD_ADDRESS_BYTES,
    counts: options.countsAddress ?? (() => true)
  })
  const kept = createKeptConnections({ headMs: config.HEADERS_TIMEOUT_MS, slow, onBound })
  const take: Handler = (request, response) => {
    const { headers } = request
    if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined)
      countBody(request as GatewayRequest, response, piecesOf(request.socket, config.BODY_PIECES, share))
    endIfUpgradeIgnored(request, response)
    takeOffNamed(headers)
    kept.use(request.socket, response)
    tellKeepAlive(response, config.KEEP_ALIVE_TIMEOUT_MS)
    handler(request, response)
  }
  server.on('request', take)
  // Node would answer these itself, and go on with what follows on the connection.
  server.on('checkExpectation', take)
  // Whoever wants the body tells its client to go on (`tellToGoOn`): Node would do so before anybody has looked at the head.
  server.on('checkContinue', take)
  const takeClientErrors = () => {
    server.removeAllListeners('clientError')
    server.on('clientError', clientError as (error: Error, socket: Duplex) => void)
  }
  takeClientErrors()
  if (options.upgrade !== undefined) {
    const upgrade = guard(onFault, 'upgrade', options.upgrade, (_request, socket) => socket.destroy())
    server.on('upgrade', (request, socket, head) => {
      kept.leave(request.socket)
      takeOffNamed(request.headers)
      upgrade(request, socket, head)
    })
  }

  const newcomers = createNewcomers()
  const http2 = createHttp2({
    config,
    handler,
    heads,
    onAnswered,
    countBody,
    share,
    draining,
    onEnded,
    onFault,
    slow,
    onBound
  })
  const begin = guard(onFault, 'connection', assign, (_protocol, socket) => socket.destroy())
  const serveHttp1 = takeConnections(server, (socket) => {
    // For as long as it lives: whoever has it takes its own listener away at some point, and its client may break off at any.
    socket.on('error', ignore)
    if (!knowsAddress(socket)) {
      socket.destroy()
      return
    }
    newcomers.add(socket, (protocol) => begin(protocol, socket))
  })
  const lanes = options.takesPlain === undefined || !canReadInto ? undefined : openLanes(options.takesPlain)
  const http1 = (socket: Socket) => {
    kept.add(socket)
    serveHttp1(socket)
  }
  const plainHttp1 = (socket: Socket) => {
    if (lanes === undefined) http1(socket)
    else {
      kept.add(socket)
      lanes.begin(socket)
    }
  }
  const tls = await openTls(config, options.log, {
    http1: guard(onFault, 'connection', http1, (socket) => socket.destroy()),
    http2: guard(
      onFault,
      'connection',
      (socket: Socket) => http2.accept(socket),
      (socket) => socket.destroy()
    )
  })

  function assign(protocol: Protocol, socket: Socket): void {
    if (protocol === 'tls' && tls !== undefined) tls.accept(socket)
    else if (protocol !== 'tls' && tls !== undefined && config.TLS_ONLY)
      clientError(new Error('this port speaks TLS'), socket)
    // TLS where there is none is for the parser of HTTP/1.1 to refuse.
    else if (protocol === 'http2') http2.accept(socket)
    else plainHttp1(socket)
  }

  function openLanes(takes: (target: string) => boolean): Lanes {
    const made = createLanes({
      takes,
      handler(request, response) {
        kept.use(request.socket, response)
        handler(request, response)
      },
      handOver: guard(onFault, 'connection', serveHttp1, (socket) => socket.destroy()),
      keepAliveMs: config.KEEP_ALIVE_TIMEOUT_MS,
      headerLimit: config.HEADER_LIMIT,
      aheadBytes: config.PLAIN_AHEAD_BYTES,
      onBound,
      onFault
    })
    // Whoever closes the server's connections means these, too.
    const { closeIdleConnections, closeAllConnections } = server
    server.closeIdleConnections = () => {
      closeIdleConnections.call(server)
      made.closeIdle()
    }
    server.closeAllConnections = () => {
      closeAllConnections.call(server)
      made.closeAll()
    }
    return made
  }

  let sweeper: NodeJS.Timeout | undefined
  server.on('listening', () => {
    const every = Math.min(SWEEP_MS, config.HEADERS_TIMEOUT_MS)
    const sweep = () => {
      const now = performance.now()
      newcomers.dismiss(now - config.HEADERS_TIMEOUT_MS)
      kept.sweep(now, config.KEEP_ALIVE_TIMEOUT_MS)
      http2.sweep(now)
      slow.settle()
    }
    // Right after the event loop has read what had arrived: a process that had no time for a while must not take it for silence.
    sweeper = setInterval(() => setImmediate(sweep), every).unref()
  })

  const { listenFd } = options
  if (listenFd !== undefined)
    server.listen = (() => Server.prototype.listen.call(server, { fd: listenFd })) as Server['listen']

  keepIdleConnections(server, { draining, keptMs: config.IDLE_KEPT_MS })
  const closeServer = server.close.bind(server)
  server.close = (callback) => {
    if (!closing) beginClosing()
    return closeServer(callback)
  }

  function beginClosing(): void {
    closing = true
    clearInterval(sweeper)
    http2.drain()
    const sweep = () => {
      // Also those whose last answer did not say that it was the last; while draining they are left to their clients.
      if (!draining()) server.closeIdleConnections()
      const now = performance.now()
      // While draining a new connection is an idle one like others: its request may be on its way.
      newcomers.dismiss(now - (draining() ? Math.max(CLOSING_GRACE_MS, config.IDLE_KEPT_MS) : CLOSING_GRACE_MS))
      http2.sweep(now)
      slow.settle()
    }
    // As above.
    const closer = setInterval(() => setImmediate(sweep), CLOSING_SWEEP_MS)
    const bound = setTimeout(() => http2.destroy(), config.H2_DRAIN_MS)
    server.once('close', () => {
      clearInterval(closer)
      clearTimeout(bound)
      tls?.close()
    })
  }

  return {
    server,
    takeClientErrors,
    http2Connections: () => http2.size,
    reload: async () => tls?.reload(),
    listen: ({ host, port }) =>
      new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen(port, host, () => {
          server.off('error', reject)
          resolve(server.address() as AddressInfo)
        })
      }),
    async close() {
      if (!closing && !server.listening) return
      if (!closing) server.close()
      await closed
    }
  }
}

/** Gives a server's connections to `take`, and returns what the server itself would have done with them. */
function takeConnections(server: Server, take: (socket: Socket) => void): (socket: Socket) => void {
  const [ofServer] = server.listeners('connection') as ((socket: Socket) => void)[]
  if (ofServer === undefined) throw new Error('this Node takes connections in another way')
  server.removeListener('connection', ofServer)
  server.on('connection', take)
  return (socket) => ofServer.call(server, socket)
}
