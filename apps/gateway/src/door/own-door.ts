import { gatewayRoutes, type RouteContract } from '@skerry/contracts'
import type { FastifyRequest } from 'fastify'
import type { Door } from './door.ts'
import { visitOf } from './visit.ts'

/** Those of the gateway's own routes that look at a token: no other fails for one that has expired. */
const TAKE_TOKENS: ReadonlySet<string | undefined> = new Set(
  Object.values<RouteContract>(gatewayRoutes)
    .filter(({ auth }) => auth !== 'none')
    .map(({ path }) => path)
)

/** What load balancers and orchestrators ask whether anybody shall come here at all: it has no limits, and is never shed. */
const CHECKS: ReadonlySet<string | undefined> = new Set(['/livez', '/readyz'])

/** Puts the door before all that Fastify answers, also with 404: the same paths, tokens, policies and limits as for services. */
export function ownDoor(door: Door): (request: FastifyRequest, done: (error?: Error) => void) => void {
  return (request, done) => {
    if (CHECKS.has(request.routeOptions.url)) {
      done()
      return
    }
    const visit = visitOf(request.raw)
    visit.own = true
    visit.ignoresToken = !TAKE_TOKENS.has(request.routeOptions.url)
    request.visit = visit
    door(visit, (error) => {
      request.caller = visit.caller
      done(error)
    })
  }
}
