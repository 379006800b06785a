import { EventEmitter } from 'node:events'
import type { Socket } from 'node:net'
import { headText } from '../../head/head-text.ts'
import type { PairsWriter, WholeWriter } from '../../head/http1-response.ts'
import type { HeadPart } from '../../head-lines.ts'
import type { PlainRequest } from './plain-request.ts'

type Written = (error?: Error | null) => void
type Part = string | Uint8Array

/** Whose connection it is. */
export type ResponseOwner = {
  readonly socket: Socket
  readonly keepAliveMs: number
  /** Its answer is given, and with it the connection where `closes`. */
  answered(closes: boolean): void
}

type Listener = Parameters<EventEmitter['on']>[1]

/** Where whole answers are put together, one after the other: another one is made where the kernel does not take all of one at once. */
let output = Buffer.allocUnsafeSlow(64 * 1024)

/**
 * The answer to a plain request, as a handler of Node's responses knows it: what the gateway uses of them, written to the connection without
 * anything in between. Its end is told as soon as the kernel has all of it, within `end`.
 */
export class PlainResponse implements PairsWriter, WholeWriter {
  readonly req: PlainRequest
  statusCode = 200
  headersSent = false
  writableEnded = false
  /** The kernel has all of it. */
  writableFinished = false
  destroyed = false
  closed = false
  private readonly owner: ResponseOwner
  /** What of the head is still to be written. */
  private head = ''
  private hasBody = false
  private chunked = false
  private closes = false
  /** Who hears its end: for most answers nobody else hears anything, and an emitter would cost as much as the routing of a request. */
  private whenClosed: (() => void) | undefined
  private emitter: EventEmitter | undefined

  constructor(owner: ResponseOwner, req: PlainRequest) {
    this.owner = owner
    this.req = req
  }

  get socket(): Socket | null {
    return this.closed ? null : this.owner.socket
  }
  get writableLength(): number {
    return this.closed ? 0 : this.owner.socket.writableLength + this.head.length
  }
  get writableNeedDrain(): boolean {
    return !this.closed && this.owner.socket.writableNeedDrain
  }

  writePairs(status: number, pairs: readonly string[], common: HeadPart): void {
    if (this.headersSent) throw new Error('the head of this answer was written before')
    const hasBody = this.req.method !== 'HEAD' && status !== 204 && status !== 304
    const head = headText(status, common, pairs, this.owner.keepAliveMs, hasBody)
    if (head === undefined) throw new TypeError('a head that says how its connection is used')
    this.statusCode = status
    this.headersSent = true
    this.head = head.text
    this.hasBody = hasBody
    this.chunked = head.chunked
    this.closes = head.closes
  }

  flushHeaders(): void {
    if (this.head === '' || this.destroyed) return
    this.owner.socket.write(this.head, 'latin1')
    this.head = ''
  }

  write(part: Part, encoding?: BufferEncoding | Written, written?: Written): boolean {
    const done = typeof encoding === 'function' ? encoding : written
    if (this.destroyed || this.writableEnded || !this.headersSent) {
      if (!this.destroyed) throw new Error('a body before its head or behind its end')
      if (done !== undefined) process.nextTick(done, new Error('the connection is closed'))
      return false
    }
    const { socket } = this.owner
    const bytes = bytesOf(part, typeof encoding === 'string' ? encoding : 'utf8')
    if (!this.hasBody || bytes.length === 0) {
      this.flushHeaders()
      if (done !== undefined) process.nextTick(done)
      return true
    }
    socket.cork()
    const before = this.chunked ? `${this.head}${bytes.length.toString(16)}\r\n` : this.head
    this.head = ''
    if (before !== '') socket.write(before, 'latin1')
    const more = socket.write(bytes, done)
    if (this.chunked) socket.write('\r\n', 'latin1')
    socket.uncork()
    return more
  }

  end(part?: Part | Written, encoding?: BufferEncoding | Written, written?: Written): this {
    if (this.destroyed || this.writableEnded) return this
    if (!this.headersSent) throw new Error('an answer without a head')
    if (typeof part === 'function') this.once('finish', part)
    else if (typeof encoding === 'function') this.once('finish', encoding)
    else if (written !== undefined) this.once('finish', written)
    const { socket } = this.owner
    if (typeof part === 'string' && this.hasBody && !this.chunked) {
      // Head, body and end in one write.
      const text = encoding === 'latin1' ? part : bytesOf(part, encoding as BufferEncoding).toString('latin1')
      socket.write(this.head + text, 'latin1')
      this.head = ''
    } else {
      if (part !== undefined && typeof part !== 'function') this.write(part, encoding as BufferEncoding)
      const rest = this.chunked ? `${this.head}0\r\n\r\n` : this.head
      this.head = ''
      if (rest !== '') socket.write(rest, 'latin1')
    }
    this.wait()
    return this
  }

  /** As bytes: text would be joined, copied and written in three steps. */
  endWhole(body: Uint8Array): void {
    if (this.destroyed || this.writableEnded) return
    const { head } = this
    const length = head.length + body.length
    if (!this.hasBody || this.chunked || head === '' || length > output.length) {
      this.end(Buffer.from(body))
      return
    }
    const { socket } = this.owner
    output.write(head, 'latin1')
    output.set(body, head.length)
    this.head = ''
    socket.write(output.subarray(0, length))
    if (socket.writableLength > 0) output = Buffer.allocUnsafeSlow(output.length)
    this.wait()
  }

  /** All of it is given: waits until the kernel has it. */
  private wait(): void {
    const { socket } = this.owner
    this.writableEnded = true
    if (!socket.writable) this.destroy()
    else if (socket.writableLength === 0) this.finish()
    // Behind all that waits; it is whole when this is.
    else socket.write('', 'latin1', (error) => (error ? undefined : this.finish()))
  }

  /** Breaks its connection off. */
  destroy(_error?: Error): this {
    if (this.destroyed) return this
    this.destroyed = true
    this.owner.socket.destroy()
    return this
  }

  /** The connection has closed before all of it was given. */
  gone(): void {
    this.destroyed = true
    this.close()
  }

  private finish(): void {
    if (this.closed || this.owner.socket.destroyed) return
    this.writableFinished = true
    this.owner.answered(this.closes)
    this.emit('finish')
    this.destroyed = true
    this.close()
  }

  private close(): void {
    if (this.closed) return
    this.closed = true
    const { whenClosed } = this
    this.whenClosed = undefined
    whenClosed?.()
    this.emitter?.emit('close')
  }

  // What of an emitter it is used as.

  /** As `once('close')` for the one whose answer it is, before all others. */
  onClosed(then: () => void): void {
    this.whenClosed = then
  }
  private get events(): EventEmitter {
    this.emitter ??= new EventEmitter()
    return this.emitter
  }
  on(name: string, listener: Listener): this {
    this.events.on(name, listener)
    return this
  }
  once(name: string, listener: Listener): this {
    this.events.once(name, listener)
    return this
  }
  off(name: string, listener: Listener): this {
    this.emitter?.off(name, listener)
    return this
  }
  removeListener(name: string, listener: Listener): this {
    return this.off(name, listener)
  }
  prependListener(name: string, listener: Listener): this {
    this.events.prependListener(name, listener)
    return this
  }
  listenerCount(name: string): number {
    return this.emitter?.listenerCount(name) ?? 0
  }
  emit(name: string, ...values: unknown[]): boolean {
    return this.emitter?.emit(name, ...values) ?? false
  }
}

function bytesOf(part: Part, encoding: BufferEncoding | undefined): Buffer {
  if (typeof part === 'string') return Buffer.from(part, encoding)
  return Buffer.isBuffer(part) ? part : Buffer.from(part.buffer, part.byteOffset, part.byteLength)
}
