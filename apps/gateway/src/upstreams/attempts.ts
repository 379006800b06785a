import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import type { BalancedRequest, Balancer, BalancerEvents } from './balancer.ts'
import { NoUpstreamError } from './errors.ts'
import type { Upstream } from './upstream.ts'

/** Errors that say nothing about the instance. */
const NOT_ITS_FAULT = new Set(['CallerGoneError', 'InvalidArgumentError', 'NotSupportedError', 'AbortError'])
/** It was reached and is slow: asking another would only double the work. */
const SLOW = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'])

/** One request on its way, over one instance after the other. Stands between the balancer's caller and undici's connections. */
export class Attempts implements Dispatcher.DispatchHandler {
  private readonly balancer: Balancer
  private readonly request: BalancedRequest
  private readonly handler: Dispatcher.DispatchHandler
  private readonly events: BalancerEvents
  private retriesLeft: number
  private upstream: Upstream | undefined
  private tried: Upstream[] | undefined
  private startedAt = 0
  private sent = false
  private answered = false

  constructor(
    balancer: Balancer,
    request: BalancedRequest,
    handler: Dispatcher.DispatchHandler,
    retries: number,
    events: BalancerEvents
  ) {
    this.balancer = balancer
    this.request = request
    this.handler = handler
    this.retriesLeft = retries
    this.events = events
  }

  /** Asks the next instance. `failure` is why the last one did not do. */
  next(failure?: Error): void {
    const { origin, stream } = this.request
    const upstream = this.balancer.pick(origin, stream, this.tried)
    if (typeof upstream === 'string') {
      this.handler.onResponseError?.(NO_CONTROLLER, failure ?? new NoUpstreamError(origin, upstream))
      return
    }
    if (failure !== undefined) this.events.retried(upstream)
    this.upstream = upstream
    if (stream) upstream.streams++
    else upstream.inFlight++
    this.sent = false
    upstream.dispatch(this.request, stream, this)
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.sent = true
    // Not from before: how long a connection takes to make says nothing of the next request.
    this.startedAt = performance.now()
    this.handler.onRequestStart?.(controller, context)
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
    message?: string
  ): void {
    // 100 and 103 announce an answer, they are none.
    if (status < 200) return
    if (!this.answered) {
      this.answered = true
      const now = performance.now()
      this.upstream?.answered(now - this.startedAt, now)
    }
    this.handler.onResponseStart?.(controller, status, headers, message)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.handler.onResponseData?.(controller, chunk)
  }

  onResponseEnd(controller: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    this.leave()
    this.handler.onResponseEnd?.(controller, trailers)
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    const upstream = this.leave()
    if (upstream !== undefined && !NOT_ITS_FAULT.has(error.name)) this.blame(upstream, error)
    if (this.mayRetry(error)) {
      this.retriesLeft--
      this.tried = this.tried === undefined ? [upstream!] : [...this.tried, upstream!]
      this.next(error)
    } else this.handler.onResponseError?.(controller, error)
  }

  private mayRetry(error: Error): boolean {
    if (this.answered || this.retriesLeft === 0 || this.upstream === undefined || NOT_ITS_FAULT.has(error.name))
      return false
    if (!this.sent) return true
    return this.request.repeatable && !SLOW.has((error as NodeJS.ErrnoException).code ?? '')
  }

  private blame(upstream: Upstream, error: Error): void {
    const now = performance.now()
    if (SLOW.has((error as NodeJS.ErrnoException).code ?? '')) {
      upstream.answered(now - this.startedAt, now)
      return
    }
    // An answer that breaks off is told to the caller; only what never began counts as unreachable.
    if (this.answered) return
    const pause = upstream.failed(now)
    if (pause > 0) this.events.ejected(upstream, error, pause)
  }

  private leave(): Upstream | undefined {
    const { upstream } = this
    if (upstream === undefined) return undefined
    if (this.request.stream) upstream.streams--
    else upstream.inFlight--
    return upstream
  }
}

/** What a handler gets when nothing was sent: nothing to abort, pause or resume. */
const NO_CONTROLLER: Dispatcher.DispatchController = {
  aborted: false,
  paused: false,
  reason: null,
  abort: () => undefined,
  pause: () => undefined,
  resume: () => undefined
}
