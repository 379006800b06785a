import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { gatewayRoutes, SkerryError } from '@skerry/contracts'
import { tellToGoOn } from '@skerry/service'
import { inTurn, isItsTurn, type TurnBounds } from '../door/in-turn.ts'
import { lookAtHead } from '../door/look-at-head.ts'
import { type Visit, visitOf } from '../door/visit.ts'
import { isOwn } from '../routes/own.ts'
import { mayHaveBody } from './body.ts'
import type { ExchangeDeps } from './exchange.ts'
import { refuseBehindDoor, serve } from './serve.ts'

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
    // It asks for no path, but for the gateway (RFC 9110 9.3.7).
    if (request.method === 'OPTIONS' && request.url === '*') request.url = '/'
    const visit = visitOf(request)
    visit.own = true
    if (!isForFastify(visit, deps.urlLimit)) {
      refuseBehindDoor(deps, request, response, visit)
      return
    }
    // Fastify would wait for the body that a type announces.
    if (!mayHaveBody(request)) delete request.headers['content-type']
    tellToGoOn(request, response)
    fastify(request, response)
  }

  // Apart: what a function has in a closure is made for each call, also of those that never make the closure.
  const wait = (request: IncomingMessage, response: ServerResponse) =>
    inTurn(request.socket, response, () => enter(request, response), deps.turns)

  return (request, response) => {
    if (isItsTurn(response)) enter(request, response)
    else wait(request, response)
  }
}

/** Fastify would refuse some of the rest in its own way, and the checks of load balancers have no door to look at it. */
function isForFastify(visit: Visit, urlLimit: number): boolean {
  if (!PROXIED.has(visit.method) && visit.method !== 'OPTIONS')
    visit.fault = new SkerryError('METHOD_NOT_ALLOWED', { headers: { allow: ALLOWED } })
  try {
    lookAtHead(visit, urlLimit, takersOfBody)
  } catch {
    // The door says why.
    return false
  }
  return visit.fault === undefined
}

function takersOfBody({ path }: Visit): readonly string[] {
  return path === gatewayRoutes.batch.path ? ['POST'] : []
}
