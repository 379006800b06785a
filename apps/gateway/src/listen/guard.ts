import type { IncomingMessage, ServerResponse } from 'node:http'
import { SkerryError } from '@skerry/contracts'
import type { FaultLog } from '@skerry/service'
import { type Visit, visitOf } from '../door/visit.ts'
import { answerProblem } from '../head/answer-problem.ts'
import type { Heads } from '../head/heads.ts'

/** Gets the requests of every protocol; those of HTTP/2 look like HTTP/1.1's. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** Takes in that an answer was given in place of a handler's. */
export type OnAnswered = (visit: Visit, status: number) => void

/**
 * Where bytes from outside enter, what they call is guarded: what it throws is told, and ends what these bytes belong to. Anything later that
 * is called by a timer, a promise or an event has to end its own in the same way; what nobody catches is taken by the process
 * (`uncaught: 'go on'`), which then cannot tell whose it was.
 */
export function guard<A extends unknown[]>(
  onFault: FaultLog,
  at: string,
  work: (...input: A) => void,
  end: (...input: A) => void
): (...input: A) => void {
  return (...input) => {
    try {
      work(...input)
    } catch (error) {
      onFault(at, error)
      end(...input)
    }
  }
}

/** The same for requests, without anything made for each. One that fails is answered 500, or broken off where its answer has begun. */
export function guardRequests(handler: Handler, onFault: FaultLog, heads: Heads, onAnswered: OnAnswered): Handler {
  return (request, response) => {
    try {
      handler(request, response)
    } catch (error) {
      failRequest(onFault, heads, onAnswered, request, response, error)
    }
  }
}

/** Ends a request whose code has thrown. */
function failRequest(
  onFault: FaultLog,
  heads: Heads,
  onAnswered: OnAnswered,
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown
): void {
  onFault('request', error)
  try {
    if (response.headersSent) {
      response.destroy()
      return
    }
    // What else is on this connection is in doubt, so it ends.
    const visit = visitOf(request)
    answerProblem(heads, visit, response, new SkerryError('INTERNAL', { cause: error }), true)
    onAnswered(visit, 500)
  } catch {
    // There is nothing left to say to this client.
    request.socket.destroy()
  }
}

/** For events that say nothing new: 'close' follows each 'error'. */
export function ignore(): void {}
