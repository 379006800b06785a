import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Node's own name for the response whose turn it is on a connection. There is no public one for somebody else's response. */
type Connection = Socket & { _httpMessage?: ServerResponse | null }

/** The response whose turn it is on a connection and that is not over yet. */
export function currentResponse(socket: Socket): ServerResponse | undefined {
  const current = (socket as Connection)._httpMessage
  return current === undefined || current === null || current.closed ? undefined : current
}

/**
 * Whether a request can be worked on: no other answer comes first on its connection, and the connection takes its own. Over HTTP/2 it always
 * is; `writable` is that of its stream there, which for a HEAD has ended before it begins.
 */
export function isItsTurn(response: ServerResponse): boolean {
  return response.socket?.writable === true || response.req.httpVersionMajor === 2
}

/**
 * Calls `then` when the answers ahead of a request are given that its client sent without waiting for them (pipelining), and never if
 * one of them was the last of its connection: what a service would do for it, nobody could be told. So the gateway, like other proxies
 * and unlike Node by itself, works on one request of a connection at a time.
 *
 * @param socket the connection that the request came on; `response.socket` is null until it is its turn
 */
export function inTurn(socket: Socket, response: ServerResponse, then: () => void): void {
  if (isItsTurn(response)) then()
  else if (response.socket === null) currentResponse(socket)?.once('close', () => inTurn(socket, response, then))
}
