import type { FastifyInstance } from 'fastify'
import type { Door } from './door.ts'
import { Visit } from './visit.ts'

/** Puts the door before the gateway's own routes in a scope: the same paths, tokens and limits as for services. */
export function useDoor(scope: FastifyInstance, door: Door): void {
  scope.addHook('onRequest', (request, _reply, done) => {
    const visit = new Visit(request.raw, performance.now())
    visit.own = true
    request.visit = visit
    door(visit, (error) => {
      request.caller = visit.caller
      done(error)
    })
  })
}
