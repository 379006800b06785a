import type { IncomingMessage } from 'node:http'

/** What our clients speak; offered beside the token, since a browser insists that one of what it offers is chosen. */
const PROTOCOL = 'skerry'
const TOKEN = 'skerry.bearer.'
/** Subprotocols that are looked at, and may reach the service when a token is among them. */
const MOST_OFFERED = 32

/**
 * Browsers can give a WebSocket handshake no headers but subprotocols, so that is where their access token comes: offered as
 * `skerry, skerry.bearer.<token>`. It becomes the `Authorization` that it stands for, unless there is one, and goes no further: what is
 * left of the offer is the service's to choose from. Answers the subprotocol to choose where the service chooses none.
 */
export function takeProtocolToken(request: IncomingMessage): string | undefined {
  const { headers } = request
  const offer = headers['sec-websocket-protocol']
  if (offer === undefined || !offer.includes(TOKEN)) return undefined
  const offered = offer.split(',', MOST_OFFERED).map((name) => name.trim())
  const token = offered.find((name) => name.startsWith(TOKEN))
  const left = offered.filter((name) => !name.startsWith(TOKEN))
  if (token !== undefined) headers.authorization ??= `Bearer ${token.slice(TOKEN.length)}`
  if (left.length === 0) delete headers['sec-websocket-protocol']
  else headers['sec-websocket-protocol'] = left.join(', ')
  return left.includes(PROTOCOL) ? PROTOCOL : undefined
}
