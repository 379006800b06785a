import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { SkerryError } from '@skerry/contracts'
import type { FaultLog } from '@skerry/service'
import type { OriginAllowed } from '../door/cors.ts'
import type { Door } from '../door/door.ts'
import { Visit } from '../door/visit.ts'
import { ignore } from '../listen/guard.ts'
import type { GatewayMetrics } from '../metrics.ts'
import { asProblem } from '../proxy/as-problem.ts'
import { recordAnswer } from '../proxy/record.ts'
import { type RefuseDeps, refuse } from '../proxy/refuse.ts'
import { requestHeaders } from '../proxy/request-headers.ts'
import type { OpenStreams } from '../proxy/streams.ts'
import { isOwn } from '../routes/own.ts'
import type { Traffic } from '../traffic/traffic.ts'
import type { Balancer } from '../upstreams/balancer.ts'
import { type Connected, connect } from './connect.ts'
import { takeProtocolToken } from './protocol-token.ts'
import { Tunnel } from './tunnel.ts'

export type UpgradeDeps = RefuseDeps & {
  door: Door
  balancer: Balancer
  metrics: GatewayMetrics
  streams: OpenStreams
  traffic: Traffic | undefined
  /** Whose pages may open one: browsers leave that to the server, since CORS does not hold for WebSockets. */
  originAllowed: OriginAllowed
  onFault: FaultLog
  /** Bytes of a client's message, and of what it may send before it is accepted. */
  messageLimit: number
  earlyBytes: number
  /** Silence allowed in a live stream, ms. */
  streamSilenceMs: number
  /** Certificates of services to trust, PEM. */
  ca: string | undefined
  /** The gateway is leaving. */
  draining(): boolean
}

/** Takes over a connection whose client asks for a WebSocket, with what came behind its request. */
export type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void

/** For one instance, ms. */
const HANDSHAKE_MS = 3_000
/** How long a client that was refused has to read why. */
const LINGER_MS = 2_000
const KEY = /^[A-Za-z0-9+/]{22}==$/

/**
 * Whether a request asks for a WebSocket of a service. Any other upgrade (h2c) is answered as if it had not asked, and so is one with a body
 * (which a GET has none of): Node would hand over something else than a connection, before the body is there.
 */
export function isWebSocket(raw: IncomingMessage): boolean {
  const { method, headers } = raw
  return (
    method === 'GET' &&
    headers.upgrade?.toLowerCase() === 'websocket' &&
    headers['transfer-encoding'] === undefined &&
    headers['content-length'] === undefined &&
    !isOwn(raw.url ?? '')
  )
}

/**
 * WebSockets: the same door, instances, versions and retries as for requests, and then a tunnel. The client is accepted when the service
 * has accepted: what happens after a client hears `open` reaches it, and a refusal reaches it as the HTTP answer that it is.
 */
export function createUpgrade(deps: UpgradeDeps): Upgrade {
  return (request, socket, head) => {
    const protocol = takeProtocolToken(request)
    const visit = new Visit(request, performance.now())
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    socket.on('error', ignore)
    try {
      response.assignSocket(socket as Parameters<ServerResponse['assignSocket']>[0])
    } catch {
      // Sent behind a request whose answer is not given yet: what follows on this connection cannot be told apart.
      socket.destroy()
      return
    }
    response.once('finish', () => {
      socket.end()
      setTimeout(() => socket.destroy(), LINGER_MS).unref()
    })
    const gone = new AbortController()
    socket.once('close', () => gone.abort())
    const early = readEarly(deps, socket, head)

    // A gateway that leaves does not wait for a handshake.
    const pending = {
      end: () => fail(new SkerryError('UNAVAILABLE', { retryAfter: 1 })),
      destroy: () => socket.destroy()
    }
    let over = false
    const settle = (): boolean => {
      if (over) return false
      over = true
      deps.streams.delete(pending)
      return !socket.destroyed
    }
    const fail = (error: Error) => {
      if (!settle()) return
      recordAnswer(deps, visit, refuse(deps, visit, request, response, error))
      gone.abort()
    }

    const answered = (answer: Connected) => {
      if (!settle()) {
        answer.socket?.destroy()
        return
      }
      recordAnswer(deps, visit, answer.status)
      if (answer.socket === undefined) passRefusal(deps, visit, response, answer)
      else {
        response.detachSocket(socket as Parameters<ServerResponse['detachSocket']>[0])
        open(deps, visit, socket, early(), withProtocol(answer, protocol), answer.socket)
      }
    }
    // Whatever of this throws ends this handshake, and what its service has opened for it.
    const broken = (error: unknown) => {
      deps.onFault('upgrade', error)
      gone.abort()
      socket.destroy()
    }

    deps.streams.add(pending)
    socket.once('close', settle)
    deps.door(visit, (refused) => {
      try {
        const error = refused ?? faultOf(request, deps.originAllowed)
        if (error !== undefined) fail(error)
        else
          ask(deps, visit, request, gone.signal)
            .then(answered, (reason: Error) => fail(asProblem(reason)))
            .catch(broken)
      } catch (error) {
        broken(error)
      }
    })
  }
}

/**
 * Reads what a client sends before it is accepted, so that its leaving is noticed; a client that sends more than some frames has not
 * understood. Answers how to take over what has come.
 */
function readEarly({ earlyBytes, onBound }: UpgradeDeps, socket: Duplex, head: Buffer): () => Buffer {
  const parts = [head]
  let length = head.length
  const read = (part: Buffer) => {
    parts.push(part)
    length += part.length
    if (length <= earlyBytes || socket.destroyed) return
    onBound('WS_EARLY_BYTES')
    socket.destroy()
  }
  const leave = () => socket.destroy()
  socket.on('data', read).once('end', leave)
  return () => {
    socket.pause().off('data', read).off('end', leave)
    return Buffer.concat(parts)
  }
}

function ask(deps: UpgradeDeps, visit: Visit, request: IncomingMessage, signal: AbortSignal): Promise<Connected> {
  const { balancer, traffic, ca } = deps
  const { service: name, timeoutMs } = visit.route!
  const versions = balancer.service(name)?.versions
  const version = versions && traffic?.choose(name, versions, request.headers, visit.caller?.userId)
  const { address, protocol, id, trace } = visit
  const told = {
    address,
    protocol,
    requestId: id,
    traceparent: trace.traceparent,
    traceContinued: trace.parentId !== undefined
  }
  return connect(balancer, {
    service: name,
    version,
    path: request.url!,
    headers: [...requestHeaders(request.headers, told, null), 'connection', 'Upgrade', 'upgrade', 'websocket'],
    key: request.headers['sec-websocket-key']!,
    timeoutMs: Math.min(HANDSHAKE_MS, timeoutMs),
    ca,
    signal
  })
}

function faultOf({ headers }: IncomingMessage, originAllowed: OriginAllowed): SkerryError | undefined {
  if (!originAllowed(headers.origin))
    return new SkerryError('FORBIDDEN', { detail: 'Pages of this origin may not open a WebSocket here.' })
  if (headers['sec-websocket-version'] !== '13')
    return new SkerryError('BAD_REQUEST', {
      detail: 'Sec-WebSocket-Version must be 13.',
      headers: { 'sec-websocket-version': '13' }
    })
  if (!KEY.test(headers['sec-websocket-key'] ?? ''))
    return new SkerryError('BAD_REQUEST', { detail: 'Sec-WebSocket-Key must be 16 bytes in base64.' })
  return undefined
}

/** The service's answer, with a subprotocol where it chose none although the client wants one of ours. */
function withProtocol(answer: Connected, protocol: string | undefined): Connected {
  if (protocol === undefined || answer.headers['sec-websocket-protocol'] !== undefined) return answer
  return { ...answer, headers: { ...answer.headers, 'sec-websocket-protocol': protocol } }
}

/** Tells the client yes, in the service's words, and joins the two. */
function open(deps: UpgradeDeps, visit: Visit, client: Duplex, head: Buffer, answer: Connected, service: Duplex): void {
  client.write(deps.heads.switching(visit, answer.headers), 'latin1')
  const tunnel = new Tunnel({
    client,
    service,
    onFault: deps.onFault,
    messageLimit: deps.messageLimit,
    onTooBig: () => deps.onBound('WS_MESSAGE_LIMIT', visit.address),
    silenceMs: deps.streamSilenceMs,
    onClose: () => {
      deps.streams.delete(tunnel)
      answer.upstream.live.delete(tunnel)
    }
  })
  deps.streams.add(tunnel)
  answer.upstream.live.add(tunnel)
  tunnel.start(head, answer.bytes)
  if (deps.draining()) tunnel.end()
}

/** Passes a service's refusal on. */
function passRefusal(deps: UpgradeDeps, visit: Visit, response: ServerResponse, answer: Connected): void {
  const ours = { ...deps.heads.ours(visit), connection: 'close', 'content-length': String(answer.bytes.length) }
  const { 'content-length': _length, ...headers } = answer.headers
  const { list, common } = deps.heads.ofService(headers, ours)
  deps.heads.write(response, visit, answer.status, list, common)
  response.end(answer.bytes)
}
