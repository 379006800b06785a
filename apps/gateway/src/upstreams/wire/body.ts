import type { Socket } from 'node:net'
import { Readable } from 'node:stream'

/** The body of a request that is sent as it comes from its sender. */
export type BodySource = {
  /** Bytes; undefined: nobody knows, and it is sent in chunks. */
  readonly length: number | undefined
  /** Its sender waits for a word (`Expect: 100-continue`) before it sends anything. */
  readonly awaitsWord: boolean
  /** Names of the trailers that its sender has announced, as `trailer` says them. */
  readonly announced: string | undefined
  /** Something of it was taken from its sender, so it cannot be sent a second time. */
  readonly begun: boolean
  /** When all of it had been taken, `performance.now()`; undefined before. */
  readonly endedAt: number | undefined
  /** When it was over, whole or not; undefined before. */
  readonly overAt: number | undefined
  /** Where it goes from now on. It begins at once, or where its sender awaits a word, with `go`. */
  attach(sink: BodySink): void
  /** The receiver wants it. */
  go(): void
  /** The sink takes more again. */
  drained(): void
  /** The sink takes no more of it. */
  detach(sink: BodySink): void
}

/** Where a body goes. */
export type BodySink = {
  /** Takes a part. False: no more until `drained`. `done` tells when the part's memory is not needed here any more. */
  write(part: Buffer, done: (written: boolean) => void): boolean
  /** The body is whole. Trailers as name, value, name, value; they go only behind chunks. */
  end(trailers: readonly string[]): void
}

export function isSource(body: Buffer | BodySource | null): body is BodySource {
  return body !== null && !(body instanceof Uint8Array)
}

/** Bytes that may wait for the kernel to take them. */
const HIGH = 65_536

/** The lines of a request's head that say how a body of that source is delimited. */
export function framingOf(source: BodySource): string[] {
  const lines = source.length === undefined ? ['transfer-encoding: chunked'] : [`content-length: ${source.length}`]
  if (source.awaitsWord) lines.push('expect: 100-continue')
  if (source.length === undefined && source.announced !== undefined) lines.push(`trailer: ${source.announced}`)
  return lines
}

/** Writes the body of one request to its connection. */
export class BodyWriter implements BodySink {
  /** All of it was written. */
  ended = false
  readonly source: BodySource
  private readonly socket: Socket
  private readonly onDrain = () => this.source.drained()

  constructor(socket: Socket, source: BodySource) {
    this.socket = socket
    this.source = source
    socket.on('drain', this.onDrain)
  }

  write(part: Buffer, done: (written: boolean) => void): boolean {
    const { socket } = this
    const written = (error?: Error | null) => done(error === null || error === undefined)
    if (this.source.length !== undefined) socket.write(part, written)
    else {
      socket.cork()
      socket.write(`${part.length.toString(16)}\r\n`, 'latin1')
      socket.write(part, written)
      socket.write('\r\n', 'latin1')
      socket.uncork()
    }
    // What the kernel has taken at once is written, whatever `write` has said.
    return socket.writableLength < HIGH
  }

  end(trailers: readonly string[]): void {
    this.ended = true
    if (this.source.length !== undefined) return
    let text = '0\r\n'
    for (let i = 0; i < trailers.length; i += 2) text += `${trailers[i]}: ${trailers[i + 1]}\r\n`
    this.socket.write(`${text}\r\n`, 'latin1')
  }

  /** The connection takes no more of this request. */
  stop(): void {
    this.socket.off('drain', this.onDrain)
    this.source.detach(this)
  }
}

/** The same for undici, which is used where TLS is spoken: it knows of no expectation, so its sender is told to go on at once, and of no trailers. */
export function readableOf(source: BodySource): Readable {
  const body = new Readable({
    read: () => source.drained(),
    destroy(error, done) {
      source.detach(sink)
      done(error)
    }
  })
  const sink: BodySink = {
    write(part, done) {
      const more = body.push(part)
      // It is undici's for as long as it likes.
      done(false)
      return more
    },
    end: () => void body.push(null)
  }
  body.once('resume', () => {
    source.attach(sink)
    source.go()
  })
  return body
}
