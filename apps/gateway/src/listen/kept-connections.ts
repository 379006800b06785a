import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { BoundMet } from '../bounds.ts'
import type { Reading, SlowReaders, UnreadBound } from './slow-readers.ts'

/** The answer that a connection was last used for, until a look finds it given. */
const ANSWER = Symbol('answer')
type Kept = Socket & { [ANSWER]?: ServerResponse | undefined }

/** Connections of HTTP/1.1, between their requests and while they take answers. */
export type KeptConnections = {
  add(socket: Socket): void
  /** A request came on it. */
  use(socket: Socket, answer: ServerResponse): void
  /** It is no HTTP connection any more: however long it is silent, it stays; what it does not read is bounded on. */
  leave(socket: Socket): void
  /** Breaks those that have brought nothing for `idleMs`, as of `now` (performance.now()), and those that do not read their answers. */
  sweep(now: number, idleMs: number): void
}

export type KeptOptions = {
  /** How long the head of a request may take. */
  headMs?: number
  slow?: SlowReaders | undefined
  /** A connection was ended because its client does not read, or does not finish its head. */
  onBound?: BoundMet
}

type State = { since: number; bytesRead: number; left: boolean; reading: Reading | undefined }

/**
 * In place of the timer that Node's `keepAliveTimeout` starts and stops for each request, which cost more than the routing of one
 * (docs/gateway-design.md has the figure): a request leaves its answer at its connection, and a look now and then sees which have been
 * without one. A connection is idle from the look that first finds it so, which makes it live one interval longer, never shorter.
 */
export function createKeptConnections(options: KeptOptions = {}): KeptConnections {
  const { headMs = 0, slow, onBound } = options
  const kept = new Map<Kept, State>()

  function idle(socket: Kept, state: State, now: number, idleMs: number): void {
    const answer = socket[ANSWER]
    if (answer !== undefined) {
      if (!answer.writableFinished && !answer.destroyed) return
      state.since = now
      state.bytesRead = socket.bytesRead
      // Let go: it would keep its request in memory for as long as the client is silent.
      socket[ANSWER] = undefined
    } else if (now - state.since >= idleMs) {
      // The head of a request may come in parts, and has a time of its own for that. Empty lines ahead of one are no part of it.
      const isSilent = socket.bytesRead === state.bytesRead
      if (!isSilent && now - state.since < idleMs + headMs) return
      if (!isSilent) onBound?.('HEADERS_TIMEOUT_MS', socket.remoteAddress)
      socket.destroy()
    }
  }

  function unread(socket: Kept, state: State, now: number): void {
    const { writableLength: pending } = socket
    if (pending === 0) state.reading = undefined
    else {
      const end = (bound: UnreadBound) => {
        onBound?.(bound, socket.remoteAddress)
        socket.destroy()
      }
      const answer = { pending, taken: takenOf(socket), address: socket.remoteAddress, end }
      state.reading = slow!.judge(state.reading, answer, now)
    }
  }

  return {
    add(socket) {
      kept.set(socket, { since: performance.now(), bytesRead: socket.bytesRead, left: false, reading: undefined })
      socket.once('close', () => kept.delete(socket))
    },
    use(socket, answer) {
      ;(socket as Kept)[ANSWER] = answer
    },
    leave(socket) {
      const state = kept.get(socket)
      if (state === undefined) return
      state.left = true
      ;(socket as Kept)[ANSWER] = undefined
    },
    sweep(now, idleMs) {
      for (const [socket, state] of kept) {
        if (slow !== undefined) unread(socket, state, now)
        if (!state.left) idle(socket, state, now, idleMs)
      }
    }
  }
}

/** What Node's types do not name: a socket's handle; below that of TLS is the connection's own. */
type Handle = { readonly bytesWritten?: number; readonly writeQueueSize?: number; readonly _parent?: Handle }

/** Bytes that the kernel has taken. A write is whole for the socket when the last of it is. */
function takenOf(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { _handle?: Handle | null }
  const { bytesWritten = 0, writeQueueSize = 0 } = handle?._parent ?? handle ?? {}
  return bytesWritten - writeQueueSize
}
