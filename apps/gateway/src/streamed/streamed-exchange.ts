import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { constants } from 'node:http2'
import { SkerryError } from '@skerry/contracts'
import type { FaultLog } from '@skerry/service'
import type { Dispatcher } from 'undici'
import type { ResponseCache } from '../cache/response-cache.ts'
import { limitedAddress } from '../door/address.ts'
import type { Visit } from '../door/visit.ts'
import { tellToGoOn } from '../listen/expectation.ts'
import type { GatewayRequest } from '../listen/http1-request.ts'
import { writePairs } from '../listen/http1-response.ts'
import type { GatewayHttp2Request } from '../listen/http2-request.ts'
import { GatewayHttp2Response } from '../listen/http2-response.ts'
import type { GatewayMetrics } from '../metrics.ts'
import { asProblem } from '../proxy/as-problem.ts'
import { BodyBrokenOffError, mayHaveBody } from '../proxy/body.ts'
import { responseHeaders } from '../proxy/headers.ts'
import { ownHeaders, timingOf } from '../proxy/own-headers.ts'
import { recordAnswer } from '../proxy/record.ts'
import { type RefuseDeps, refuse } from '../proxy/refuse.ts'
import { leftOf, SAFE, upstreamRequest } from '../proxy/upstream-request.ts'
import type { Traffic } from '../traffic/traffic.ts'
import type { BalancedRequest, Balancer } from '../upstreams/balancer.ts'
import type { Call } from '../upstreams/call.ts'
import { CallerGoneError } from '../upstreams/errors.ts'
import { Timer } from '../upstreams/wheel.ts'
import { copyOf, giveBack } from './buffers.ts'
import { dropRest } from './drop-rest.ts'
import type { Places } from './places.ts'
import { RequestSource } from './request-source.ts'
import { announcedTrailers, answerTrailers, takesTrailers } from './trailers.ts'

export type StreamedDeps = RefuseDeps & {
  balancer: Balancer
  cache: Pick<ResponseCache, 'end'>
  metrics: GatewayMetrics
  traffic: Traffic | undefined
  onFault: FaultLog
  places: Places
  /** Whether an address is that of one client, which has a share of the places. */
  countsAddress(address: string): boolean
  /** Silence allowed in an answer, and to a service that takes nothing of a body, ms. */
  silenceMs: number
  /** In each period of so many ms a client has to send so many bytes. */
  periodMs: number
  periodBytes: number
}

/** For so long a service is given the word on a body that its client awaits, ms: some never say it (RFC 9110, 10.1.1). */
const WORD_MS = 1_000
/** Bytes of an answer that may wait for its client. */
const HIGH = 65_536

/** Takes requests of routes whose bodies are streams, behind the door. */
export function createStreamed(
  deps: StreamedDeps
): (visit: Visit, request: IncomingMessage, response: ServerResponse) => void {
  return (visit, request, response) => new StreamedExchange(deps, visit, request, response).start()
}

/**
 * One request and its answer whose bodies pass through, each as fast as it is taken at the other end (docs/gateway-bodies.md). Whatever ends one
 * side in disorder ends the other so: a part never looks like the whole.
 */
class StreamedExchange implements Dispatcher.DispatchHandler {
  private readonly deps: StreamedDeps
  private readonly visit: Visit
  private readonly req: IncomingMessage
  private readonly res: ServerResponse
  private readonly source: RequestSource | undefined
  private call: Call | undefined
  private controller: Dispatcher.DispatchController | undefined
  private dispatchedAt = 0
  private headAt = 0
  private answering = false
  private gone = false
  /** It left for its service, which may have done it. */
  private sent = false
  private held: HeldAnswer | undefined
  private trails = false
  private leavePlace: (() => void) | undefined
  /** Looks at the pace of the client and of the service. */
  private readonly pace: Timer
  private lookedAt = 0
  private takenBefore = 0

  constructor(deps: StreamedDeps, visit: Visit, req: IncomingMessage, res: ServerResponse) {
    this.deps = deps
    this.visit = visit
    this.req = req
    this.res = res
    this.pace = new Timer(() => this.guarded(() => this.look()))
    const limit = visit.route!.streamed!.limit ?? deps.bodyLimit
    if (hasBody(req))
      this.source = new RequestSource(req, res, limit, (error) => this.guarded(() => this.bodyFailed(error)))
  }

  start(): void {
    const { deps, visit, req, res, source } = this
    res.on('close', () => this.guarded(() => this.closed()))
    res.on('drain', () => this.controller?.resume())
    if (res.destroyed) {
      this.closed()
      return
    }
    if (source?.length !== undefined && source.length > (visit.route!.streamed!.limit ?? deps.bodyLimit)) {
      this.refuse(new SkerryError('BODY_TOO_LARGE'))
      return
    }
    const address = limitedAddress(visit.address)
    this.leavePlace = deps.places.take(
      visit.caller?.userId ?? (deps.countsAddress(visit.address) ? address : undefined)
    )
    if (this.leavePlace === undefined) {
      const detail = 'There are too many streamed requests now.'
      this.refuse(new SkerryError('UNAVAILABLE', { detail, retryAfter: 1 }))
      return
    }
    ;(req as GatewayRequest).passes = true
    if (source === undefined) tellToGoOn(req, res)
    else this.startPace(source)
    this.send()
  }

  private guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.deps.onFault('streamed', error)
      this.controller?.abort(new CallerGoneError())
      this.res.destroy()
    }
  }

  private send(): void {
    const { deps } = this
    this.dispatchedAt = performance.now()
    const request = this.request()
    if (request.timeoutMs <= 0) {
      this.refuse(new SkerryError('TIMEOUT'))
      return
    }
    // It may be over before this returns.
    this.call = deps.balancer.call(request, this)
    this.controller ??= this.call
    if (this.gone) this.controller?.abort(new CallerGoneError())
  }

  private request(): BalancedRequest {
    const { deps, visit, source } = this
    const { headers } = visit.raw
    const route = visit.route!
    const versions = deps.balancer.service(route.service)?.versions
    const version =
      deps.traffic === undefined || versions === undefined
        ? undefined
        : deps.traffic.choose(route.service, versions, headers, visit.caller?.userId)
    // The time for an answer begins with the end of the body, which the client's own deadline knows nothing of.
    const asked = source === undefined ? headers['x-skerry-deadline'] : undefined
    const timeoutMs = leftOf(asked, route.timeoutMs, this.dispatchedAt - visit.startedAt)
    const base = upstreamRequest(
      visit,
      { headers, body: null, timeoutMs, version },
      {
        silenceMs: deps.silenceMs,
        streamSilenceMs: deps.silenceMs
      }
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
    const { balancer, periodMs, silenceMs } = this.deps
    const every = source.awaitsWord && source.wantedSince === undefined ? WORD_MS : Math.min(periodMs, silenceMs) / 2
    balancer.wheel.start(this.pace, performance.now() + every)
  }

  private look(): void {
    const { source, deps } = this
    if (source === undefined || source.endedAt !== undefined || this.gone || this.answering) return
    const now = performance.now()
    const { blockedSince, wantedSince, taken } = source
    if (wantedSince === undefined) source.go()
    else if (blockedSince !== undefined) {
      if (now - blockedSince >= deps.silenceMs) {
        this.call?.late(now)
        return
      }
      // It is not the client that keeps the other waiting.
      this.lookedAt = now
      this.takenBefore = taken
    } else {
      this.lookedAt ||= wantedSince
      if (now - this.lookedAt >= deps.periodMs) {
        if (taken - this.takenBefore < deps.periodBytes) {
          this.abort()
          this.refuse(new SkerryError('REQUEST_TIMEOUT', { headers: { connection: 'close' } }))
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
    if (error instanceof BodyBrokenOffError || this.answering) this.res.destroy()
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
    if (this.gone) controller.abort(new CallerGoneError())
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, came: IncomingHttpHeaders): void {
    this.controller = controller
    this.headAt = performance.now()
    // It does not want the rest.
    if (status >= 400) this.source?.stop()
    const tags = status < 400 || status >= 500 ? this.tagsOfWrite() : undefined
    if (tags === undefined) {
      this.head(status, came)
      return
    }
    const held = new HeldAnswer()
    this.held = held
    controller.pause()
    this.endThen(tags, () => {
      this.held = undefined
      this.head(status, came)
      for (const part of held.parts) this.onResponseData(controller, part)
      if (held.ended !== undefined) this.onResponseEnd(controller, held.ended)
      else if (held.error !== undefined) this.onResponseError(controller, held.error)
      else controller.resume()
    })
  }

  private head(status: number, came: IncomingHttpHeaders): void {
    const { deps, visit, req, res } = this
    if (this.isAnswered()) {
      this.abort()
      return
    }
    this.answering = true
    const { startedAt } = visit
    const own = ownHeaders(deps, visit, timingOf(came['server-timing'], startedAt, this.dispatchedAt, this.headAt))
    if (status >= 400 && !this.isWhole() && req.httpVersionMajor < 2) own.connection = 'close'
    if (takesTrailers(visit.raw.headers.te) && came['content-length'] === undefined) {
      this.trails = true
      const names = announcedTrailers(came.trailer, 'answer')
      if (names !== undefined) own.trailer = names
      if (res instanceof GatewayHttp2Response) res.trails = true
    }
    writePairs(res, status, responseHeaders(came, own, deps.securityHeaders))
    // What follows may be a while coming.
    res.flushHeaders()
    // Its client may be at sending still, and would not read while nobody reads.
    if (status >= 400 && !this.isWhole()) this.req.resume()
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.gone || !(this.answering || this.held !== undefined)) return
    if (this.held !== undefined) {
      this.held.parts.push(Buffer.from(chunk))
      return
    }
    const { res } = this
    const part = copyOf(chunk)
    res.write(part, (error) => {
      if (error === null || error === undefined) giveBack(part)
    })
    // What the kernel has taken at once is not waited for.
    if (res.writableLength < HIGH) return
    controller.pause()
  }

  onResponseEnd(_controller: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    if (this.held !== undefined) {
      this.held.ended = trailers
      return
    }
    const { req, res } = this
    if (this.gone || !this.answering) return
    if (this.trails) res.addTrailers(answerTrailers(trailers))
    this.source?.stop()
    if (this.isWhole()) res.end()
    else if (req.httpVersionMajor >= 2) {
      const { stream } = req as unknown as GatewayHttp2Request
      // RFC 9113 8.1: the answer is whole, and the rest of the request is not wanted.
      res.end(() => stream.close(constants.NGHTTP2_NO_ERROR))
    } else dropRest(req, () => res.end(() => this.isWhole() || req.socket.destroySoon()))
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.source?.stop()
    if (this.held !== undefined) {
      this.held.error = error
      return
    }
    if (this.answering) {
      if (!this.gone) this.res.destroy()
      return
    }
    this.endThen(this.sent ? this.tagsOfWrite() : undefined, () => this.refuse(asProblem(error)))
  }

  /** It has an answer, which may be that there was no memory for its body. */
  private isAnswered(): boolean {
    return this.answering || this.res.headersSent
  }

  private isWhole(): boolean {
    return this.source === undefined || this.source.endedAt !== undefined || this.req.complete
  }

  private tagsOfWrite(): readonly string[] | undefined {
    const { visit } = this
    if (SAFE.has(visit.method) || visit.route?.endsOf === undefined) return undefined
    const tags = visit.route.endsOf(visit.raw.url!, visit.caller?.userId)
    return tags === undefined || tags.length === 0 ? undefined : tags
  }

  /** As with other writes: who reads after the answer reads what was written, so the old answers end first. */
  private endThen(tags: readonly string[] | undefined, then: () => void): void {
    if (tags === undefined) then()
    else
      this.deps.cache
        .end(tags)
        .catch((error) => this.deps.onFault('cache', error))
        .then(() => {
          if (!this.gone) this.guarded(then)
        })
  }

  private refuse(error: unknown): void {
    this.source?.stop()
    if (this.gone || this.isAnswered()) return
    this.answering = true
    this.headAt = performance.now()
    refuse(this.deps, this.visit, this.req, this.res, error)
    // What is left of a body is dropped, within the bounds of all that is refused.
    this.req.resume()
  }

  private closed(): void {
    if (this.gone) return
    this.gone = true
    this.leavePlace?.()
    this.source?.stop()
    this.deps.balancer.wheel.stop(this.pace)
    if (this.answering) recordAnswer(this.deps, this.visit, this.res.statusCode)
    if (!this.res.writableFinished) this.controller?.abort(new CallerGoneError())
  }
}

/** What came of an answer whose head has to wait. */
class HeldAnswer {
  readonly parts: Buffer[] = []
  ended: IncomingHttpHeaders | undefined
  error: Error | undefined
}

function hasBody(req: IncomingMessage): boolean {
  if (req.httpVersionMajor >= 2) return !(req as unknown as GatewayHttp2Request).stream.endAfterHeaders
  return mayHaveBody(req)
}
