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
import type { BalancedRequest } from '../../upstreams/types.ts'
import { BodyBrokenOffError, mayHaveBody } from '../body.ts'
import { dropRest } from '../drop-rest.ts'
import { endStream } from '../end-stream.ts'
import type { Exchange } from '../exchange.ts'
import { Passage } from '../passage.ts'
import { leftOf, SAFE, upstreamRequest } from '../upstream-request.ts'
import { copyOf, giveBack } from './buffers.ts'
import { Pace } from './pace.ts'
import { RequestSource } from './request-source.ts'
import { announcedTrailers, answerTrailers, takesTrailers } from './trailers.ts'

/** Bytes of an answer that may wait for its client, and parts of it: each costs some hundred bytes more. */
const HIGH = 65_536
const MOST_PARTS = 64

/** Sends a request of a route whose bodies are streams to its service, and the answer to its client. */
export function relayStreamed(exchange: Exchange): void {
  // Its body may have been refused meanwhile, for want of memory.
  if (!exchange.isGone && !exchange.res.headersSent) new StreamedRelay(exchange).start()
}

/**
 * The passage (`passage.ts`) of a request whose body passes through, as that of its answer does, each as fast as it is taken at the other end
 * (docs/gateway-bodies.md). Whatever ends one side in disorder ends the other so: a part never looks like the whole.
 */
class StreamedRelay extends Passage {
  readonly isStreaming = false
  private readonly source: RequestSource | undefined
  private readonly pace: Pace | undefined
  private call: Call | undefined
  private trails = false
  private leavePlace: (() => void) | undefined
  /** Parts of the answer that were not written yet. */
  private waiting = 0

  constructor(exchange: Exchange) {
    super(exchange)
    const { deps, req, res } = exchange
    if (!hasBody(req)) return
    const guarded = (work: () => void) => exchange.guarded(work)
    const source = new RequestSource(req, res, this.limit, (error) => guarded(() => this.bodyFailed(error)))
    this.source = source
    this.pace = new Pace({
      ...{ source, guarded, wheel: deps.balancer.wheel, silenceMs: deps.silenceMs },
      ...{ periodMs: deps.streamed.periodMs, periodBytes: deps.streamed.periodBytes },
      waitsForClient: () => exchange.isAnswered && this.controller?.paused === true,
      onServiceLate: (now) => this.call?.late(now),
      onClientLate: () => this.bodyFailed(new SkerryError('REQUEST_TIMEOUT', { headers: { connection: 'close' } }))
    })
  }

  private get limit(): number {
    const { deps, visit } = this.exchange
    return visit.route!.streamed!.limit ?? deps.bodyLimit
  }

  start(): void {
    const { source, pace } = this
    const { deps, visit, req, res } = this.exchange
    const { places, countsAddress, onBound } = deps.streamed
    res.on('drain', () => this.controller?.resume())
    if (source?.length !== undefined && source.length > this.limit) {
      this.refuse(new SkerryError('BODY_TOO_LARGE'))
      return
    }
    // Not one in its service, which is for what is soon over.
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
    if (pace === undefined) tellToGoOn(req, res)
    else pace.start()
    this.begin(performance.now())
  }

  protected request(now: number): BalancedRequest {
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

  protected override called(call: Call | undefined): void {
    super.called(call)
    this.call = call
    if (this.exchange.isGone) this.abort()
  }

  /** The body will not become whole: its service must not take it for that. */
  private bodyFailed(error: Error): void {
    this.abort()
    const { exchange } = this
    if (error instanceof BodyBrokenOffError || exchange.isAnswered) exchange.res.destroy()
    else this.refuse(error)
  }

  protected override abort(): void {
    this.source?.stop()
    super.abort()
  }

  // The answer.

  override onResponseStart(controller: Dispatcher.DispatchController, status: number, came: IncomingHttpHeaders): void {
    // It does not want the rest.
    if (status >= 400) this.source?.stop()
    super.onResponseStart(controller, status, came)
  }

  override onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    this.source?.stop()
    super.onResponseError(controller, error)
  }

  protected head(status: number, came: IncomingHttpHeaders): boolean {
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

  protected part(chunk: Buffer, controller: Dispatcher.DispatchController): void {
    const { isAnswered, res } = this.exchange
    if (!isAnswered) return
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

  protected whole(trailers: IncomingHttpHeaders): void {
    const { req, res, isAnswered } = this.exchange
    if (!isAnswered) return
    if (this.trails) res.addTrailers(answerTrailers(trailers))
    this.source?.stop()
    if (this.isWhole()) res.end()
    else if (req.httpVersionMajor >= 2) res.end(() => endStream(req))
    else dropRest(req, () => res.end(() => this.isWhole() || req.socket.destroySoon()))
  }

  protected broken(): void {
    this.exchange.res.destroy()
  }

  /** It has an answer, which may be that there was no memory for its body. */
  private isAnswered(): boolean {
    return this.exchange.isAnswered || this.exchange.res.headersSent
  }

  /** Its body is here, or it has none. */
  private isWhole(): boolean {
    return this.source === undefined || this.source.endedAt !== undefined || this.exchange.req.complete
  }

  protected override refuse(error: unknown): void {
    const { exchange } = this
    this.source?.stop()
    if (this.isAnswered()) return
    exchange.refuse(error)
    // What is left of a body is dropped, within the bounds of all that is refused.
    exchange.req.resume()
  }

  closed(early: boolean): void {
    this.leavePlace?.()
    this.source?.stop()
    this.pace?.stop()
    // Its service has all of it.
    const given = this.source === undefined || this.source.endedAt !== undefined
    if (early && given) this.leave()
    // Also where its client has an answer that is not its service's; what has ended takes no notice.
    else this.abort()
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
