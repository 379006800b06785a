import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FaultLog } from '@skerry/service'
import type { BoundMet } from '../../bounds.ts'
import type { Handler } from '../guard.ts'
import { type Fields, readPlainHead } from './plain-head.ts'
import { PlainRequest } from './plain-request.ts'
import { PlainResponse, type ResponseOwner } from './plain-response.ts'
import { readInto } from './read-into.ts'

export type LanesOptions = {
  /** Whether a handler of light requests and responses answers this target. */
  takes(target: string): boolean
  handler: Handler
  /** Has Node's server read a connection from now on; what was not answered is the first that it reads. */
  handOver(socket: Socket): void
  /** How long an unused connection is kept, as heads say. */
  keepAliveMs: number
  /** Bytes of a head. */
  headerLimit: number
  /** Bytes that may wait behind answers, on all connections together. */
  aheadBytes: number
  /** What waits behind answers is more than may be: its connection was ended. */
  onBound: BoundMet
  onFault: FaultLog
}

/** Connections of HTTP/1.1 that have only brought plain requests, one at a time. */
export type Lanes = {
  /** Serves a connection whose first bytes can be read. */
  begin(socket: Socket): void
  /** Ends those that have no request under way. */
  closeIdle(): void
  closeAll(): void
  readonly size: number
}

/** All connections are read into the same memory: what a read brings is dealt with before the next read of any of them. */
const INPUT = Buffer.allocUnsafeSlow(64 * 1024)
/** What may come while an answer is under way, on one connection: then no more is read. Nothing is refused for it, so it is no setting. */
const MOST_READS = 8
const ENOUGH_BYTES = 16 * 1024
/** Header lines that are remembered for the next request of a connection. */
const MOST_REMEMBERED = 4 * 1024

/**
 * Answers plain requests (`plain-head.ts`) without Node's server, whose parser, requests and responses cost as much as the rest of the gateway
 * (docs/gateway-design.md has the figures). Whatever else a connection brings, or a second request before the first was answered, hands it
 * over to Node's server for good, with the bytes in question unread.
 */
export function createLanes(options: LanesOptions): Lanes {
  const { takes, handler, handOver, keepAliveMs, headerLimit, aheadBytes, onBound, onFault } = options
  const lanes = new Set<Lane>()
  let heldInAll = 0

  class Lane implements ResponseOwner {
    readonly socket: Socket
    readonly keepAliveMs = keepAliveMs
    private current: PlainResponse | undefined
    private known: Fields | undefined
    /** What came while an answer was under way. */
    private held: Buffer | undefined
    private reads = 0
    /** Node's server has it. */
    private left = false
    /** Its last answer is given. */
    private over = false

    constructor(socket: Socket) {
      this.socket = socket
      lanes.add(this)
      readInto(socket, INPUT, (bytes) => this.read(bytes))
      socket.on('end', this.ended).on('drain', this.drained).on('close', this.closed)
    }

    get isIdle(): boolean {
      return this.current === undefined
    }

    begin(): void {
      const first = this.socket.read() as Buffer | null
      if (first !== null) this.take(first.copy(INPUT))
      // Goes on reading.
      if (!this.left) this.socket.read(0)
    }

    /** Answers false to stop reading. */
    private read(bytes: number): boolean {
      if (this.left) return this.socket.push(Buffer.from(INPUT.subarray(0, bytes)))
      try {
        return this.take(bytes)
      } catch (error) {
        onFault('connection', error)
        this.socket.destroy()
        return false
      }
    }

    private take(bytes: number): boolean {
      if (this.over) return false
      if (this.current !== undefined) return this.hold(bytes)
      const head = bytes > headerLimit ? undefined : readPlainHead(INPUT, bytes, this.known)
      if (head === undefined || !takes(head.target)) {
        this.leave(Buffer.from(INPUT.subarray(0, bytes)))
        return true
      }
      this.known = head.fields.text.length > MOST_REMEMBERED ? undefined : head.fields
      const request = new PlainRequest(this.socket, head)
      this.current = new PlainResponse(this, request)
      handler(request as unknown as IncomingMessage, this.current as unknown as ServerResponse)
      return true
    }

    /** Keeps what comes behind a request until that is answered. */
    private hold(bytes: number): boolean {
      const came = INPUT.subarray(0, bytes)
      this.held = this.held === undefined ? Buffer.from(came) : Buffer.concat([this.held, came])
      heldInAll += bytes
      if (heldInAll > aheadBytes) {
        onBound('PLAIN_AHEAD_BYTES', this.socket.remoteAddress)
        this.socket.destroy()
      }
      return ++this.reads < MOST_READS && this.held.length < ENOUGH_BYTES
    }

    answered(closes: boolean): void {
      this.current = undefined
      const { held, socket } = this
      if (closes) {
        this.over = true
        socket.destroySoon()
      } else if (held !== undefined && socket.writable) {
        heldInAll -= held.length
        this.held = undefined
        this.leave(held)
      }
    }

    private leave(bytes: Buffer): void {
      const { socket } = this
      this.left = true
      this.known = undefined
      lanes.delete(this)
      socket.off('end', this.ended).off('drain', this.drained).off('close', this.closed)
      socket.unshift(bytes)
      handOver(socket)
    }

    /** As Node's server: who sends no more wants no more. */
    private readonly ended = () => {
      this.socket.end()
    }

    private readonly drained = () => {
      this.current?.emit('drain')
    }

    private readonly closed = () => {
      lanes.delete(this)
      heldInAll -= this.held?.length ?? 0
      this.held = undefined
      const { current } = this
      this.current = undefined
      current?.gone()
    }
  }

  return {
    begin: (socket) => new Lane(socket).begin(),
    closeIdle() {
      for (const lane of lanes) if (lane.isIdle) lane.socket.destroy()
    },
    closeAll() {
      for (const { socket } of lanes) socket.destroy()
    },
    get size() {
      return lanes.size
    }
  }
}
