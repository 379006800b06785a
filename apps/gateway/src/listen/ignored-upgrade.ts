import type { IncomingMessage, ServerResponse } from 'node:http'

/**
 * Has the connection of a request end with its answer where it asks for an upgrade that it does not get. Node's parser stops behind such a request,
 * and what else the same read has brought is lost. Whoever reads on would begin in the middle of something, as in a body that holds a request.
 */
export function endIfUpgradeIgnored({ headers }: IncomingMessage, response: ServerResponse): void {
  if (headers.upgrade !== undefined && headers.connection?.toLowerCase().includes('upgrade') === true)
    response.shouldKeepAlive = false
}
