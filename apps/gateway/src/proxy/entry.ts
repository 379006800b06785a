import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { gatewayRoutes, SkerryError } from '@skerry/contracts'
import { tellToGoOn } from '@skerry/service'
import { inTurn, isItsTurn, type TurnBounds } from '../door/in-turn.ts'
import { bodyRefusal, guardMessage, hasBodyWithoutMeaning } from '../door/message-guard.ts'
import { guardPath } from '../door/path-guard.ts'
import { Visit } from '../door/visit.ts'
import { isOwn } from '../routes/own.ts'
import { mayHaveBody } from './body.ts'
import type { ExchangeDeps } from './exchange.ts'
import { refuse } from './refuse.ts'
import { serve } from './serve.ts'

const PROXIED = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])
const ALLOWED = [...PROXIED, 'OPTIONS'].join(', ')

/**
 * The listener ahead of Fastify: requests for services go the lean way, the gateway's own and CORS preflights to Fastify. Fastify's request,
 * reply and hooks cost about as much as everything the gateway does to a proxied request; docs/gateway-design.md has the figures.
 */
export function createEntry(
  deps: ExchangeDeps & { urlLimit: number; turns: TurnBounds },
  fastify: RequestListener
): RequestListener {
  const enter = (request: IncomingMessage, response: ServerResponse) => {
    const { method = '', url = '' } = request
    if (PROXIED.has(method) && !isOwn(url)) serve(deps, request, response)
    else answerHere(request, response)
  }
  const answerHere = (request: IncomingMessage, response: ServerResponse) => {
    try {
      guardMessage(request)
      if (hasBodyWithoutMeaning(request))
        throw bodyRefusal(request.method, request.url === gatewayRoutes.batch.path ? ['POST'] : [])
      if (!PROXIED.has(request.method ?? '') && request.method !== 'OPTIONS')
        throw new SkerryError('METHOD_NOT_ALLOWED', { headers: { allow: ALLOWED } })
      // It asks for no path, but for the gateway (RFC 9110 9.3.7).
      if (request.method === 'OPTIONS' && request.url === '*') request.url = '/'
      // Before Fastify, which would refuse some of them in its own way.
      guardPath(request.url ?? '', deps.urlLimit)
    } catch (error) {
      refuseHere(request, response, error)
      return
    }
    // Fastify would wait for the body that a type announces.
    if (!mayHaveBody(request)) delete request.headers['content-type']
    tellToGoOn(request, response)
    fastify(request, response)
  }
  const refuseHere = (request: IncomingMessage, response: ServerResponse, error: unknown) =>
    refuse(deps, new Visit(request, performance.now()), request, response, error)

  // Apart: what a function has in a closure is made for each call, also of those that never make the closure.
  const wait = (request: IncomingMessage, response: ServerResponse) =>
    inTurn(request.socket, response, () => enter(request, response), deps.turns)

  return (request, response) => {
    if (isItsTurn(response)) enter(request, response)
    else wait(request, response)
  }
}
