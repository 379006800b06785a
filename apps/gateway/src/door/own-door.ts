import { gatewayRoutes, type RouteContract } from '@skerry/contracts'
import type { FastifyInstance } from 'fastify'
import type { Door } from './door.ts'
import { Visit } from './visit.ts'

/** Those of the gateway's own routes that look at a token: no other fails for one that has expired. */
const TAKE_TOKENS: ReadonlySet<string | undefined> = new Set(
  Object.values<RouteContract>(gatewayRoutes)
    .filter(({ auth }) => auth !== 'none')
    .map(({ path }) => path)
)

/** Puts the door before the gateway's own routes in a scope: the same paths, tokens and limits as for services. */
export function useDoor(scope: FastifyInstance, door: Door): void {
  scope.addHook('onRequest', (request, _reply, done) => {
    const visit = new Visit(request.raw, performance.now())
    visit.own = true
    visit.ignoresToken = !TAKE_TOKENS.has(request.routeOptions.url)
    request.visit = visit
    door(visit, (error) => {
      request.caller = visit.caller
      done(error)
    })
  })
}
