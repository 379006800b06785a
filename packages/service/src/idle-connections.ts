import type { Server } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'

/** How long a connection that was made a moment ago has at least to bring its first byte, and how often that is looked at. */
const SILENT_MS = 1_000
const LOOK_MS = 20

/**
 * Makes `server.close` lose no request while `draining`. Node's own closes idle connections at once, to it those that were just made are
 * idle as well, and a request that is on its way on one of them is lost; a client may not send a POST again, since it cannot know. So the
 * server only stops listening, goes on answering on the connections that are there (each answer then closes its own), and leaves the
 * idle ones to their clients for `keptMs`.
 */
export function keepIdleConnections(server: Server, options: { draining: () => boolean; keptMs: number }): void {
  const closeAtOnce = server.close
  const openedAt = new Map<Socket, number>()
  server.on('connection', (socket: Socket) => {
    openedAt.set(socket, performance.now())
    socket.once('close', () => openedAt.delete(socket))
  })
  const someoneMayBegin = () => {
    const now = performance.now()
    for (const [{ bytesRead }, since] of openedAt) if (bytesRead === 0 && now - since < SILENT_MS) return true
    return false
  }

  server.close = (done) => {
    if (!options.draining() || !server.listening) return closeAtOnce.call(server, done)
    const closeIdle = () => {
      if (someoneMayBegin()) bound = setTimeout(closeIdle, LOOK_MS)
      // Right after the event loop has read what had arrived, so that no request waits unseen on what is closed now.
      else setImmediate(() => server.closeIdleConnections())
    }
    let bound = setTimeout(closeIdle, options.keptMs)
    NetServer.prototype.close.call(server, () => {
      clearTimeout(bound)
      // Not listening is no fault here: this ends what else the server has running.
      closeAtOnce.call(server, () => done?.())
    })
    return server
  }
}
