import { connect, type Socket } from 'node:net'
import type { Dispatcher } from 'undici'
import { type HeadPart, hasLines } from '../../head-lines.ts'
import { type BodySource, BodyWriter, framingOf, isSource } from './body.ts'
import { ChunkReader } from './chunks.ts'
import { CHUNKED, type Familiar, type Head, ProtocolError, parseHead, UNTIL_CLOSE } from './head.ts'
import { headEnd } from './head-end.ts'

/** A request as it goes over the wire. */
export type WireRequest = {
  method: string
  path: string
  /** Said beside `headers`; it was looked at when it was made. */
  common?: HeadPart | undefined
  /** Name, value, name, value; without `host`. They must have been checked: they are written as they are. */
  headers: readonly string[]
  /** How long its sender waits, ms, which it is told as a header. */
  deadlineMs?: number | undefined
  body: Buffer | BodySource | null
}

/** The header that says `deadlineMs`. */
export const DEADLINE = 'x-skerry-deadline'

/** A request that has no connection yet, or one that is looked at first. */
export type Waiting = { request: WireRequest; handler: Dispatcher.DispatchHandler }

/** Who owns a connection: is told when it is free for another request, and when it is gone. */
export type ConnectionOwner = {
  /** Value of the `host` header. */
  readonly host: string
  /** What heads from there are like. */
  readonly familiar: Familiar
  /** How long an unused connection is kept, ms. */
  readonly idleMs: number
  free(connection: Connection): void
  /** What had come on a reserved connection was read: it may be used, if it is still open. `now` is `performance.now()`. */
  looked(connection: Connection, now: number): void
  gone(connection: Connection, error: Error | undefined): void
}

/** All connections read into the same memory: what a read brings is dealt with before the next read of any of them. */
const INPUT = Buffer.allocUnsafeSlow(64 * 1024)
const LONGEST_HEAD = 64 * 1024
const HEAD_END_BYTES = 4
/** Interim answers (1xx) before one answer. */
const MOST_INTERIM = 32
/** A connection is given up so long before its instance would: a request must not meet its end. */
const BEFORE_ITS_END_MS = 1_000
/** What is thrown away of an answer nobody wants, before closing the connection costs less. */
const DISCARD_UP_TO = 64 * 1024
/** Bodies up to this size go out with their head in one write. */
const ONE_WRITE = 16 * 1024

/** A request that would have been more than one on the wire. */
export class BadRequestHeadError extends Error {
  constructor() {
    super('a request head with line ends or characters that do not belong there')
    this.name = 'BadRequestHeadError'
  }
}

/** What closed before its answer was whole. `code` is that of Node's own error for it. */
export class ClosedError extends Error {
  readonly code = 'ECONNRESET'

  constructor() {
    super('the instance closed the connection before its answer was whole')
    this.name = 'ClosedError'
  }
}

/**
 * A kept connection to one instance over plain HTTP/1.1, one request at a time. It is here because undici's client takes about 40 % of a
 * proxied request's CPU (docs/gateway-design.md has the figures); it speaks only what a gateway needs: no pipelining, no upgrades. Bodies are
 * there as a whole, or come from a source that is told to wait (docs/gateway-bodies.md). It calls a handler of undici's `Dispatcher`, with one
 * difference: a part given to `onResponseData` is only good until the call returns.
 */
export class Connection implements Dispatcher.DispatchController {
  readonly aborted = false
  readonly reason = null
  paused = false
  /** When it became free, `performance.now()`. */
  freeSince = 0
  /** How long it may then be unused, ms: its instance may say less than its owner. */
  idleMs = 0
  /** A request that it takes once it was looked at. */
  reserved: Waiting | undefined
  readonly owner: ConnectionOwner
  private readonly socket: Socket
  private handler: Dispatcher.DispatchHandler | undefined
  /** Of a body that is sent as it comes. */
  private writer: BodyWriter | undefined
  private method = 'GET'
  private head: Head | undefined
  private interim = 0
  /** Of a head that did not come in one read. */
  private early: Buffer | undefined
  private missing = 0
  private chunks: ChunkReader | undefined
  private discarding = false
  private discarded = 0
  /** Since when the rest of an answer is thrown away; 0 while none is. */
  discardingSince = 0
  private closed = false
  /** Where what was in chunks is in the memory that is read into. */
  private gatheredFrom = -1
  private gatheredTo = -1
  private readonly gather = (part: Buffer) => {
    const at = part.byteOffset - INPUT.byteOffset
    if (this.gatheredFrom === -1) {
      this.gatheredFrom = at
      this.gatheredTo = at
    } else if (at !== this.gatheredTo) INPUT.copyWithin(this.gatheredTo, at, at + part.length)
    this.gatheredTo += part.length
  }

  constructor(owner: ConnectionOwner, host: string, port: number, onConnect: (connection: Connection) => void) {
    this.owner = owner
    this.socket = connect({
      host,
      port,
      noDelay: true,
      onread: { buffer: INPUT, callback: (bytes, buffer) => this.read(bytes, buffer as Buffer) }
    })
    this.hearOut()
    this.socket.once('connect', () => onConnect(this))
    this.socket.once('end', () => this.ended())
    // For as long as it lives: an error that nobody hears ends the process.
    this.socket.on('error', (error) => this.close(error))
    this.socket.once('close', () => this.close(new ClosedError()))
  }

  /** Sends a request on a free connection. */
  send(request: WireRequest, handler: Dispatcher.DispatchHandler): void {
    this.handler = handler
    this.method = request.method
    this.head = undefined
    this.interim = 0
    this.chunks = undefined
    this.discarding = false
    this.discardingSince = 0
    if (this.paused) this.resume()
    const { common, headers, deadlineMs, body } = request
    let text = `${request.method} ${request.path} HTTP/1.1\r\nhost: ${this.owner.host}\r\n`
    for (let i = 0; i < headers.length; i += 2) text += `${headers[i]}: ${headers[i + 1]}\r\n`
    let lines = headers.length / 2 + 2
    if (deadlineMs !== undefined) {
      text += `${DEADLINE}: ${deadlineMs}\r\n`
      lines++
    }
    if (isSource(body)) {
      for (const line of framingOf(body)) {
        text += `${line}\r\n`
        lines++
      }
    }
    if (!hasLines(text, lines)) {
      // Whoever made it has not checked it; nothing of it is sent.
      this.handler = undefined
      this.owner.free(this)
      handler.onResponseError?.(this, new BadRequestHeadError())
      return
    }
    text += common === undefined ? '\r\n' : `${common.text}\r\n`
    handler.onRequestStart?.(this, undefined)
    if (this.closed || this.handler !== handler) return
    if (isSource(body)) {
      this.socket.write(text, 'latin1')
      this.writer = new BodyWriter(this.socket, body)
      body.attach(this.writer)
    } else if (body === null || body.length === 0) this.socket.write(text, 'latin1')
    else if (body.length <= ONE_WRITE) this.socket.write(text + body.toString('latin1'), 'latin1')
    else {
      this.socket.cork()
      this.socket.write(text, 'latin1')
      this.socket.write(body)
      this.socket.uncork()
    }
  }

  get isClosed(): boolean {
    return this.closed
  }

  /** Ends the request: its answer is not wanted any more. The handler is told with `error`. */
  abort(error: Error): void {
    this.close(error)
  }

  /** The rest of the answer is not wanted, and the handler is called no more; the connection is kept if the rest is short. */
  discard(): void {
    this.handler = undefined
    this.discarding = true
    this.discarded = 0
    this.discardingSince = performance.now()
    const unsent = this.writer !== undefined && !this.writer.ended
    if (unsent || this.missing > DISCARD_UP_TO || this.head?.length === UNTIL_CLOSE) this.close(undefined)
    else if (this.paused) this.resume()
  }

  pause(): void {
    if (this.paused) return
    this.paused = true
    this.socket.pause()
  }

  resume(): void {
    if (!this.paused) return
    this.paused = false
    this.socket.resume()
  }

  /** Closes it at once; a request under way fails with `error`. */
  close(error: Error | undefined): void {
    if (this.closed) return
    this.closed = true
    this.socket.destroy()
    this.stopWriting()
    const { handler } = this
    this.handler = undefined
    this.owner.gone(this, error)
    if (handler !== undefined) handler.onResponseError?.(this, error ?? new ClosedError())
  }

  /**
   * An instance that refuses an upload may answer and close at once. Then a write fails, perhaps before what it said was read; Node would close the
   * socket, and the answer be lost. All that it has said is in the kernel by then: it is read first, which takes a turn of the event loop.
   */
  private hearOut(): void {
    const { socket } = this
    const destroy = socket.destroy.bind(socket)
    let failed = false
    socket.destroy = (error?: NodeJS.ErrnoException) => {
      if (this.writer === undefined || this.closed || error?.syscall !== 'write') return destroy(error)
      if (failed) return socket
      failed = true
      this.writer.stop()
      // The first may come before the next look for what can be read. An answer that waits for its client has its own bound.
      setImmediate(() => setImmediate(() => this.paused || destroy(error)))
      return socket
    }
  }

  /** Answers whether all of the request's body was sent. */
  private stopWriting(): boolean {
    const { writer } = this
    this.writer = undefined
    writer?.stop()
    return writer === undefined || writer.ended
  }

  /** Answers false to stop reading. */
  private read(bytes: number, buffer: Buffer): boolean {
    if (this.closed) return false
    try {
      this.take(buffer, bytes)
    } catch (error) {
      this.close(error as Error)
    }
    return !this.closed && !this.paused
  }

  private take(buffer: Buffer, bytes: number): void {
    if (this.handler === undefined && !this.discarding) throw new ProtocolError('an answer that nobody asked for')
    let at = 0
    while (this.head === undefined) {
      at = this.takeHead(buffer, at, bytes)
      if (at === -1) return
    }
    if (this.closed) return
    if (this.chunks !== undefined) {
      at = this.takeChunks(buffer, at, bytes, this.chunks)
      if (this.closed) return
      if (this.chunks.done) this.finish(at < bytes)
    } else if (this.missing === UNTIL_CLOSE) {
      if (at < bytes) this.data(buffer.subarray(at, bytes))
    } else {
      const end = Math.min(bytes, at + this.missing)
      if (end > at) {
        this.missing -= end - at
        this.data(buffer.subarray(at, end))
        if (this.closed) return
      }
      if (this.missing === 0) this.finish(end < bytes)
    }
  }

  /**
   * Reads chunks, and gives what is in all of them as one part: an instance that sends a byte a chunk must not cost more than its bytes. They
   * are moved together where they are, over what was read already.
   */
  private takeChunks(buffer: Buffer, from: number, to: number, chunks: ChunkReader): number {
    this.gatheredFrom = -1
    const at = chunks.read(buffer, from, to, this.gather)
    if (this.gatheredFrom !== -1) this.data(buffer.subarray(this.gatheredFrom, this.gatheredTo))
    return at
  }

  /** Reads one head, which may be an interim one (1xx). Answers where it ended, -1 when more has to come. */
  private takeHead(buffer: Buffer, from: number, to: number): number {
    let input = buffer
    let start = from
    let limit = to
    if (this.early !== undefined) {
      input = Buffer.concat([this.early, buffer.subarray(from, to)])
      start = 0
      limit = input.length
    }
    const end = headEnd(input, start, limit)
    const length = end === -1 ? -1 : end - start
    if ((length === -1 ? limit - start : length) > LONGEST_HEAD) throw new ProtocolError('a head without end')
    if (length === -1) {
      this.early = Buffer.from(input.subarray(start, limit))
      return -1
    }
    const early = this.early?.length ?? 0
    this.early = undefined
    // No more than the head: its values keep the whole text in memory.
    const head = parseHead(input.toString('latin1', start, end), this.method, this.owner.familiar)
    const next = from + length + HEAD_END_BYTES - early
    if (head.status === 101) throw new ProtocolError('an upgrade that nobody asked for')
    if (head.status < 200) {
      if (++this.interim > MOST_INTERIM) throw new ProtocolError('interim answers without end')
      if (head.status === 100) this.writer?.source.go()
      return next
    }
    this.head = head
    this.missing = head.length
    if (head.length === CHUNKED) this.chunks = new ChunkReader()
    this.handler?.onResponseStart?.(this, head.status, head.headers, '')
    return next
  }

  private data(part: Buffer): void {
    if (this.handler !== undefined) this.handler.onResponseData?.(this, part)
    else {
      this.discarded += part.length
      if (this.discarded > DISCARD_UP_TO) this.close(undefined)
    }
  }

  /** The answer is whole. `more`: something follows that nobody asked for. */
  private finish(more: boolean): void {
    const { handler, head, chunks } = this
    const whole = this.stopWriting()
    this.handler = undefined
    this.discarding = false
    this.discardingSince = 0
    // What is still to be written belongs to a request that was answered early: the rest of it would poison the next one.
    const idleMs = Math.min(this.owner.idleMs, (head?.keptMs ?? 0) - BEFORE_ITS_END_MS)
    const reusable =
      whole &&
      !more &&
      head?.keepAlive === true &&
      idleMs > 0 &&
      this.socket.writableLength === 0 &&
      this.socket.writable
    if (reusable && !this.closed) {
      if (this.paused) this.resume()
      this.idleMs = idleMs
      this.freeSince = performance.now()
      this.owner.free(this)
    } else {
      // Nothing is on its way that anybody wants, and a reset leaves no port behind that waits for a minute.
      if (head?.length === 0 && this.socket.writableLength === 0) this.socket.resetAndDestroy()
      this.close(undefined)
    }
    handler?.onResponseEnd?.(this, chunks?.trailers() ?? {})
  }

  private ended(): void {
    if (this.head !== undefined && this.missing === UNTIL_CLOSE && (this.handler !== undefined || this.discarding))
      this.finish(false)
    else this.close(new ClosedError())
  }
}
