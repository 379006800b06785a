import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { SkerryError } from '@skerry/contracts'
import type { Identity } from '@skerry/service'
import type { Dispatcher } from 'undici'
import { type CachedRoute, headersToLoad, keyOf } from '../cache/cached-route.ts'
import { BYPASS } from '../cache/client-headers.ts'
import type { ResponseCache, Served } from '../cache/response-cache.ts'
import type { Door } from '../door/door.ts'
import { Visit } from '../door/visit.ts'
import { tellToGoOn } from '../listen/expectation.ts'
import type { GatewayMetrics } from '../metrics.ts'
import type { Outcome } from '../overload/gradient.ts'
import { inPlace, outcomeOf, overloaded } from '../overload/in-place.ts'
import { laneOf } from '../overload/lane.ts'
import type { Candidate, Overload, Refusal } from '../overload/overload.ts'
import type { Traffic } from '../traffic/traffic.ts'
import type { BalancedRequest, Balancer } from '../upstreams/balancer.ts'
import { collect } from '../upstreams/collect.ts'
import { CallerGoneError } from '../upstreams/errors.ts'
import { Timer } from '../upstreams/wheel.ts'
import { AnswerWriter, type AnswerWriterDeps } from './answer-writer.ts'
import { asProblem } from './as-problem.ts'
import { BodyBrokenOffError, readBody } from './body.ts'
import { sendKept } from './kept-answer.ts'
import { ownHeaders, timingOf } from './own-headers.ts'
import { recordAnswer } from './record.ts'
import { type RefuseDeps, refuse } from './refuse.ts'
import type { OpenStreams } from './streams.ts'
import { isStream, leftOf, SAFE, type Silences, upstreamRequest, wantsEvents } from './upstream-request.ts'

export type ExchangeDeps = RefuseDeps &
  AnswerWriterDeps &
  Silences & {
    door: Door
    balancer: Balancer
    identity: Identity | undefined
    metrics: GatewayMetrics
    streams: OpenStreams
    cache: ResponseCache
    overload: Overload
    /** Which version of a service a request goes to, where that can be said at all. */
    traffic: Traffic | undefined
    /** The largest body that is kept. */
    cacheEntryBytes: number
    /** Takes requests of routes whose bodies are streams, behind the door. */
    streamed: (visit: Visit, request: IncomingMessage, response: ServerResponse) => void
  }

/** The service whose word ends sessions. */
const SESSION_OWNER = 'auth'

/**
 * One request and its answer between a client and a service. The answer is written straight to the socket as it comes, at the client's
 * pace; until its head is there an error is still answered as a problem, afterwards the connection breaks so that nobody takes a
 * part for the whole. When the client goes away, so does the request to the service.
 */
export class Exchange implements Dispatcher.DispatchHandler, Candidate {
  private readonly deps: ExchangeDeps
  private readonly req: IncomingMessage
  private readonly res: ServerResponse
  private readonly visit: Visit
  private body: Buffer | null = null
  private controller: Dispatcher.DispatchController | undefined
  private dispatchedAt = 0
  private headAt = 0
  private readonly writer: AnswerWriter
  private gone = false
  private answering = false
  /** It left for its service, which may have done it. */
  private begun = false
  private streaming = false
  /** It holds one of its service's places. */
  private placed = false
  private held: HeldAnswer | undefined
  /** Its bodies pass through, which is somebody else's. */
  private handedOver = false
  private cacheStatus: string | undefined
  /** The version of its service that it goes to, where that is said. */
  private version: string | undefined

  constructor(deps: ExchangeDeps, req: IncomingMessage, res: ServerResponse, now: number) {
    this.deps = deps
    this.req = req
    this.res = res
    this.visit = new Visit(req, now)
    this.writer = new AnswerWriter(deps, this.visit, res)
  }

  start(): void {
    // 'close' comes once by itself.
    this.res.on('close', () => this.clientClosed())
    this.deps.door(this.visit, (error) =>
      this.guarded(() => {
        if (error !== undefined) {
          this.refuse(error)
          return
        }
        if (this.visit.route!.streamed !== undefined) {
          this.handedOver = true
          this.deps.streamed(this.visit, this.req, this.res)
          return
        }
        // What is too large is refused without.
        if (!(Number(this.req.headers['content-length']) > this.deps.bodyLimit)) tellToGoOn(this.req, this.res)
        if (!SAFE.has(this.visit.method)) this.readBody()
        else {
          this.chooseVersion()
          const { cached } = this.visit.route!
          if (cached === undefined || !this.fromCache(cached)) this.forward()
        }
      })
    )
  }

  /** Does what an event, a timer or a promise calls for. A fault of the gateway's own ends this request, and nothing else. */
  private guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.fault(error)
    }
  }

  private fault(error: unknown): void {
    this.deps.onFault('exchange', error)
    this.res.destroy()
  }

  /** Finds out whether the request has to go to a version of its service. */
  private chooseVersion(): void {
    const { traffic, balancer } = this.deps
    const { service } = this.visit.route!
    const versions = traffic === undefined ? undefined : balancer.service(service)?.versions
    if (versions === undefined) return
    this.version = traffic!.choose(service, versions, this.visit.raw.headers, this.visit.caller?.userId)
  }

  private readBody(): void {
    readBody(this.req, this.deps.bodyLimit, (error, body) =>
      this.guarded(() => {
        this.body = body
        if (error === undefined) {
          this.chooseVersion()
          this.forward()
        } else if (error instanceof BodyBrokenOffError) this.res.destroy()
        else this.refuse(error)
      })
    )
  }

  /** Answers from the cache, or through it. False when this request has to go past it. */
  private fromCache(cached: CachedRoute): boolean {
    const { visit, deps } = this
    const { cache } = deps
    const { version } = this
    const request = {
      target: visit.raw.url!,
      headers: visit.raw.headers,
      userId: visit.caller?.userId,
      protocol: visit.protocol,
      priority: visit.priority,
      version
    }
    const key = wantsEvents(request.headers.accept) ? undefined : keyOf(cached, request)
    if (key === undefined) {
      this.cacheStatus = BYPASS
      return false
    }
    const load = (signal: AbortSignal) => {
      // Also a HEAD that finds a stale answer renews the one of its GET.
      const shared = {
        ...this.request(headersToLoad(cached, request.headers), visit.route!.timeoutMs),
        method: 'GET'
      }
      return inPlace(deps.overload, laneOf(visit.route!), visit.priority, () => {
        this.mirror(shared)
        return collect(deps.balancer, shared, deps.cacheEntryBytes, signal)
      })
    }
    const found = cache.find(key)
    if (found !== undefined) {
      if (found.stale) cache.refresh(key, cached, request, load)
      this.answer(found, cached)
      return true
    }
    // Only a GET brings a body to keep.
    if (visit.method === 'HEAD') return false
    this.dispatchedAt = performance.now()
    // Others may have longer than this one, so the load goes on without it.
    const late = new Timer(() => this.guarded(() => this.refuse(new SkerryError('TIMEOUT'))))
    const timeoutMs = leftOf(
      request.headers['x-skerry-deadline'],
      visit.route!.timeoutMs,
      this.dispatchedAt - visit.startedAt
    )
    deps.balancer.wheel.start(late, this.dispatchedAt + timeoutMs)
    cache
      .fetch(key, cached, request, load)
      .finally(() => deps.balancer.wheel.stop(late))
      .then(
        (served) => {
          if (this.answering) return
          if (served !== undefined) this.answer(served, cached)
          else {
            this.cacheStatus = BYPASS
            this.forward()
          }
        },
        (error: Error) => {
          if (!this.answering) this.refuse(asProblem(error))
        }
      )
      .catch((fault) => this.fault(fault))
    return true
  }

  /** Sends a kept answer. */
  private answer(served: Served, cached: CachedRoute): void {
    if (this.gone) return
    this.headAt = performance.now()
    this.answering = true
    sendKept(this.deps, this.visit, this.res, served, cached, this.ownHeaders(undefined))
  }

  /** Sends it to its service, when that has a place for it. Streams take none: they are held for hours, and have a bound of their own. */
  private forward(): void {
    if (this.gone) return
    const { visit, deps } = this
    if (isStream(visit)) {
      this.send()
      return
    }
    const answer = deps.overload.admit(laneOf(visit.route!), visit.priority, this)
    if (answer === true) this.admitted()
    else if (answer !== undefined) this.refused(answer)
  }

  /** It has a place in its service. False when its client has gone meanwhile. */
  admitted(): boolean {
    if (this.gone) return false
    this.placed = true
    this.guarded(() => this.send())
    return true
  }

  refused(refusal: Refusal): void {
    this.guarded(() => this.refuse(overloaded(refusal)))
  }

  private send(): void {
    const { visit, deps } = this
    const { headers } = visit.raw
    const now = performance.now()
    const timeoutMs = leftOf(headers['x-skerry-deadline'], visit.route!.timeoutMs, now - visit.startedAt)
    this.dispatchedAt = now
    if (timeoutMs <= 0) {
      this.settle('ignored')
      this.refuse(new SkerryError('TIMEOUT'))
      return
    }
    const request = this.request(headers, timeoutMs)
    this.mirror(request)
    // Until it is sent the call is what can be aborted.
    this.controller = deps.balancer.call(request, this) ?? this.controller
  }

  /** Sends a copy of what goes to its service to a shadow version. Not of a write, which would be done twice: they share the stores. */
  private mirror(request: BalancedRequest): void {
    const { traffic, balancer } = this.deps
    const version = request.hedgeable ? traffic?.mirrorOf(request.origin) : undefined
    if (version !== undefined) balancer.mirror(request, version)
  }

  private settle(outcome: Outcome): void {
    if (!this.placed) return
    this.placed = false
    this.deps.overload.settle(laneOf(this.visit.route!), performance.now() - this.dispatchedAt, outcome)
  }

  private request(headers: IncomingHttpHeaders, timeoutMs: number): BalancedRequest {
    const { visit, deps, body, version } = this
    return upstreamRequest(visit, { headers, body, timeoutMs, version }, deps)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
    this.begun = true
    if (this.gone) controller.abort(new CallerGoneError())
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, came: IncomingHttpHeaders): void {
    this.controller = controller
    this.settle(status === 503 || status === 429 ? 'dropped' : 'answered')
    this.headAt = performance.now()
    this.revokeSessions(came['x-skerry-revoked'])
    const passed = came['x-skerry-deadline'] === 'passed'
    // A refusal (4xx) has changed nothing; a failure may have.
    const tags = status < 400 || status >= 500 ? this.tagsOfWrite() : undefined
    if (this.gone) {
      controller.abort(new CallerGoneError())
      this.endThen(tags, () => undefined)
    } else if (passed) {
      controller.abort(new CallerGoneError())
      this.endThen(tags, () => this.refuse(new SkerryError('TIMEOUT')))
    } else if (tags === undefined) this.head(status, came)
    else {
      const held = new HeldAnswer()
      this.held = held
      controller.pause()
      this.endThen(tags, () => {
        this.held = undefined
        this.head(status, came)
        controller.resume()
        for (const part of held.parts) this.onResponseData(controller, part)
        if (held.ended) this.onResponseEnd()
        else if (held.error !== undefined) this.onResponseError(controller, held.error)
      })
    }
  }

  /** The tags that this write ends, if it is one that ends any. */
  private tagsOfWrite(): readonly string[] | undefined {
    const { visit } = this
    if (SAFE.has(visit.method) || visit.route?.endsOf === undefined) return undefined
    const tags = visit.route.endsOf(visit.raw.url!, visit.caller?.userId)
    return tags === undefined || tags.length === 0 ? undefined : tags
  }

  /**
   * Who reads after the answer to a write reads what was written: the old answers end first, here and in Redis, in bounded time; also when
   * nobody knows whether it was done.
   */
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

  private head(status: number, came: IncomingHttpHeaders): void {
    const { res, deps } = this
    const own = this.ownHeaders(came['server-timing'])
    if (this.cacheStatus !== undefined) own['cache-status'] = this.cacheStatus
    const events = came['content-type']?.startsWith('text/event-stream') === true
    this.writer.head(status, came, own, events || isStream(this.visit))
    this.answering = true
    if (events) {
      this.streaming = true
      deps.streams.add(this)
      // The head must not wait for the first event.
      res.flushHeaders()
    }
  }

  /** What the gateway says in each answer. */
  private ownHeaders(timing: string | string[] | undefined): Record<string, string> {
    return ownHeaders(this.deps, this.visit, this.timing(timing))
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.gone) return
    if (this.held !== undefined) {
      this.held.parts.push(Buffer.from(chunk))
      return
    }
    this.writer.data(chunk, controller)
  }

  onResponseEnd(): void {
    if (this.held !== undefined) this.held.ended = true
    else if (!this.gone) this.writer.end()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.settle(outcomeOf(error))
    if (this.held !== undefined) {
      this.held.error = error
      return
    }
    if (this.answering) {
      // Half an answer: the client learns it from the connection.
      if (!this.gone && !this.res.writableEnded) this.writer.destroy()
      return
    }
    // Whatever was not sent was not done.
    const tags = this.begun ? this.tagsOfWrite() : undefined
    this.endThen(tags, () => {
      if (!this.gone) this.refuse(asProblem(error))
    })
  }

  /** Ends a live stream in good order: its client connects again, elsewhere. */
  end(): void {
    // Before, so that nothing of the service is written behind the end.
    this.controller?.abort(new CallerGoneError())
    this.res.end()
  }

  destroy(): void {
    this.res.destroy()
  }

  private refuse(error: unknown): void {
    if (this.gone) return
    this.headAt = performance.now()
    this.answering = true
    refuse(this.deps, this.visit, this.req, this.res, error)
  }

  private clientClosed(): void {
    if (this.handedOver) return
    this.writer.closed()
    if (this.streaming) this.deps.streams.delete(this)
    else if (this.answering) recordAnswer(this.deps, this.visit, this.res.statusCode)
    if (this.res.writableFinished && !this.streaming) return
    this.gone = true
    this.writer.destroy()
    // Its service may do the write all the same, so its answer is awaited, within its deadline: then the old answers end.
    if (this.begun && this.headAt === 0 && this.tagsOfWrite() !== undefined) return
    this.settle('ignored')
    this.controller?.abort(new CallerGoneError())
  }

  private revokeSessions(header: string | string[] | undefined): void {
    if (typeof header !== 'string' || this.visit.route?.service !== SESSION_OWNER) return
    for (const sessionId of header.split(',')) this.deps.identity?.revoke(sessionId.trim())
  }

  private timing(came: string | string[] | undefined): string {
    return timingOf(came, this.visit.startedAt, this.dispatchedAt, this.headAt)
  }
}

/** What came of an answer whose head has to wait. */
class HeldAnswer {
  readonly parts: Buffer[] = []
  ended = false
  error: Error | undefined
}
