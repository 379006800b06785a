import httpProxy from '@fastify/http-proxy'
import { SkerryError } from '@skerry/contracts'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { GatewayConfig } from '../config.ts'
import type { Door } from '../door/door.ts'
import { useDoor } from '../door/own-door.ts'
import type { OpenStreams } from '../proxy/streams.ts'
import { isWebSocket, webSocketOptions } from '../proxy/websocket.ts'
import type { Traffic } from '../traffic/traffic.ts'
import type { Balancer } from '../upstreams/balancer.ts'

export type WebSocketDeps = {
  config: GatewayConfig
  door: Door
  balancer: Balancer
  streams: OpenStreams
  traffic: Traffic | undefined
}

/**
 * WebSockets go through @fastify/http-proxy, registered once: which service answers is known from the visit, which instance from the same
 * balancer as for requests. All other requests pass by (`proxy/entry.ts`).
 */
export function webSocketRoutes(app: FastifyInstance, deps: WebSocketDeps): void {
  const { config, door, balancer, streams, traffic } = deps
  app.decorateRequest('wsUpstream', undefined)
  useDoor(app, door, { own: false })
  app.register(httpProxy, {
    upstream: '',
    httpMethods: ['GET'],
    proxyPayloads: false,
    websocket: true,
    ...webSocketOptions(config, streams, balancer),
    // Nothing is rewritten and the query is passed on as it came, so http-proxy need not take it apart.
    preRewrite: (url: string) => {
      const end = url.indexOf('?')
      return end === -1 ? url : url.slice(0, end)
    },
    preHandler: (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void) => {
      const { route, caller } = request.visit!
      const service = balancer.service(route!.service)
      const version = service && traffic?.choose(service.name, service.versions, request.headers, caller?.userId)
      const upstream = service?.pick({ ...HANDSHAKE, version }, performance.now(), undefined)
      if (upstream === undefined || typeof upstream === 'string')
        return done(new SkerryError('UNAVAILABLE', { retryAfter: 1 }))
      request.wsUpstream = upstream
      done()
    },
    replyOptions: { getUpstream: (request: FastifyRequest) => request.wsUpstream?.url ?? '' }
  } as Parameters<typeof httpProxy>[1])

  // Anything else that asks for an upgrade (h2c) is answered as if it had not asked.
  Object.assign(app.server, { shouldUpgradeCallback: isWebSocket })
}

const HANDSHAKE = { stream: true, repeatable: false } as const
