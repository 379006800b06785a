import { type OutgoingHttpHeaders, validateHeaderValue } from 'node:http'
import { Http2ServerResponse, type ServerHttp2Stream } from 'node:http2'
import { breakStream } from './broken-streams.ts'
import type { GatewayHttp2Request } from './http2-request.ts'
import type { Reading } from './slow-readers.ts'

type Head = OutgoingHttpHeaders | readonly string[]
type Written = (error: Error) => void

/** Headers of HTTP/1.1's connections, for which HTTP/2 has no place (RFC 9113 8.2.2). */
const OF_CONNECTIONS = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade'
])
/** Bytes of a body that are written at once. */
const SLICE = 32_768
const PLAIN = /^[\t\x20-\x7e\x80-\xff]*$/

/**
 * An answer over HTTP/2 that takes what a handler of HTTP/1.1 writes: `writeHead(status, pairs)` with headers of connections among them
 * and bodies where there can be none, which are both left out, and `destroy()`, which never looks like an orderly end. It costs a
 * third less than Node's class, which gets ready for trailers with each answer; here only where `trails` says so.
 */
export class GatewayHttp2Response extends Http2ServerResponse<GatewayHttp2Request> {
  /** How its client reads, from one look to the next. */
  reading: Reading | undefined
  /** Trailers may follow its body: set before its head is written. */
  trails = false
  /** Bytes of the body that were handed to the stream. */
  private handed = 0
  /** The rest of a long body that was given as a whole. */
  private rest: Buffer | undefined
  private ending: unknown[] = []
  /** The head of a 205 whose body has not come to its end: Node sends it with the end of its stream, and nothing of the body. */
  held: string[] | undefined
  /** Is told when the stream is gone, however it ended. */
  ended: ((response: GatewayHttp2Response) => void) | undefined

  override writeHead(status: number, head?: Head): this
  override writeHead(status: number, message: string, head?: Head): this
  override writeHead(status: number, second?: string | Head, third?: Head): this {
    const { stream } = this
    if (stream.destroyed || stream.closed) return this
    // Throws as Node does.
    if (stream.headersSent) return super.writeHead(status)
    if (this.held !== undefined) {
      // Node's `end` writes a head where none is sent.
      if (!this.writableEnded) throw new Error('the head of this answer was written before')
      this.send(this.held)
      this.held = undefined
      return this
    }
    const given = typeof second === 'string' ? third : second
    const head = [':status', String(status)]
    if (given !== undefined && !isPairs(given)) {
      for (const name in given) if (given[name] !== undefined) this.setHeader(name, given[name])
    }
    for (const name of this.getHeaderNames()) {
      if (given === undefined || !isPairs(given) || !names(given, name)) add(head, name, this.getHeader(name))
    }
    if (given !== undefined && isPairs(given)) {
      for (let at = 0; at < given.length; at += 2) add(head, given[at]!, given[at + 1])
    }
    if (status === 204 || status === 205) unsaid(head, status)
    this.statusCode = status
    // Sent now it would be whole to its client, and its body may break off.
    if (status === 205 && !this.writableEnded) this.held = head
    else this.send(head)
    return this
  }

  private send(head: string[]): void {
    const waitForTrailers = this.trails && !this.writableEnded
    respond(this.stream, head, { endStream: this.writableEnded, sendDate: this.sendDate, waitForTrailers })
  }

  /** As Node's, of which its types do not know. */
  flushHeaders(): void {
    if (!this.headersSent) this.writeHead(this.statusCode)
  }

  override write(chunk: string | Uint8Array, encoding?: BufferEncoding | Written, written?: Written): boolean {
    if (!this.headersSent) this.writeHead(this.statusCode)
    if (this.held !== undefined || (this.stream.writableEnded && !this.writableEnded)) {
      // An answer to HEAD, a 204, a 205 or a 304: HTTP/1.1 drops the body, and Node would break this stream.
      const done = typeof encoding === 'function' ? encoding : written
      if (done !== undefined) process.nextTick(done as () => void)
      return true
    }
    this.handed += chunk.length
    return super.write(chunk, encoding as BufferEncoding, written)
  }

  /** A long body goes in slices, so that it can be seen how fast its client reads: a write is whole when the last byte of it is. */
  override end(chunk?: unknown, ...others: unknown[]): this {
    const { stream } = this
    // Node resets a stream that nobody reads as soon as all is written, also where the end of it waits for a window: half an answer, to its client.
    if (stream.endAfterHeaders && stream.readableFlowing === null) stream.resume()
    if (chunk instanceof Uint8Array && chunk.length > SLICE && this.rest === undefined) {
      this.rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
      this.ending = others
      this.sendRest()
      return this
    }
    return super.end(chunk as never, ...(others as []))
  }

  /** Bytes that its client has not taken, and those that it has. An end that waits for a window is one. */
  get unread(): number {
    const bytes = this.stream.writableLength + (this.rest?.length ?? 0)
    return bytes === 0 && this.isEndUnsent() ? 1 : bytes
  }
  get taken(): number {
    return this.handed - this.stream.writableLength
  }

  /** All was handed to the stream, and its side of it is open still: nghttp2 sends no end while a window is shut. */
  private isEndUnsent(): boolean {
    const { stream } = this
    return stream.writableFinished && !stream.destroyed && stream.state.localClose === 0
  }

  private sendRest(): void {
    let more = true
    while (more && this.rest !== undefined && !this.stream.destroyed) {
      const slice = this.rest.subarray(0, SLICE)
      this.rest = this.rest.length > SLICE ? this.rest.subarray(SLICE) : undefined
      if (this.rest === undefined) super.end(slice as never, ...(this.ending as []))
      else more = this.write(slice)
    }
    if (this.rest !== undefined) this.once('drain', () => this.sendRest())
  }

  override destroy(_error?: Error): this {
    breakStream(this.stream)
    return this
  }

  /** Node says 'finish' at each end; a handler takes it for an answer that was sent. */
  override emit(event: string | symbol, ...values: unknown[]): boolean {
    if (event === 'finish' && !this.writableFinished) return false
    if (event === 'close') this.ended?.(this)
    return super.emit(event as string, ...values)
  }
}

// Node's type says that these are properties.
Object.defineProperties(GatewayHttp2Response.prototype, {
  headersSent: {
    get(this: GatewayHttp2Response): boolean {
      return this.held !== undefined || this.stream.headersSent
    }
  },
  destroyed: {
    get(this: GatewayHttp2Response): boolean {
      return this.stream.destroyed
    }
  },
  writableFinished: {
    get(this: GatewayHttp2Response): boolean {
      // A stream that was reset is ended by Node as if there had been no more to write.
      return this.stream.writableFinished && !this.stream.aborted
    }
  }
})

/**
 * Takes back a length of what Node does not send with these: it would make the answer malformed (RFC 9113 8.1.1), which resets its stream. A
 * 204 may say none at all (RFC 9110 8.6).
 */
function unsaid(head: string[], status: number): void {
  const at = head.findIndex((name, i) => i % 2 === 0 && name === 'content-length')
  if (at === -1) return
  if (status === 204) head.splice(at, 2)
  else head[at + 1] = '0'
}

function isPairs(head: Head): head is readonly string[] {
  return Array.isArray(head)
}

function names(pairs: readonly string[], name: string): boolean {
  for (let at = 0; at < pairs.length; at += 2) if (pairs[at]!.toLowerCase() === name) return true
  return false
}

/** Adds a header as HTTP/2 writes it. Throws ERR_INVALID_CHAR, as HTTP/1.1 does, for a value that would end its line. */
function add(head: string[], given: string, value: unknown): void {
  const name = given.toLowerCase()
  if (OF_CONNECTIONS.has(name) || value === undefined) return
  if (Array.isArray(value)) {
    for (const one of value) add(head, name, one)
    return
  }
  const text = String(value)
  if (!PLAIN.test(text)) validateHeaderValue(name, text)
  head.push(name, text)
}

type Respond = (head: string[], options: { endStream: boolean; sendDate: boolean; waitForTrailers: boolean }) => void

/** Node takes a list in place of an object, and whether to send the date; the types know of neither. */
function respond(stream: ServerHttp2Stream, head: string[], options: Parameters<Respond>[1]): void {
  ;(stream as unknown as { respond: Respond }).respond(head, options)
}
