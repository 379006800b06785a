import type { IncomingHttpHeaders } from 'node:http'
import { SkerryError } from '@skerry/contracts'
import type { Dispatcher } from 'undici'
import { laneOf } from '../overload/lane.ts'
import { outcomeOfAnswer, outcomeOfFailure } from '../overload/outcome.ts'
import type { Refusal } from '../overload/overload.ts'
import { overloaded, Place } from '../overload/place.ts'
import { CallerGoneError } from '../upstreams/errors.ts'
import type { BalancedRequest } from '../upstreams/types.ts'
import { AnswerWriter } from './answer-writer.ts'
import { asProblem } from './as-problem.ts'
import { endThen, tagsEndedBy } from './ended-answers.ts'
import type { Carrier, Exchange, ExchangeDeps } from './exchange.ts'
import { type HeldAnswer, holdUntilEnded } from './held-answer.ts'
import type { OpenStream } from './streams.ts'
import { isStream, leftOf, upstreamRequest } from './upstream-request.ts'

/** The service whose word ends sessions. */
const SESSION_OWNER = 'auth'

/** Sends a request to its service, when that has a place for it, and the answer to its client. */
export function relay(exchange: Exchange): void {
  if (!exchange.isGone) new Relay(exchange).start()
}

/** Sends a copy of what goes to its service to a shadow version. Not of a write, which would be done twice: they share the stores. */
export function mirror({ traffic, balancer }: ExchangeDeps, request: BalancedRequest): void {
  const version = request.hedgeable ? traffic?.mirrorOf(request.origin) : undefined
  if (version !== undefined) balancer.mirror(request, version)
}

/**
 * A request on its way to its service (`upstreams/balancer.ts` finds the instance) and the answer on its way back, written to the socket as it comes and at
 * the client's pace (`answer-writer.ts`).
 */
class Relay extends Place implements Dispatcher.DispatchHandler, Carrier, OpenStream {
  isStreaming = false
  private readonly exchange: Exchange
  private readonly writer: AnswerWriter
  private controller: Dispatcher.DispatchController | undefined
  /** It left for its service, which may have done it. */
  private begun = false
  /** What came of the answer while its head has to wait. */
  private held: HeldAnswer | undefined

  constructor(exchange: Exchange) {
    const { deps, visit, res } = exchange
    super(deps.overload, laneOf(visit.route!), visit.priority)
    this.exchange = exchange
    this.writer = new AnswerWriter(deps, visit, res)
    exchange.carrier = this
  }

  start(): void {
    // Streams take no place: they are held for hours, and have a bound of their own.
    if (isStream(this.exchange.visit)) this.begin(performance.now())
    else this.ask()
  }

  // Its place.

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
    this.exchange.guarded(() => this.exchange.refuse(overloaded(refusal)))
  }

  // To its service.

  private send(now: number): void {
    const { exchange } = this
    const { deps, visit, body, version } = exchange
    const { headers } = visit.raw
    const timeoutMs = leftOf(headers['x-skerry-deadline'], visit.route!.timeoutMs, now - visit.startedAt)
    exchange.sentAt = now
    if (timeoutMs <= 0) {
      this.settle('ignored')
      exchange.refuse(new SkerryError('TIMEOUT'))
      return
    }
    const request = upstreamRequest(visit, { headers, body, timeoutMs, version }, deps)
    mirror(deps, request)
    // Until it is sent the call is what can be aborted.
    this.controller = deps.balancer.call(request, this, now) ?? this.controller
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
      controller.abort(new CallerGoneError())
      endThen(exchange, tags, () => undefined)
    } else if (came['x-skerry-deadline'] === 'passed') {
      controller.abort(new CallerGoneError())
      endThen(exchange, tags, () => exchange.refuse(new SkerryError('TIMEOUT')))
    } else if (tags === undefined) this.head(status, came)
    else
      this.held = holdUntilEnded(exchange, tags, controller, () => {
        this.held = undefined
        this.head(status, came)
        return this
      })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.exchange.isGone) return
    if (this.held === undefined) this.writer.data(chunk, controller)
    else this.held.parts.push(Buffer.from(chunk))
  }

  onResponseEnd(_controller: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    if (this.held !== undefined) this.held.ended = trailers
    else if (!this.exchange.isGone) this.writer.end()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const { exchange } = this
    this.settle(outcomeOfFailure(error))
    if (this.held !== undefined) {
      this.held.error = error
      return
    }
    if (exchange.isAnswered) {
      // Half an answer: the client learns it from the connection.
      if (!exchange.isGone && !exchange.res.writableEnded) this.writer.destroy()
      return
    }
    // Whatever was not sent was not done.
    const tags = this.begun ? tagsEndedBy(exchange.visit) : undefined
    endThen(exchange, tags, () => exchange.refuse(asProblem(error)))
  }

  private revokeSessions(header: string | string[] | undefined): void {
    const { deps, visit } = this.exchange
    if (typeof header !== 'string' || visit.route?.service !== SESSION_OWNER) return
    for (const sessionId of header.split(',')) deps.identity?.revoke(sessionId.trim())
  }

  // To its client.

  private head(status: number, came: IncomingHttpHeaders): void {
    const { exchange, writer } = this
    const { deps, visit, res, cacheStatus } = exchange
    const ours = deps.heads.ours(visit, exchange.timing(came['server-timing']))
    if (cacheStatus !== undefined) ours['cache-status'] = cacheStatus
    const events = came['content-type']?.startsWith('text/event-stream') === true
    writer.head(status, came, ours, events || isStream(visit))
    exchange.isAnswered = true
    if (!events) return
    this.isStreaming = true
    deps.streams.add(this)
    // The head must not wait for the first event.
    res.flushHeaders()
  }

  // How it ends early.

  closed(early: boolean): void {
    const { exchange, writer } = this
    writer.closed()
    if (this.isStreaming) exchange.deps.streams.delete(this)
    if (!early) return
    writer.destroy()
    // Its service may do the write all the same, so its answer is awaited, within its deadline: then the old answers end.
    if (this.begun && exchange.headAt === 0 && tagsEndedBy(exchange.visit) !== undefined) return
    this.settle('ignored')
    this.controller?.abort(new CallerGoneError())
  }

  /** Ends a live stream in good order: its client connects again, elsewhere. */
  end(): void {
    // Before, so that nothing of the service is written behind the end.
    this.controller?.abort(new CallerGoneError())
    this.exchange.res.end()
  }

  destroy(): void {
    this.exchange.res.destroy()
  }
}
