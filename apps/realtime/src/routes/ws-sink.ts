import type { Socket } from 'node:net'
import type { WebSocket } from '@fastify/websocket'
import type { EndReason, Sink } from '../streams/sink.ts'
import { drainedOf } from './drained.ts'

/** Service restart: come back, to another instance. */
const RESTART = 1012
/** Our own: the token is not good any more. */
const UNAUTHENTICATED = 4401
const CLOSE_MS = 2_000

const REASONS: Readonly<Record<EndReason, string>> = {
  expired: 'TOKEN_EXPIRED',
  revoked: 'SESSION_REVOKED',
  draining: '',
  stalled: '',
  gone: ''
}

/** `{ id, type, data }` as JSON text, a frame each. A frame `{ id }` without a type is the heartbeat: the id to go on from. */
export class WsSink implements Sink {
  readonly transport = 'ws'
  private readonly ws: WebSocket
  private readonly socket: Socket
  private answered = true

  constructor(ws: WebSocket, socket: Socket) {
    this.ws = ws
    this.socket = socket
    ws.on('pong', () => {
      this.answered = true
    })
  }

  message(id: string, type: string, body: string): void {
    this.ws.send(`{"id":"${id}","type":${JSON.stringify(type)},"data":${body}}`)
  }

  place(id: string): void {
    this.ws.send(`{"id":"${id}"}`)
  }

  beat(): boolean {
    if (!this.answered) return false
    this.answered = false
    this.ws.ping()
    return true
  }

  buffered(): number {
    return this.ws.bufferedAmount
  }

  taken(): number {
    return this.socket.bytesWritten - this.socket.writableLength
  }

  drained(): Promise<void> {
    return drainedOf(this.socket)
  }

  end(reason: EndReason, _retryMs: number): void {
    if (reason === 'stalled' || reason === 'gone') {
      this.ws.terminate()
      return
    }
    this.ws.close(reason === 'draining' ? RESTART : UNAUTHENTICATED, REASONS[reason])
    // ws itself waits 30 s for the client's answer.
    const bound = setTimeout(() => this.ws.terminate(), CLOSE_MS)
    this.ws.once('close', () => clearTimeout(bound))
  }
}
