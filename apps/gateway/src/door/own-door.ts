import type { FastifyInstance } from 'fastify'
import type { Door } from './door.ts'
import { Visit } from './visit.ts'

/** Puts the door before the routes of a scope that Fastify answers: the same paths, tokens and limits as for services. */
export function useDoor(scope: FastifyInstance, door: Door, options: { own: boolean }): void {
  scope.addHook('onRequest', (request, _reply, done) => {
    const visit = new Visit(request.raw, performance.now())
    visit.own = options.own
    request.visit = visit
    door(visit, (error) => {
      request.caller = visit.caller
      done(error)
    })
  })
}
