import type { IncomingMessage, ServerResponse } from 'node:http'
import { constants } from 'node:http2'
import { SkerryError } from '@skerry/contracts'
import { visitOf } from '../door/visit.ts'
import { writeProblem } from '../head/answer-problem.ts'
import type { Heads } from '../head/heads.ts'
import type { Refused } from './body-budget.ts'
import type { OnAnswered } from './guard.ts'
import type { GatewayHttp2Request } from './http2-request.ts'
import { dropRead } from './stop-reading.ts'

/** How long a client has to get to read why its body is refused, while what it still sends is dropped. */
const LINGER_MS = 1_000

/** Answers a request whose body is not taken, lets go of what has come of it, and ends its connection, or its stream. */
export function refuseBody(
  why: Refused,
  request: IncomingMessage,
  response: ServerResponse,
  heads: Heads,
  onAnswered: OnAnswered
): void {
  // Whoever reads it has the parts that came, and is not to hear that it has ended or broken off.
  for (const event of ['data', 'end', 'error', 'close', 'aborted']) request.removeAllListeners(event)
  const http2 = request.httpVersionMajor >= 2
  const { socket } = request
  // It has its answer, or comes behind others on its connection.
  if (response.headersSent || (response.socket === null && !http2)) {
    if (http2) response.destroy()
    else {
      dropRead(socket)
      socket.destroy()
    }
    return
  }
  const visit = visitOf(request)
  const { status, body } = writeProblem(heads, visit, response, refusalOf(why), true)
  onAnswered(visit, status)
  if (http2) {
    const { stream } = request as unknown as GatewayHttp2Request
    response.end(body)
    // RFC 9113 8.1: the answer is whole, and the rest of the request is not wanted.
    if (stream.writableFinished) stream.close(constants.NGHTTP2_NO_ERROR)
    else stream.once('finish', () => stream.close(constants.NGHTTP2_NO_ERROR))
    return
  }
  if (why !== 'memory') {
    // What else there is of it costs as much as what has come.
    dropRead(socket)
    response.end(body, () => socket.destroySoon())
    return
  }
  // Also an answer without one begins now.
  if (body === undefined) response.flushHeaders()
  else response.write(body)
  request.resume()
  setTimeout(() => {
    response.end()
    socket.destroySoon()
  }, LINGER_MS).unref()
}

function refusalOf(why: Refused): SkerryError {
  switch (why) {
    case 'memory':
      return new SkerryError('UNAVAILABLE', { detail: 'There is no memory for this body now.', retryAfter: 1 })
    case 'busy':
      return new SkerryError('UNAVAILABLE', {
        detail: 'There are too many bodies in small pieces now.',
        retryAfter: 1
      })
    case 'pieces':
      return new SkerryError('BODY_TOO_LARGE', { detail: 'The body comes in too many pieces.' })
  }
}
