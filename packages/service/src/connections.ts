import { Server as NetServer, type Socket } from 'node:net'

/** What `followConnections` needs of an HTTP server. */
export type FollowedServer = NetServer & { closeIdleConnections(): void }

export type Connections = {
  readonly size: number
  /**
   * Takes no new connections and waits until those that are open have ended: each with the answer to a request (which says `connection:
   * close` by now), those that bring none after `lingerMs`. Requests under way have all the time that their own limits give them.
   */
  end(lingerMs: number): Promise<void>
}

const LOOK_MS = 20
/** How long a connection that was made a moment ago has at least to bring its first byte. */
const SILENT_MS = 1_000

/**
 * Follows the connections of a server from before it listens, so that it can end without losing a request. Node's own `close` cuts
 * connections that are kept alive or were just made at once, a request on its way or not, and no longer looks for requests that never get
 * complete.
 */
export function followConnections(server: FollowedServer): Connections {
  const openedAt = new Map<Socket, number>()
  server.on('connection', (socket: Socket) => {
    openedAt.set(socket, performance.now())
    socket.once('close', () => openedAt.delete(socket))
  })
  /** To Node a connection that has just been made is idle as well. */
  const someoneMayBegin = () => {
    const now = performance.now()
    for (const [{ bytesRead }, since] of openedAt) if (bytesRead === 0 && now - since < SILENT_MS) return true
    return false
  }
  return {
    get size() {
      return openedAt.size
    },
    async end(lingerMs) {
      // The close of plain TCP servers: it leaves connections alone, and Node goes on to time out slow requests.
      NetServer.prototype.close.call(server)
      const until = performance.now() + lingerMs
      while (openedAt.size > 0) {
        if (performance.now() >= until && !someoneMayBegin()) {
          // Right after the event loop has read what had arrived, so that no request waits unseen on what is closed now.
          await new Promise((resolve) => setImmediate(resolve))
          server.closeIdleConnections()
        }
        await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
      }
    }
  }
}
