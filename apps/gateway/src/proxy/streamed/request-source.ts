import type { IncomingMessage, ServerResponse } from 'node:http'
import { SkerryError } from '@skerry/contracts'
import { awaitsWord, tellToGoOn } from '@skerry/service'
import type { GatewayRequest } from '../../listen/http1-request.ts'
import type { BodySink, BodySource } from '../../upstreams/wire/body.ts'
import { BodyBrokenOffError } from '../body.ts'
import { free } from './buffers.ts'
import { SharedReads } from './shared-reads.ts'
import { announcedTrailers, requestTrailers } from './trailers.ts'

/** The body of a client's request, on its way to a service: it is read as fast as it is taken, and a part is freed when it is written. */
export class RequestSource implements BodySource {
  readonly length: number | undefined
  readonly awaitsWord: boolean
  readonly announced: string | undefined
  begun = false
  endedAt: number | undefined
  overAt: number | undefined
  /** Bytes that came. */
  taken = 0
  /** Since when the service takes nothing, `performance.now()`; undefined while it does. */
  blockedSince: number | undefined
  /** Since when the client has to send; undefined before. */
  wantedSince: number | undefined
  private readonly req: IncomingMessage
  private readonly res: ServerResponse
  private readonly limit: number
  private readonly onFailed: (error: Error) => void
  private sink: BodySink | undefined
  /** Over HTTP/2 parts share their memory. */
  private readonly reads: SharedReads | undefined

  /** @param onFailed is told once that the body will not become whole */
  constructor(req: IncomingMessage, res: ServerResponse, limit: number, onFailed: (error: Error) => void) {
    const told = req.headers['content-length']
    this.length = told === undefined ? undefined : Number(told)
    this.awaitsWord = awaitsWord(req)
    this.announced = announcedTrailers(req.headers.trailer, 'request')
    this.req = req
    if (req.httpVersionMajor >= 2) this.reads = new SharedReads()
    this.res = res
    this.limit = limit
    this.onFailed = onFailed
  }

  get isOver(): boolean {
    return this.overAt !== undefined
  }

  attach(sink: BodySink): void {
    this.sink = sink
    if (this.endedAt !== undefined) this.endSink()
    else if (this.wantedSince !== undefined) this.req.resume()
    else if (!this.awaitsWord) this.go()
  }

  go(): void {
    if (this.wantedSince !== undefined || this.isOver || this.sink === undefined) return
    this.wantedSince = performance.now()
    if (this.awaitsWord) tellToGoOn(this.req, this.res)
    this.req.on('data', this.onData).on('end', this.onEnd).on('close', this.onClose)
    if (this.req.destroyed) this.onClose()
  }

  drained(): void {
    if (this.blockedSince === undefined || this.isOver) return
    this.blockedSince = undefined
    this.req.resume()
  }

  detach(sink: BodySink): void {
    if (this.sink !== sink) return
    this.sink = undefined
    if (this.begun) this.stop()
    // A body of which nothing was taken may go elsewhere: what comes until then waits for the next sink, or it would be missing there.
    else if (this.wantedSince !== undefined) this.req.pause()
  }

  /** Takes no more of it; what still comes is somebody else's to read. */
  stop(): void {
    if (this.isOver) return
    this.overAt = performance.now()
    this.blockedSince = undefined
    this.req.off('data', this.onData).off('end', this.onEnd).off('close', this.onClose)
  }

  private fail(error: Error): void {
    if (this.isOver) return
    this.stop()
    this.onFailed(error)
  }

  private readonly onData = (part: Buffer) => {
    this.begun = true
    this.taken += part.length
    if (this.taken > this.limit) {
      this.fail(new SkerryError('BODY_TOO_LARGE'))
      return
    }
    // Parsers see to it; a length that was no longer true would be another request at the service.
    if (this.length !== undefined && this.taken > this.length) {
      this.fail(new SkerryError('BAD_REQUEST', { headers: { connection: 'close' } }))
      return
    }
    const { length } = part
    const isDone = this.reads?.take(part)
    const more = this.sink?.write(part, (written) => {
      ;(this.req as GatewayRequest).hold?.give(length)
      if (isDone !== undefined) isDone(written)
      else if (written) free(part)
    })
    if (more !== false) return
    this.blockedSince = performance.now()
    this.req.pause()
  }

  private readonly onEnd = () => {
    if (this.length !== undefined && this.taken !== this.length) {
      this.fail(new BodyBrokenOffError())
      return
    }
    this.begun = true
    this.endedAt = performance.now()
    this.stop()
    this.endSink()
  }

  private endSink(): void {
    this.sink?.end(this.length === undefined ? requestTrailers(this.req.rawTrailers) : [])
  }

  private readonly onClose = () => this.fail(new BodyBrokenOffError())
}
