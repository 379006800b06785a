import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { SkerryError } from '@skerry/contracts'
import { tellToGoOn } from '@skerry/service'
import type { Dispatcher } from 'undici'
import { limitedAddress } from '../../door/address.ts'
import type { Incoming } from '../../door/visit.ts'
import type { GatewayRequest } from '../../listen/http1-request.ts'
import type { GatewayHttp2Request } from '../../listen/http2-request.ts'
import { GatewayHttp2Response } from '../../listen/http2-response.ts'
import type { Call } from '../../upstreams/call.ts'
import { CallerGoneError } from '../../upstreams/errors.ts'
import type { BalancedRequest } from '../../upstreams/types.ts'
import { Timer } from '../../upstreams/wheel.ts'
import { asProblem } from '../as-problem.ts'
import { BodyBrokenOffError, mayHaveBody } from '../body.ts'
import { dropRest } from '../drop-rest.ts'
import { endStream } from '../end-stream.ts'
import { endThen, tagsEndedBy } from '../ended-answers.ts'
import type { Carrier, Exchange } from '../exchange.ts'
import { type HeldAnswer, holdUntilEnded } from '../held-answer.ts'
import { leftOf, SAFE, upstreamRequest } from '../upstream-request.ts'
import { copyOf, giveBack } from './buffers.ts'
import { RequestSource } from './request-source.ts'
import { announcedTrailers, answerTrailers, takesTrailers } from './trailers.ts'

/** For so long a service is given the word on a body that its client awaits, ms: some never say it (RFC 9110, 10.1.1). */
const WORD_MS = 1_000
/** Bytes of an answer that may wait for its client, and parts of it: each costs some hundred bytes more. */
const HIGH = 65_536
const MOST_PARTS = 64

/** Sends a request of a route whose bodies are streams to its service, and the answer to its client. */
export function passBodies(exchange: Exchange): void {
  // Its body may have been refused meanwhile, for want of memory.
  if (!exchange.isGone && !exchange.res.headersSent) new StreamedExchange(exchange).start()
}

/**
 * One request and its answer whose bodies pass through, each as fast as it is taken at the other end (docs/gateway-bodies.md). Whatever ends one
 * side in disorder ends the other so: a part never looks like the whole.
 */
class StreamedExchange implements Dispatcher.DispatchHandler, Carrier {
  readonly isStreaming = false
  private readonly exchange: Exchange
  private readonly source: RequestSource | undefined
  private call: Call | undefined
  private controller: Dispatcher.DispatchController | undefined
  /** It left for its service, which may have done it. */
  private sent = false
  private held: HeldAnswer | undefined
  private trails = false
  private leavePlace: (() => void) | undefined
  /** Looks at the pace of the client and of the service. */
  private readonly pace: Timer
  private lookedAt = 0
  private takenBefore = 0
  /** Parts of the answer that were not written yet. */
  private waiting = 0

  constructor(exchange: Exchange) {
    const { req, res } = exchange
    this.exchange = exchange
    this.pace = new Timer(() => exchange.guarded(() => this.look()))
    if (hasBody(req))
      this.source = new RequestSource(req, res, this.limit, (error) => exchange.guarded(() => this.bodyFailed(error)))
    exchange.carrier = this
  }

  private get limit(): number {
    const { deps, visit } = this.exchange
    return visit.route!.streamed!.limit ?? deps.bodyLimit
  }

  start(): void {
    const { source } = this
    const { deps, visit, req, res } = this.exchange
    const { places, countsAddress, onBound } = deps.streamed
    res.on('drain', () => this.controller?.resume())
    if (source?.length !== undefined && source.length > this.limit) {
      this.refuse(new SkerryError('BODY_TOO_LARGE'))
      return
    }
    const address = limitedAddress(visit.address)
    const place = places.take(visit.caller?.userId ?? (countsAddress(visit.address) ? address : undefined))
    if (typeof place === 'string') {
      onBound(place, visit.address)
      const detail = 'There are too many streamed requests now.'
      this.refuse(new SkerryError('UNAVAILABLE', { detail, retryAfter: 1 }))
      return
    }
    this.leavePlace = place
    ;(req as GatewayRequest).passes = true
    if (source === undefined) tellToGoOn(req, res)
    else this.startPace(source)
    this.send()
  }

  private send(): void {
    const { exchange } = this
    exchange.sentAt = performance.now()
    const request = this.request(exchange.sentAt)
    if (request.timeoutMs <= 0) {
      this.refuse(new SkerryError('TIMEOUT'))
      return
    }
    // It may be over before this returns.
    this.call = exchange.deps.balancer.call(request, this)
    this.controller ??= this.call
    if (exchange.isGone) this.controller?.abort(new CallerGoneError())
  }

  private request(now: number): BalancedRequest {
    const { source } = this
    const { deps, visit, version } = this.exchange
    const { silenceMs } = deps
    const { headers } = visit.raw
    // The time for an answer begins with the end of the body, which the client's own deadline knows nothing of.
    const asked = source === undefined ? headers['x-skerry-deadline'] : undefined
    const timeoutMs = leftOf(asked, visit.route!.timeoutMs, now - visit.startedAt)
    const base = upstreamRequest(
      visit,
      { headers, body: null, timeoutMs, version },
      { silenceMs, streamSilenceMs: silenceMs }
    )
    const te = takesTrailers(headers.te) ? ['te', 'trailers', 'connection', 'te'] : []
    return {
      ...base,
      headers: [...base.headers, ...te],
      body: source ?? null,
      // On connections of their own: those of requests are not held at a client's pace.
      stream: true,
      hedgeable: false,
      latencies: undefined
    }
  }

  // The body.

  private startPace(source: RequestSource): void {
    const { balancer, silenceMs, streamed } = this.exchange.deps
    const every =
      source.awaitsWord && source.wantedSince === undefined ? WORD_MS : Math.min(streamed.periodMs, silenceMs) / 2
    balancer.wheel.start(this.pace, performance.now() + every)
  }

  private look(): void {
    const { source, exchange, controller } = this
    if (source === undefined || source.isOver || exchange.isGone) return
    const { silenceMs, streamed } = exchange.deps
    const now = performance.now()
    const { blockedSince, wantedSince, taken } = source
    if (wantedSince === undefined) source.go()
    else if (blockedSince !== undefined) {
      // A service that cannot go on with its answer need not take more: the client that takes nothing of that has bounds of its own.
      if (now - blockedSince >= silenceMs && !(exchange.isAnswered && controller?.paused === true)) {
        this.call?.late(now)
        return
      }
      // It is not the client that keeps the other waiting.
      this.lookedAt = now
      this.takenBefore = taken
    } else {
      this.lookedAt ||= wantedSince
      if (now - this.lookedAt >= streamed.periodMs) {
        if (taken - this.takenBefore < streamed.periodBytes) {
          this.bodyFailed(new SkerryError('REQUEST_TIMEOUT', { headers: { connection: 'close' } }))
          return
        }
        this.lookedAt = now
        this.takenBefore = taken
      }
    }
    this.startPace(source)
  }

  /** It will not become whole: its service must not take it for that. */
  private bodyFailed(error: Error): void {
    this.abort()
    const { exchange } = this
    if (error instanceof BodyBrokenOffError || exchange.isAnswered) exchange.res.destroy()
    else this.refuse(error)
  }

  private abort(): void {
    this.source?.stop()
    this.controller?.abort(new CallerGoneError())
  }

  // The answer.

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
    this.sent = true
    if (this.exchange.isGone) controller.abort(new CallerGoneError())
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, came: IncomingHttpHeaders): void {
    this.controller = controller
    this.exchange.headAt = performance.now()
    // It does not want the rest.
    if (status >= 400) this.source?.stop()
    const tags = status < 400 || status >= 500 ? tagsEndedBy(this.exchange.visit) : undefined
    if (this.exchange.isGone) {
      controller.abort(new CallerGoneError())
      endThen(this.exchange, tags, () => undefined)
      return
    }
    if (tags === undefined) this.head(status, came)
    else
      this.held = holdUntilEnded(this.exchange, tags, controller, () => {
        this.held = undefined
        return this.head(status, came) ? this : undefined
      })
  }

  /** Writes the head of the answer; false where its client has another one already. */
  private head(status: number, came: IncomingHttpHeaders): boolean {
    const { exchange } = this
    const { deps, visit, req, res } = exchange
    if (this.isAnswered()) {
      this.abort()
      return false
    }
    exchange.isAnswered = true
    const ours = deps.heads.ours(visit, exchange.timing(came['server-timing']))
    if (status >= 400 && !this.isWhole() && req.httpVersionMajor < 2) ours.connection = 'close'
    if (mayTrail(visit.raw, status) && came['content-length'] === undefined) {
      this.trails = true
      const names = announcedTrailers(came.trailer, 'answer')
      if (names !== undefined) ours.trailer = names
      if (res instanceof GatewayHttp2Response) res.trails = true
    }
    const { list, common } = deps.heads.ofService(came, ours)
    deps.heads.write(res, visit, status, list, common)
    // What follows may be a while coming.
    res.flushHeaders()
    // Its client may be at sending still, and would not read while nobody reads.
    if (status >= 400 && !this.isWhole()) req.resume()
    return true
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const { isGone, isAnswered, res } = this.exchange
    if (isGone || !(isAnswered || this.held !== undefined)) return
    if (this.held !== undefined) {
      this.held.parts.push(Buffer.from(chunk))
      return
    }
    const part = copyOf(chunk)
    this.waiting++
    res.write(part, (error) => {
      if (error === null || error === undefined) giveBack(part)
      // Few bytes in many parts fill nothing that would say that it is empty again.
      if (--this.waiting === 0) this.controller?.resume()
    })
    // What the kernel has taken at once is not waited for.
    if (res.writableLength >= HIGH || (this.waiting >= MOST_PARTS && res.writableLength > 0)) controller.pause()
  }

  onResponseEnd(_controller: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    if (this.held !== undefined) {
      this.held.ended = trailers
      return
    }
    const { req, res, isGone, isAnswered } = this.exchange
    if (isGone || !isAnswered) return
    if (this.trails) res.addTrailers(answerTrailers(trailers))
    this.source?.stop()
    if (this.isWhole()) res.end()
    else if (req.httpVersionMajor >= 2) res.end(() => endStream(req))
    else dropRest(req, () => res.end(() => this.isWhole() || req.socket.destroySoon()))
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.source?.stop()
    if (this.held !== undefined) {
      this.held.error = error
      return
    }
    const { exchange } = this
    if (exchange.isAnswered) {
      if (!exchange.isGone) exchange.res.destroy()
      return
    }
    endThen(exchange, this.sent ? tagsEndedBy(exchange.visit) : undefined, () => this.refuse(asProblem(error)))
  }

  /** It has an answer, which may be that there was no memory for its body. */
  private isAnswered(): boolean {
    return this.exchange.isAnswered || this.exchange.res.headersSent
  }

  private isWhole(): boolean {
    return this.source === undefined || this.source.endedAt !== undefined || this.exchange.req.complete
  }

  private refuse(error: unknown): void {
    const { exchange } = this
    this.source?.stop()
    if (this.isAnswered()) return
    exchange.refuse(error)
    // What is left of a body is dropped, within the bounds of all that is refused.
    exchange.req.resume()
  }

  closed(early: boolean): void {
    const { deps, headAt, visit } = this.exchange
    this.leavePlace?.()
    this.source?.stop()
    deps.balancer.wheel.stop(this.pace)
    // Its service has all of it and may do the write, so its answer is awaited, within its deadline: then the old answers end.
    const given = this.source === undefined || this.source.endedAt !== undefined
    if (early && given && this.sent && headAt === 0 && tagsEndedBy(visit) !== undefined) return
    // Also where its client has an answer that is not its service's; what has ended takes no notice.
    this.controller?.abort(new CallerGoneError())
  }
}

/** Whether trailers can follow an answer: its client takes them, and it has a body, which HTTP/1.0 does not frame. Node throws for others. */
function mayTrail({ headers, httpVersionMajor, httpVersionMinor, method }: Incoming, status: number): boolean {
  if (method === 'HEAD' || status === 204 || status === 304 || (httpVersionMajor === 1 && httpVersionMinor === 0))
    return false
  return takesTrailers(headers.te)
}

function hasBody(req: IncomingMessage): boolean {
  // Over HTTP/2 nothing says at first that there is one: as on other routes it goes nowhere. A server could take it for another request.
  if (SAFE.has(req.method ?? '')) return false
  if (req.httpVersionMajor >= 2) return !(req as unknown as GatewayHttp2Request).stream.endAfterHeaders
  return mayHaveBody(req)
}
