import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { EndReason, Sink } from '../streams/sink.ts'
import { drainedOf } from './drained.ts'

/** When a client comes back after a connection that just broke, in milliseconds. */
const RETRY_MS = 1_000

const HEAD = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-store, no-transform',
  vary: 'authorization',
  // What ends a stream ends its connection: nothing of it is left on one that serves other requests.
  connection: 'close',
  // Reverse proxies that buffer answers would hold back messages.
  'x-accel-buffering': 'no'
}

/** Server-sent events, as the HTML standard defines them (section 9.2). */
export class SseSink implements Sink {
  readonly transport = 'sse'
  private readonly response: ServerResponse
  private readonly socket: Socket

  constructor(response: ServerResponse, requestId: string) {
    this.response = response
    this.socket = response.socket!
    response.writeHead(200, { ...HEAD, 'x-request-id': requestId })
    response.write(`retry: ${RETRY_MS}\n: live\n\n`)
  }

  message(id: string, type: string, body: string): void {
    this.response.write(`id: ${id}\nevent: ${type}\ndata: ${body}\n\n`)
  }

  /** Without data no event is dispatched, but the client's last event id moves on. */
  place(id: string): void {
    this.response.write(`id: ${id}\n\n`)
  }

  beat(): boolean {
    this.response.write(':\n\n')
    return true
  }

  buffered(): number {
    return this.socket.writableLength
  }

  taken(): number {
    return this.socket.bytesWritten - this.socket.writableLength
  }

  drained(): Promise<void> {
    return drainedOf(this.socket)
  }

  end(reason: EndReason, retryMs: number): void {
    if (reason === 'stalled' || reason === 'gone') {
      this.socket.destroy()
      return
    }
    this.response.end(reason === 'draining' ? `retry: ${retryMs}\n\n` : '')
    // A client that takes nothing must not hold the end up.
    if (this.socket.writableLength > 0) this.socket.setTimeout(2_000, () => this.socket.destroy())
  }
}
