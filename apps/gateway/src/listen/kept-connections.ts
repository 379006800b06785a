import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** The answer that a connection was last used for, until a look finds it given. */
const ANSWER = Symbol('answer')
type Kept = Socket & { [ANSWER]?: ServerResponse | undefined }

/** HTTP/1.1 connections between their requests. */
export type KeptConnections = {
  add(socket: Socket): void
  /** A request came on it. */
  use(socket: Socket, answer: ServerResponse): void
  /** It is no HTTP connection any more. */
  leave(socket: Socket): void
  /** Breaks those that have brought nothing for `idleMs`, as of `now` (performance.now()). */
  sweep(now: number, idleMs: number): void
}

type Idle = { since: number; bytesRead: number }

/**
 * In place of the timer that Node's `keepAliveTimeout` starts and stops for each request, which cost more than the routing of one
 * (docs/gateway.md has the figure): a request leaves its answer at its connection, and a look now and then sees which have been
 * without one. A connection is idle from the look that first finds it so, which makes it live one interval longer, never shorter.
 */
export function createKeptConnections(): KeptConnections {
  const idle = new Map<Kept, Idle>()
  return {
    add(socket) {
      idle.set(socket, { since: performance.now(), bytesRead: socket.bytesRead })
      socket.once('close', () => idle.delete(socket))
    },
    use(socket, answer) {
      ;(socket as Kept)[ANSWER] = answer
    },
    leave(socket) {
      idle.delete(socket)
    },
    sweep(now, idleMs) {
      for (const [socket, state] of idle) {
        const answer = socket[ANSWER]
        if (answer !== undefined) {
          if (!answer.writableFinished && !answer.destroyed) continue
          Object.assign(state, { since: now, bytesRead: socket.bytesRead })
          // Let go: it would keep its request in memory for as long as the client is silent.
          socket[ANSWER] = undefined
        } else if (now - state.since >= idleMs) {
          // The head of a request may come in parts; how long that takes has a bound of its own.
          if (socket.bytesRead === state.bytesRead) socket.destroy()
          else Object.assign(state, { since: now, bytesRead: socket.bytesRead })
        }
      }
    }
  }
}
