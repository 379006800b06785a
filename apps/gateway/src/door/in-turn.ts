import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

export type TurnBounds = {
  /** Requests that wait for their turn on one connection; while there are more, nothing is read from it. */
  readonly waiting: number
  /**
   * The same of all connections: each costs some kilobytes, and one read can bring 2,500. Beyond it a connection that brings more than its
   * own bound ends.
   */
  readonly inAll: number
  /** One was ended for that. */
  onTooMany?(address: string | undefined): void
}

let waitingInAll = 0

/** Node's own name for the response whose turn it is on a connection. There is no public one for somebody else's response. */
type Connection = Socket & { _httpMessage?: ServerResponse | null; [LINE]?: Line | undefined }
const LINE = Symbol('line')

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
 * and unlike Node by itself, works on one request of a connection at a time. While some wait, nothing more is read: what one read has brought
 * is all that there can be.
 *
 * @param socket the connection that the request came on; `response.socket` is null until it is its turn
 */
export function inTurn(socket: Socket, response: ServerResponse, then: () => void, bounds: TurnBounds): void {
  if (isItsTurn(response)) {
    then()
    return
  }
  // The connection takes no answers any more.
  if (response.socket !== null || socket.destroyed) return
  const connection = socket as Connection
  connection[LINE] ??= new Line(connection, bounds)
  connection[LINE].add(response, then)
}

/** How many requests wait for their turn on a connection. */
export function waitingOn(socket: Socket): number {
  return (socket as Connection)[LINE]?.length ?? 0
}

/** Who waits on a connection, in the order in which they came: each step costs the same, however many there are. */
class Line {
  private readonly socket: Connection
  private readonly bounds: TurnBounds
  private readonly waiting: { response: ServerResponse; then: () => void }[] = []
  private first = 0
  private held = false

  constructor(socket: Connection, bounds: TurnBounds) {
    this.socket = socket
    this.bounds = bounds
    socket.once('close', () => this.clear())
  }

  get length(): number {
    return this.waiting.length - this.first
  }

  add(response: ServerResponse, then: () => void): void {
    this.waiting.push({ response, then })
    waitingInAll++
    if (this.length === 1) this.await()
    const { waiting, inAll, onTooMany } = this.bounds
    if (this.length <= waiting) return
    if (waitingInAll > inAll) {
      onTooMany?.(this.socket.remoteAddress)
      this.socket.destroy()
    } else if (!this.held) this.hold()
  }

  /** Waits for the end of the answer that is under way, which may also be one that Node gives by itself. */
  private await(): void {
    const current = currentResponse(this.socket)
    // Once more from the event loop: answers that are given at once must not keep it from everybody else.
    if (current !== undefined) current.once('close', () => setImmediate(() => this.advance()))
    else this.clear()
  }

  private advance(): void {
    const next = this.waiting[this.first]
    if (next === undefined) return
    const { response, then } = next
    if (!isItsTurn(response)) {
      if (response.socket === null && !this.socket.destroyed) this.await()
      else this.clear()
      return
    }
    this.waiting[this.first++] = undefined as never
    waitingInAll--
    if (this.length === 0) this.clear()
    else {
      this.await()
      if (this.held && this.length <= this.bounds.waiting / 2) this.release()
    }
    then()
  }

  private clear(): void {
    waitingInAll -= this.length
    this.waiting.length = 0
    this.first = 0
    this.release()
  }

  /** Node resumes a connection for reasons of its own, when a body is read or an answer has ended: it is stopped each time. */
  private readonly stop = () => {
    this.socket.pause()
  }

  private hold(): void {
    this.held = true
    this.socket.on('resume', this.stop)
    this.socket.pause()
  }

  private release(): void {
    if (!this.held) return
    this.held = false
    this.socket.off('resume', this.stop)
    this.socket.resume()
  }
}
