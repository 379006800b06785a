import type { IncomingMessage, ServerResponse } from 'node:http'
import { awaitsWord, tellToGoOn } from '@skerry/service'
import { Visit } from '../door/visit.ts'
import { PlainResponse } from '../listen/http1/plain-response.ts'
import { BodyBrokenOffError, readBody } from './body.ts'
import { Exchange, type ExchangeDeps } from './exchange.ts'
import { answerFromCache } from './from-cache.ts'
import { relay } from './relay.ts'
import { relayStreamed } from './streamed/streamed-relay.ts'
import { SAFE } from './upstream-request.ts'

/**
 * The way of one request to a service, from its head to its answer: through the door (`door/door.ts`); with its body (`body.ts`), if it writes (where
 * bodies pass through, by `streamed/`); to a version of its service (`traffic/traffic.ts`); from the cache (`from-cache.ts`), or with a place in its
 * service (`overload/place.ts`) to an instance of it and back (`relay.ts`). Until the head of an answer is there an error is answered as a problem,
 * afterwards the connection breaks, so that nobody takes a part for the whole. When the client goes away, so does the request to the service.
 */
export function serve(deps: ExchangeDeps, req: IncomingMessage, res: ServerResponse): void {
  throughDoor(new Exchange(deps, req, res, new Visit(req, performance.now())))
}

/** Refuses what neither a service nor the gateway takes, behind the same door: it has its policies and limits, and is counted, like all else. */
export function refuseBehindDoor(deps: ExchangeDeps, req: IncomingMessage, res: ServerResponse, visit: Visit): void {
  throughDoor(new Exchange(deps, req, res, visit))
}

function throughDoor(exchange: Exchange): void {
  const { deps, res } = exchange
  const closed = () => exchange.closed()
  // 'close' comes once by itself.
  if (res instanceof PlainResponse) res.onClosed(closed)
  else res.on('close', closed)
  deps.door(exchange.visit, (error) => {
    try {
      if (error !== undefined) exchange.refuse(error)
      else if (exchange.visit.route!.streamed !== undefined) pass(exchange)
      else if (SAFE.has(exchange.visit.method)) answer(exchange)
      else withBody(exchange)
    } catch (fault) {
      exchange.fail(fault)
    }
  })
}

function pass(exchange: Exchange): void {
  chooseVersion(exchange)
  relayStreamed(exchange)
}

function withBody(exchange: Exchange): void {
  const { req, res, deps } = exchange
  // What is too large is refused without.
  if (awaitsWord(req) && !(Number(req.headers['content-length']) > deps.bodyLimit)) tellToGoOn(req, res)
  readBody(req, deps.bodyLimit, (error, body) => {
    try {
      exchange.body = body
      if (error === undefined) answer(exchange)
      else if (error instanceof BodyBrokenOffError) exchange.res.destroy()
      else exchange.refuse(error)
    } catch (fault) {
      exchange.fail(fault)
    }
  })
}

function answer(exchange: Exchange): void {
  chooseVersion(exchange)
  const { cached } = exchange.visit.route!
  if (cached === undefined || !SAFE.has(exchange.visit.method) || !answerFromCache(exchange, cached)) relay(exchange)
}

/** Finds out whether the request has to go to a version of its service. */
function chooseVersion(exchange: Exchange): void {
  const { deps, visit } = exchange
  const { traffic } = deps
  if (traffic === undefined) return
  const { service } = visit.route!
  const versions = deps.balancer.service(service)?.versions
  if (versions !== undefined)
    exchange.version = traffic.choose(service, versions, visit.raw.headers, visit.caller?.userId)
}
