import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { Attempt, type AttemptHost } from './attempt.ts'
import { Deadline, type Watched } from './deadline.ts'
import { DeadlineError, NoUpstreamError, SilenceError } from './errors.ts'
import type { LatencyWindow } from './latency.ts'
import { isRetried, Retries } from './retries.ts'
import type { ServiceUpstreams } from './service-upstreams.ts'
import type { BalancedRequest, Failure } from './types.ts'
import type { Upstream } from './upstream.ts'
import { Timed, type Wheel } from './wheel.ts'
import { isSource } from './wire/body.ts'
import { NOTHING_SENT } from './wire/pool.ts'

/** What calls tell. */
export type CallEvents = {
  retried(service: string): void
  hedged(service: string): void
  /** A hedge was sent for nothing: the first instance answered. */
  hedgeLost(service: string): void
  /** The code that takes an answer failed at it. */
  faulted(error: Error): void
}

/** What a call needs of the balancer that makes it. */
export type CallHost = {
  readonly wheel: Wheel
  readonly options: { readonly retries: number }
  readonly events: CallEvents
  /** How long to wait before a hedge, ms. */
  hedgeAfter(latencies: LatencyWindow | undefined): number
  /** Takes in a failure of an instance. */
  failed(
    service: ServiceUpstreams,
    upstream: Upstream,
    failure: Failure,
    tookMs: number,
    now: number,
    pauseMs?: number
  ): void
}

/**
 * One request to a service, over as many instances as it takes: retried when an attempt fails, hedged when one is late, ended at its
 * deadline. Its handler sees one request and one answer, and this object as their controller.
 */
export class Call implements Dispatcher.DispatchController, AttemptHost, Watched {
  readonly aborted = false
  readonly reason = null
  readonly request: BalancedRequest
  private readonly balancer: CallHost
  private readonly service: ServiceUpstreams
  private readonly handler: Dispatcher.DispatchHandler
  private deadline: Deadline | undefined
  private hedging: Hedging | undefined
  /** Made for the first further attempt. */
  private made: Retries | undefined
  private first: Attempt | undefined
  private hedge: Attempt | undefined
  /** Whose answer it is, once one has begun. */
  private winner: Attempt | undefined
  private started = false
  private done = false

  constructor(
    balancer: CallHost,
    service: ServiceUpstreams,
    request: BalancedRequest,
    handler: Dispatcher.DispatchHandler
  ) {
    this.balancer = balancer
    this.service = service
    this.request = request
    this.handler = handler
  }

  start(now: number): void {
    const { balancer, service, request } = this
    service.budget.deposit()
    const upstream = service.pick(request, now, undefined)
    if (typeof upstream === 'string') {
      this.done = true
      this.handler.onResponseError?.(NOTHING_SENT, new NoUpstreamError(service.name, upstream, request.stream))
      return
    }
    this.deadline = new Deadline(balancer.wheel, now + request.timeoutMs, request.silenceMs, this)
    if (request.hedgeable && service.size > 1) {
      const after = balancer.hedgeAfter(request.latencies)
      if (after < request.timeoutMs) {
        this.hedging = new Hedging(this)
        balancer.wheel.start(this.hedging, now + after)
      }
    }
    this.first = new Attempt(this, upstream)
    this.first.send(now)
  }

  get paused(): boolean {
    return this.winner?.controller?.paused ?? false
  }
  pause(): void {
    // The connection of a call that has ended is somebody else's.
    if (!this.done) this.winner?.controller?.pause()
  }
  resume(): void {
    if (this.done) return
    this.deadline?.heard()
    this.winner?.controller?.resume()
  }

  /** The caller does not want it any more. Its handler is not called again. */
  abort(_error: Error): void {
    if (this.done) return
    this.finish()
    this.first?.drop()
    this.hedge?.drop()
  }

  /** Milliseconds that are left, as the service is told. */
  remainingMs(now: number): number {
    return Math.max(1, Math.ceil(this.deadline!.at - now))
  }

  postponed(now: number): number | undefined {
    const { body, timeoutMs } = this.request
    // Whoever sends it has a pace to keep.
    return isSource(body) ? (body.endedAt ?? now) + timeoutMs : undefined
  }

  busyUntil(now: number): number | undefined {
    const { body } = this.request
    // That has paces of its own.
    return isSource(body) ? (body.overAt ?? now) : undefined
  }

  /** It may be sent again although it was sent before. */
  private get repeatable(): boolean {
    const { body, repeatable } = this.request
    return repeatable && !(isSource(body) && body.begun)
  }

  // What attempts tell.

  begun(): void {
    if (this.started) return
    this.started = true
    try {
      this.handler.onRequestStart?.(this, undefined)
    } catch (error) {
      this.broken(error as Error)
    }
  }

  /** The head of an answer has come. Answers whether it is wanted. */
  answered(attempt: Attempt, status: number, headers: IncomingHttpHeaders, now: number): boolean {
    if (this.done || this.winner !== undefined) return false
    if (isRetried(status, headers) && this.insteadOf(attempt, now)) return false
    this.winner = attempt
    this.deadline!.begun(now)
    if (this.hedging !== undefined) this.balancer.wheel.stop(this.hedging)
    const other = attempt === this.first ? this.hedge : this.first
    if (other !== undefined) {
      if (attempt === this.hedge) other.lost(now)
      else this.balancer.events.hedgeLost(this.service.name)
      other.drop()
    }
    try {
      this.handler.onResponseStart?.(this, status, headers, '')
    } catch (error) {
      this.broken(error as Error)
    }
    return !this.done
  }

  data(chunk: Buffer): void {
    this.deadline!.heard()
    try {
      this.handler.onResponseData?.(this, this.request.transient ? chunk : Buffer.from(chunk))
    } catch (error) {
      this.broken(error as Error)
    }
  }

  ended(trailers: IncomingHttpHeaders): void {
    if (this.done) return
    this.finish()
    try {
      this.handler.onResponseEnd?.(this, trailers)
    } catch (error) {
      this.broken(error as Error)
    }
  }

  failed(attempt: Attempt, error: Error): void {
    if (this.done) return
    if (this.winner !== undefined) {
      if (this.winner === attempt) this.fail(error)
      return
    }
    // The other one may still answer.
    if (this.forget(attempt)) return
    if (this.retries.mayFollow(error, attempt.sent)) {
      const now = performance.now()
      const upstream = this.retries.next(attempt.upstream, !attempt.sent, now)
      if (upstream !== undefined) {
        this.retry(upstream, now)
        return
      }
    }
    this.fail(error)
  }

  evacuate(attempt: Attempt): void {
    if (this.done || this.winner !== undefined || !this.repeatable) return
    // A hedge is at work elsewhere already.
    if (this.forget(attempt)) {
      attempt.drop()
      return
    }
    const now = performance.now()
    const upstream = this.retries.next(attempt.upstream, false, now)
    // With nobody else to ask it stays where it is: that one may still answer, and the deadline holds.
    if (upstream === undefined) this.first = attempt
    else {
      attempt.drop()
      this.retry(upstream, now)
    }
  }

  moved(attempt: Attempt): void {
    if (this.done || this.winner !== attempt) return
    // Before, so that nothing of the instance is written behind the end.
    attempt.drop()
    this.ended({})
  }

  /** Asks another instance in place of one whose answer is no good. Answers whether somebody else is asked. */
  private insteadOf(attempt: Attempt, now: number): boolean {
    if (!this.repeatable) return false
    if (this.forget(attempt)) return true
    const upstream = this.retries.next(attempt.upstream, false, now)
    if (upstream === undefined) {
      this.first = attempt
      return false
    }
    this.retry(upstream, now)
    return true
  }

  /** Answers whether another attempt is still under way. */
  private forget(attempt: Attempt): boolean {
    if (attempt === this.first) {
      this.first = this.hedge
      this.hedge = undefined
    } else this.hedge = undefined
    return this.first !== undefined
  }

  private get retries(): Retries {
    this.made ??= new Retries(this.service, this.request, this.balancer.options.retries)
    return this.made
  }

  private retry(upstream: Upstream, now: number): void {
    this.balancer.events.retried(this.service.name)
    this.first = new Attempt(this, upstream)
    this.first.send(now)
  }

  /** The first attempt is late. */
  sendHedge(): void {
    const { first, service, balancer } = this
    if (this.done || this.winner !== undefined || this.hedge !== undefined || first === undefined) return
    const now = performance.now()
    const upstream = this.retries.hedge(first.upstream, now)
    if (upstream === undefined) return
    balancer.events.hedged(service.name)
    this.hedge = new Attempt(this, upstream)
    this.hedge.send(now)
  }

  /** No answer began in time. */
  late(now: number): void {
    for (const attempt of [this.first, this.hedge]) attempt?.expire(now)
    this.fail(new DeadlineError())
  }

  silent(): void {
    this.winner?.drop()
    this.fail(new SilenceError())
  }

  private fail(error: Error): void {
    this.finish()
    this.tell(error)
  }

  private tell(error: Error): void {
    try {
      this.handler.onResponseError?.(this, error)
    } catch (fault) {
      this.balancer.events.faulted(fault as Error)
    }
  }

  /** A fault in the handler ends this call, and nothing else: neither the connection's other users nor the process. */
  private broken(fault: Error): void {
    this.balancer.events.faulted(fault)
    if (!this.done) {
      this.finish()
      this.first?.drop()
      this.hedge?.drop()
    }
    this.tell(fault)
  }

  private finish(): void {
    this.done = true
    this.deadline?.stop()
    if (this.hedging !== undefined) this.balancer.wheel.stop(this.hedging)
  }

  /** Takes in what an instance's failure means for it. */
  blame(upstream: Upstream, failure: Failure | undefined, tookMs: number, now: number, pauseMs = 0): void {
    if (failure !== undefined) this.balancer.failed(this.service, upstream, failure, tookMs, now, pauseMs)
  }
}

/** Sends the hedge of a call when it is time. */
class Hedging extends Timed {
  private readonly call: Call

  constructor(call: Call) {
    super()
    this.call = call
  }

  fire(): void {
    this.call.sendHedge()
  }
}
