import httpProxy from '@fastify/http-proxy'
import { SkerryError } from '@skerry/contracts'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { GatewayConfig } from '../config.ts'
import { Exchange, type ExchangeDeps } from '../proxy/exchange.ts'
import { isWebSocket, webSocketOptions } from '../proxy/websocket.ts'
import type { Balancer } from '../upstreams/balancer.ts'

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']

/**
 * Everything that is not the gateway's own goes through @fastify/http-proxy, registered once: which service answers is known from the
 * request's admission. http-proxy checks the destination and joins WebSockets; plain requests and SSE are carried by an `Exchange`
 * on our balancing dispatcher, in place of @fastify/reply-from.
 */
export function proxyRoutes(
  app: FastifyInstance,
  deps: ExchangeDeps & { config: GatewayConfig; balancer: Balancer }
): void {
  const { config, balancer, streams, metrics } = deps

  // Read whole and within BODY_LIMIT, also when it comes in chunks: a body can then be sent a second time, and a slow client holds no
  // connection to a service.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.decorateRequest('wsUpstream', undefined)

  app.register(httpProxy, {
    upstream: '',
    httpMethods: METHODS,
    proxyPayloads: false,
    websocket: true,
    ...webSocketOptions(config, streams, metrics),
    // Nothing is rewritten and the query is passed on as it came, so http-proxy need not take it apart.
    preRewrite: (url: string) => {
      const end = url.indexOf('?')
      return end === -1 ? url : url.slice(0, end)
    },
    preHandler: (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void) => {
      if (!isWebSocket(request.raw)) return done()
      const upstream = balancer.pick(request.admission!.service, true)
      if (typeof upstream === 'string') return done(new SkerryError('UNAVAILABLE', { retryAfter: 1 }))
      request.wsUpstream = upstream
      done()
    },
    replyOptions: { getUpstream: (request: FastifyRequest) => request.wsUpstream?.url ?? '' },
    handler: (request: FastifyRequest, reply: FastifyReply) => {
      new Exchange(deps, request, reply).start()
    }
  } as Parameters<typeof httpProxy>[1])

  const { server } = app
  // Anything else that asks for an upgrade (h2c) is answered as if it had not asked.
  Object.assign(server, { shouldUpgradeCallback: isWebSocket })
}
