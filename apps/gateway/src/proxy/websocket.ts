import type { IncomingMessage } from 'node:http'
import type { FastifyRequest } from 'fastify'
import type { ClientOptions, WebSocket } from 'ws'
import type { GatewayConfig } from '../config.ts'
import type { Balancer } from '../upstreams/balancer.ts'
import type { Upstream } from '../upstreams/upstream.ts'
import { handshakeHeaders } from './headers.ts'
import type { OpenStream, OpenStreams } from './streams.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The instance that a WebSocket goes to. */
    wsUpstream: Upstream | undefined
  }
}

/** 1012: the server restarts, connect again. */
const RESTARTING = 1012
const HANDSHAKE_MS = 3_000
/** Messages a client may send before the service has answered the handshake. */
const EARLY_MESSAGES = 8

export function isWebSocket(raw: IncomingMessage): boolean {
  return raw.method === 'GET' && raw.headers.upgrade?.toLowerCase() === 'websocket'
}

/**
 * The WebSocket side of @fastify/http-proxy. It accepts the client before the service has, joins the two connections and passes messages,
 * pings and closes on. What it leaves open is closed here: a service that refuses the handshake, a client that left before it, peers
 * that read more slowly than is sent.
 */
export function webSocketOptions(config: GatewayConfig, streams: OpenStreams, balancer: Balancer) {
  const limit = config.WS_BUFFER_LIMIT
  const tracked = new WeakMap<WebSocket, OpenStream>()
  // http-proxy asks for the headers and makes the connection in one synchronous go.
  let next: Upstream | undefined

  const clientOptions: ClientOptions & { rewriteRequestHeaders: unknown } = {
    handshakeTimeout: HANDSHAKE_MS,
    followRedirects: false,
    perMessageDeflate: false,
    maxPayload: config.WS_MESSAGE_LIMIT * 16,
    // Pings go through to the phone: answered here they would hide that it is gone.
    autoPong: false,
    rewriteRequestHeaders: (_headers: object, request: FastifyRequest) => {
      next = request.wsUpstream
      const { address, protocol, id, trace } = request.visit!
      return handshakeHeaders(request.raw.headers, {
        address,
        protocol,
        requestId: id,
        traceparent: trace.traceparent,
        traceContinued: trace.parentId !== undefined
      })
    },
    finishRequest: (handshake, target) => {
      const upstream = next!
      const probing = upstream.circuit.isOpen
      const sentAt = performance.now()
      let opened = false
      upstream.streams++
      target.once('open', () => {
        opened = true
        const now = performance.now()
        upstream.answered(now - sentAt, now)
      })
      target.once('close', () => {
        upstream.streams--
        if (probing && !opened) upstream.circuit.release()
      })
      handshake.once('error', (error: NodeJS.ErrnoException) => {
        balancer.handshakeFailed(upstream, error, performance.now())
      })
      // http-proxy then closes the client, and would leave this connection open.
      target.once('unexpected-response', (request) => request.destroy())
      handshake.end()
    }
  }

  return {
    wsClientOptions: clientOptions,
    wsServerOptions: { maxPayload: config.WS_MESSAGE_LIMIT, perMessageDeflate: false, autoPong: false },
    wsHooks: {
      onConnect: (_context: object, source: WebSocket, target: WebSocket) => {
        if (source.readyState !== source.OPEN) {
          target.terminate()
          return
        }
        const stream = { end: () => source.close(RESTARTING, 'restarting'), destroy: () => source.terminate() }
        tracked.set(source, stream)
        streams.add(stream)
      },
      onDisconnect: (_context: object, source: WebSocket) => {
        const stream = tracked.get(source)
        if (stream !== undefined) streams.delete(stream)
      },
      onIncomingMessage: (_context: object, source: WebSocket, target: WebSocket) => {
        if (target.bufferedAmount > limit || target.listenerCount('open') > EARLY_MESSAGES) source.terminate()
      },
      onOutgoingMessage: (_context: object, source: WebSocket, _target: WebSocket) => {
        if (source.bufferedAmount > limit) source.terminate()
      }
    }
  }
}
