import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import type { BalancedRequest, Balancer } from './balancer.ts'
import { CallerGoneError, DeadlineError, failureOf, HungError, NoUpstreamError, SilenceError } from './errors.ts'
import type { ServiceUpstreams } from './service-upstreams.ts'
import type { Upstream } from './upstream.ts'
import { Timer } from './wheel.ts'
import { Connection } from './wire/connection.ts'
import { NOTHING_SENT } from './wire/pool.ts'

/** Answers that another instance may give better. */
const RETRIED_STATUS = new Set([502, 503, 504])
/** For so long a caller may take nothing at all of an answer, ms: it holds a connection to the instance. */
const SLOWEST_CALLER_MS = 60_000
/** What an instance may ask to be left alone for. */
const LONGEST_RETRY_AFTER_S = 60

/**
 * One request to a service, over as many instances as it takes: retried when an attempt fails, hedged when one is late, ended at its
 * deadline. Its handler sees one request and one answer, and this object as their controller.
 */
export class Call implements Dispatcher.DispatchController {
  readonly aborted = false
  readonly reason = null
  readonly request: BalancedRequest
  private readonly balancer: Balancer
  private readonly service: ServiceUpstreams
  private readonly handler: Dispatcher.DispatchHandler
  private readonly deadline = new Timer(() => this.late())
  private hedging: Timer | undefined
  private attemptsLeft: number
  /** Instances that have been asked; undefined while it is one. */
  private tried: Upstream[] | undefined
  private first: Attempt | undefined
  private hedge: Attempt | undefined
  /** Whose answer it is, once one has begun. */
  private winner: Attempt | undefined
  private started = false
  private done = false
  private readonly deadlineAt: number
  private heardAt = 0

  constructor(
    balancer: Balancer,
    service: ServiceUpstreams,
    request: BalancedRequest,
    handler: Dispatcher.DispatchHandler,
    now: number
  ) {
    this.balancer = balancer
    this.service = service
    this.request = request
    this.handler = handler
    this.attemptsLeft = balancer.options.retries
    this.deadlineAt = now + request.timeoutMs
  }

  start(now: number): void {
    const { balancer, service, request } = this
    service.budget.deposit()
    const upstream = service.pick(request, now, undefined)
    if (typeof upstream === 'string') {
      this.done = true
      this.handler.onResponseError?.(NOTHING_SENT, new NoUpstreamError(service.name, upstream))
      return
    }
    balancer.wheel.start(this.deadline, this.deadlineAt)
    if (request.hedgeable && service.size > 1) {
      const after = balancer.hedgeAfter(request.latencies)
      if (after < request.timeoutMs) {
        this.hedging = new Timer(() => this.sendHedge())
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
    this.heardAt = 0
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
    return Math.max(1, Math.ceil(this.deadlineAt - now))
  }

  // What attempts tell.

  begun(): void {
    if (this.started) return
    this.started = true
    this.handler.onRequestStart?.(this, undefined)
  }

  /** The head of an answer has come. Answers whether it is wanted. */
  answered(attempt: Attempt, status: number, headers: IncomingHttpHeaders, now: number): boolean {
    if (this.done || this.winner !== undefined) return false
    if (RETRIED_STATUS.has(status) && headers['x-skerry-deadline'] === undefined && this.insteadOf(attempt, now))
      return false
    this.winner = attempt
    this.heardAt = now
    if (this.hedging !== undefined) this.balancer.wheel.stop(this.hedging)
    const other = attempt === this.first ? this.hedge : this.first
    if (other !== undefined) {
      if (attempt === this.hedge) other.lost(now)
      else this.balancer.events.hedgeLost(this.service.name)
      other.drop()
    }
    this.handler.onResponseStart?.(this, status, headers, '')
    return !this.done
  }

  data(chunk: Buffer): void {
    this.heardAt = 0
    this.handler.onResponseData?.(this, this.request.transient ? chunk : Buffer.from(chunk))
  }

  ended(trailers: IncomingHttpHeaders): void {
    if (this.done) return
    this.finish()
    this.handler.onResponseEnd?.(this, trailers)
  }

  failed(attempt: Attempt, error: Error): void {
    if (this.done) return
    if (this.winner !== undefined) {
      if (this.winner === attempt) this.fail(error)
      return
    }
    // The other one may still answer.
    if (this.forget(attempt)) return
    const now = performance.now()
    if (this.mayRetry(attempt, error) && this.next(attempt, now)) return
    this.fail(error)
  }

  /** Asks another instance in place of one whose answer is no good. Answers whether somebody else is asked. */
  private insteadOf(attempt: Attempt, now: number): boolean {
    const { request } = this
    if (!request.repeatable) return false
    if (this.forget(attempt)) return true
    if (this.attemptsLeft === 0) return this.restore(attempt)
    const upstream = this.service.pick(request, now, this.triedWith(attempt))
    if (typeof upstream === 'string' || !this.affords(upstream)) return this.restore(attempt)
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

  private restore(attempt: Attempt): false {
    this.first = attempt
    return false
  }

  private mayRetry(attempt: Attempt, error: Error): boolean {
    if (this.attemptsLeft === 0 || (failureOf(error) === undefined && !(error instanceof HungError))) return false
    return !attempt.sent || this.request.repeatable
  }

  private next(attempt: Attempt, now: number): boolean {
    const upstream = this.service.pick(this.request, now, this.triedWith(attempt))
    if (typeof upstream === 'string') return false
    // What never arrived anywhere is no traffic.
    if (attempt.sent && !this.affords(upstream)) return false
    this.retry(upstream, now)
    return true
  }

  /** Takes what a further attempt costs. Without it a probe that was chosen gives its place back. */
  private affords(upstream: Upstream): boolean {
    if (this.service.budget.withdraw()) return true
    if (upstream.circuit.isOpen) upstream.circuit.release()
    return false
  }

  private retry(upstream: Upstream, now: number): void {
    this.attemptsLeft--
    this.balancer.events.retried(this.service.name)
    this.first = new Attempt(this, upstream)
    this.first.send(now)
  }

  private triedWith(attempt: Attempt): Upstream[] {
    if (this.tried === undefined) this.tried = [attempt.upstream]
    else if (!this.tried.includes(attempt.upstream)) this.tried.push(attempt.upstream)
    return this.tried
  }

  private sendHedge(): void {
    const { first, service, balancer } = this
    if (this.done || this.winner !== undefined || this.hedge !== undefined || first === undefined) return
    const now = performance.now()
    const upstream = service.pick(this.request, now, this.triedWith(first))
    if (typeof upstream === 'string' || !this.affords(upstream)) return
    balancer.events.hedged(service.name)
    this.triedWith(first).push(upstream)
    this.hedge = new Attempt(this, upstream)
    this.hedge.send(now)
  }

  /** The deadline, and later the looks for silence, of which there is one at a time. */
  private late(): void {
    if (this.done) return
    const now = performance.now()
    const { winner, request, balancer } = this
    if (winner === undefined) {
      for (const attempt of [this.first, this.hedge]) attempt?.expire(now)
      this.fail(new DeadlineError())
      return
    }
    // Parts that come set it to 0, which costs less than asking for the time at each of them; a slow caller is no silence.
    if (this.heardAt === 0) this.heardAt = now
    const silentAt = this.heardAt + (this.paused ? Math.max(SLOWEST_CALLER_MS, request.silenceMs) : request.silenceMs)
    if (silentAt > now) balancer.wheel.start(this.deadline, silentAt)
    else {
      winner.drop()
      this.fail(new SilenceError())
    }
  }

  private fail(error: Error): void {
    this.finish()
    this.handler.onResponseError?.(this, error)
  }

  private finish(): void {
    this.done = true
    this.balancer.wheel.stop(this.deadline)
    if (this.hedging !== undefined) this.balancer.wheel.stop(this.hedging)
  }

  /** Takes in what an instance's failure means for it. */
  blame(upstream: Upstream, failure: ReturnType<typeof failureOf>, tookMs: number, now: number, pauseMs = 0): void {
    if (failure !== undefined) this.balancer.failed(this.service, upstream, failure, tookMs, now, pauseMs)
  }
}

/** One attempt of a call at one instance; undici's handler for it. */
export class Attempt implements Dispatcher.DispatchHandler {
  readonly upstream: Upstream
  controller: Dispatcher.DispatchController | undefined
  /** It left for the instance, so the instance may have seen it. */
  sent = false
  /** Where it stands among those that wait at its instance; -1: it does not. */
  place = -1
  private readonly call: Call
  private readonly probing: boolean
  private sentAt = 0
  private over = false
  private wanted = false

  constructor(call: Call, upstream: Upstream) {
    this.call = call
    this.upstream = upstream
    this.probing = upstream.circuit.isOpen
  }

  send(now: number): void {
    const { request } = this.call
    this.sentAt = now
    if (request.stream) this.upstream.streams++
    else {
      this.upstream.inFlight++
      this.upstream.await(this)
    }
    const headers = request.stream
      ? request.headers
      : [...request.headers, 'x-skerry-deadline', String(this.call.remainingMs(now))]
    this.upstream.dispatch(
      { method: request.method, path: request.path, headers, body: request.body },
      request.stream,
      this
    )
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // undici cannot take back what waits in its line.
    if (this.over) {
      controller.abort(new CallerGoneError())
      return
    }
    this.controller = controller
    this.sent = true
    // Not from before: how long a connection takes to make says nothing of the next request.
    this.sentAt = performance.now()
    this.call.begun()
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // 100 and 103 announce an answer, they are none.
    if (status < 200 || this.over) return
    const now = performance.now()
    const took = now - this.sentAt
    this.upstream.awaitNoMore(this)
    // Its time was up, as we had told it: that says nothing of the instance, and nobody else would have more.
    if (headers['x-skerry-deadline'] === 'passed') this.release()
    else if (status >= 500) this.call.blame(this.upstream, 'status', took, now, retryAfterMs(status, headers))
    else {
      this.upstream.answered(took, now)
      this.call.request.latencies?.observe(took)
    }
    this.wanted = this.call.answered(this, status, headers, now)
    if (!this.wanted && !this.over) this.discard()
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.wanted) this.call.data(chunk)
  }

  onResponseEnd(_controller: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    if (this.over) return
    this.leave()
    this.call.ended(trailers)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.over) return
    this.leave()
    const now = performance.now()
    const failure = failureOf(error)
    if (failure === undefined) this.release()
    // An answer that breaks off after its head counts, too.
    else this.call.blame(this.upstream, failure, now - this.sentAt, now)
    this.call.failed(this, error)
  }

  /** Its answer is not wanted: the connection is freed or closed, and nobody is told. */
  drop(): void {
    if (this.over) return
    this.leave()
    this.release()
    if (this.controller !== undefined) this.controller.abort(new CallerGoneError())
    else this.upstream.withdraw(this.call.request.stream, this)
  }

  /** The deadline passed while it waited. */
  expire(now: number): void {
    if (this.over) return
    if (this.sent) this.call.blame(this.upstream, 'timeout', now - this.sentAt, now)
    this.drop()
  }

  /** Another instance was asked later and answered sooner. */
  lost(now: number): void {
    if (this.sent) this.call.blame(this.upstream, 'slow', now - this.sentAt, now)
  }

  /** Its instance hangs: what may be repeated goes elsewhere. */
  evacuate(): void {
    if (this.over || !this.call.request.repeatable) return
    this.drop()
    this.call.failed(this, new HungError())
  }

  private discard(): void {
    this.leave()
    if (this.controller instanceof Connection) this.controller.discard()
    else this.controller?.abort(new CallerGoneError())
  }

  private release(): void {
    if (this.probing) this.upstream.circuit.release()
  }

  private leave(): void {
    this.over = true
    const { upstream } = this
    if (this.call.request.stream) upstream.streams--
    else {
      upstream.inFlight--
      upstream.awaitNoMore(this)
    }
  }
}

/** For how long an instance asks to be left alone, from a 429 or 503 with `Retry-After` in seconds; 0 for none or a date. */
export function retryAfterMs(status: number, headers: IncomingHttpHeaders): number {
  const value = headers['retry-after']
  if (status !== 503 || value === undefined || !/^\d{1,6}$/.test(value)) return 0
  return Math.min(LONGEST_RETRY_AFTER_S, Number(value)) * 1_000
}
