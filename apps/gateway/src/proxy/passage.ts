import type { IncomingHttpHeaders } from 'node:http'
import { SkerryError } from '@skerry/contracts'
import type { Dispatcher } from 'undici'
import { laneOf } from '../overload/lane.ts'
import { outcomeOfAnswer, outcomeOfFailure } from '../overload/outcome.ts'
import type { Refusal } from '../overload/overload.ts'
import { overloaded, Place } from '../overload/place.ts'
import type { Call } from '../upstreams/call.ts'
import { CallerGoneError } from '../upstreams/errors.ts'
import type { BalancedRequest } from '../upstreams/types.ts'
import { asProblem } from './as-problem.ts'
import { endThen, tagsEndedBy } from './ended-answers.ts'
import type { Carrier, Exchange } from './exchange.ts'
import { type HeldAnswer, holdUntilEnded } from './held-answer.ts'
import { mirror } from './mirror.ts'

/** The service whose word ends sessions. */
const SESSION_OWNER = 'auth'

/**
 * The way of a request to its service (`upstreams/balancer.ts` finds the instance) and of the answer back, step by step: what is the same whether bodies
 * are kept (`relay.ts`) or pass through (`streamed/streamed-relay.ts`). Those say what the service is asked, and write its answer.
 */
export abstract class Passage extends Place implements Dispatcher.DispatchHandler, Carrier {
  /** The answer does not end by itself. */
  abstract readonly isStreaming: boolean
  protected readonly exchange: Exchange
  protected controller: Dispatcher.DispatchController | undefined
  /** It left for its service, which may have done it. */
  protected begun = false
  /** What came of the answer while its head has to wait. */
  private held: HeldAnswer | undefined

  constructor(exchange: Exchange) {
    const { deps, visit } = exchange
    super(deps.overload, laneOf(visit.route!), visit.priority)
    this.exchange = exchange
    exchange.carrier = this
  }

  /** What its service is asked, at `now`. */
  protected abstract request(now: number): BalancedRequest
  /** Writes the head of the answer; false where nobody wants it any more. */
  protected abstract head(status: number, came: IncomingHttpHeaders): boolean
  /** Writes a part of the answer, which is good until this returns. */
  protected abstract part(chunk: Buffer, controller: Dispatcher.DispatchController): void
  /** The answer is whole. */
  protected abstract whole(trailers: IncomingHttpHeaders): void
  /** The answer, which has begun, breaks off. */
  protected abstract broken(): void
  abstract closed(early: boolean): void

  // Its place, where it needs one.

  protected get isWanted(): boolean {
    return !this.exchange.isGone
  }

  protected begin(now: number): void {
    try {
      this.send(now)
    } catch (fault) {
      this.exchange.fail(fault)
    }
  }

  refused(refusal: Refusal): void {
    this.exchange.guarded(() => this.refuse(overloaded(refusal)))
  }

  // To its service.

  private send(now: number): void {
    const { exchange } = this
    const { deps } = exchange
    exchange.sentAt = now
    const request = this.request(now)
    if (request.timeoutMs <= 0) {
      this.settle('ignored')
      this.refuse(new SkerryError('TIMEOUT'))
      return
    }
    mirror(deps, request)
    // It may be over before this returns.
    this.called(deps.balancer.call(request, this, now))
  }

  /** Until the request is sent the call is what can be aborted. */
  protected called(call: Call | undefined): void {
    this.controller ??= call
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
    this.begun = true
    if (this.exchange.isGone) controller.abort(new CallerGoneError())
  }

  // From its service.

  onResponseStart(controller: Dispatcher.DispatchController, status: number, came: IncomingHttpHeaders): void {
    const { exchange } = this
    this.controller = controller
    const now = performance.now()
    this.settle(outcomeOfAnswer(status), now)
    exchange.headAt = now
    this.revokeSessions(came['x-skerry-revoked'])
    // A refusal (4xx) has changed nothing; a failure may have.
    const tags = status < 400 || status >= 500 ? tagsEndedBy(exchange.visit) : undefined
    if (exchange.isGone) {
      this.abort()
      endThen(exchange, tags, nothing)
    } else if (came['x-skerry-deadline'] === 'passed') this.late(tags)
    else if (tags === undefined) this.head(status, came)
    else this.hold(tags, controller, status, came)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.exchange.isGone) return
    if (this.held === undefined) this.part(chunk, controller)
    else this.held.parts.push(Buffer.from(chunk))
  }

  onResponseEnd(_controller: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    if (this.held !== undefined) this.held.ended = trailers
    else if (!this.exchange.isGone) this.whole(trailers)
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const { exchange } = this
    this.settle(outcomeOfFailure(error))
    if (this.held !== undefined) this.held.error = error
    else if (!exchange.isAnswered) this.failed(error)
    // Half an answer: the client learns it from the connection.
    else if (!exchange.isGone) this.broken()
  }

  // Apart, since a function with a closure in it makes what that refers to for each call.

  private hold(
    tags: readonly string[],
    controller: Dispatcher.DispatchController,
    status: number,
    came: IncomingHttpHeaders
  ): void {
    this.held = holdUntilEnded(this.exchange, tags, controller, () => {
      this.held = undefined
      return this.head(status, came) ? this : undefined
    })
  }

  private late(tags: readonly string[] | undefined): void {
    this.abort()
    endThen(this.exchange, tags, () => this.refuse(new SkerryError('TIMEOUT')))
  }

  private failed(error: Error): void {
    // Whatever was not sent was not done.
    const tags = this.begun ? tagsEndedBy(this.exchange.visit) : undefined
    endThen(this.exchange, tags, () => this.refuse(asProblem(error)))
  }

  private revokeSessions(header: string | string[] | undefined): void {
    const { deps, visit } = this.exchange
    if (typeof header !== 'string' || visit.route?.service !== SESSION_OWNER) return
    for (const sessionId of header.split(',')) deps.identity?.revoke(sessionId.trim())
  }

  // How it ends early.

  protected refuse(error: unknown): void {
    this.exchange.refuse(error)
  }

  /** Nobody wants the answer any more. */
  protected abort(): void {
    this.controller?.abort(new CallerGoneError())
  }

  /** Its client has gone before it had all of its answer. */
  protected leave(): void {
    const { headAt, visit } = this.exchange
    // Its service may do the write all the same, so its answer is awaited, within its deadline: then the old answers end.
    if (this.begun && headAt === 0 && tagsEndedBy(visit) !== undefined) return
    this.settle('ignored')
    this.abort()
  }
}

function nothing(): void {}
