import { Duplex } from 'node:stream'

/** A connection whose other end is a script. */
export class Scripted extends Duplex {
  /** Called when the other side has written for the first time. */
  onWrite: (() => void) | undefined
  override _read(): void {}
  override _write(_chunk: unknown, _encoding: unknown, done: () => void): void {
    this.onWrite?.()
    this.onWrite = undefined
    done()
  }
  // What servers and clients ask of a socket.
  setTimeout(): this {
    return this
  }
  setNoDelay(): this {
    return this
  }
  setKeepAlive(): this {
    return this
  }
  ref(): this {
    return this
  }
  unref(): this {
    return this
  }
}
