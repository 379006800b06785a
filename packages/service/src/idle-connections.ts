import type { Server } from 'node:http'
import { Server as NetServer } from 'node:net'

/**
 * Makes `server.close` lose no request while `draining`. Node's own closes idle connections at once, and a request that is on its way on one
 * of them is lost; a client may not send a POST again, since it cannot know. So the server only stops listening, goes on answering on the
 * connections that are there (each answer then closes its own), and leaves the idle ones to their clients for `keptMs`.
 */
export function keepIdleConnections(server: Server, options: { draining: () => boolean; keptMs: number }): void {
  const closeAtOnce = server.close
  server.close = (done) => {
    if (!options.draining() || !server.listening) return closeAtOnce.call(server, done)
    const bound = setTimeout(() => server.closeIdleConnections(), options.keptMs)
    NetServer.prototype.close.call(server, () => {
      clearTimeout(bound)
      // Not listening is no fault here: this ends what else the server has running.
      closeAtOnce.call(server, () => done?.())
    })
    return server
  }
}
