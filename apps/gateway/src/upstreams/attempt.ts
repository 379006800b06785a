import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { CallerGoneError, failureOf } from './errors.ts'
import { retryAfterMs } from './retry-after.ts'
import type { BalancedRequest, Failure } from './types.ts'
import type { Upstream, Waiting } from './upstream.ts'
import { isSource } from './wire/body.ts'
import { Connection } from './wire/connection.ts'
import { isProper, joinRepeated, ProtocolError, tellsItsEnd } from './wire/head.ts'

/** The call that an attempt belongs to, as far as it is told. */
export type AttemptHost = {
  readonly request: BalancedRequest
  /** Milliseconds that are left, as the service is told. */
  remainingMs(now: number): number
  /** It left for an instance. */
  begun(): void
  /** The head of an answer has come. Answers whether it is wanted. */
  answered(attempt: Attempt, status: number, headers: IncomingHttpHeaders, now: number): boolean
  data(chunk: Buffer): void
  ended(trailers: IncomingHttpHeaders): void
  failed(attempt: Attempt, error: Error): void
  /** Its instance hangs: what may be repeated is asked elsewhere, where there is somebody to ask. */
  evacuate(attempt: Attempt): void
  /** Its live stream is ended, and its client goes elsewhere. */
  moved(attempt: Attempt): void
  /** Takes in what an instance's failure means for it. */
  blame(upstream: Upstream, failure: Failure | undefined, tookMs: number, now: number, pauseMs?: number): void
}

/** One attempt of a call at one instance; undici's handler for it. */
export class Attempt implements Dispatcher.DispatchHandler, Waiting {
  readonly upstream: Upstream
  controller: Dispatcher.DispatchController | undefined
  /** It left for the instance, so the instance may have seen it. */
  sent = false
  place = -1
  private readonly call: AttemptHost
  private readonly probing: boolean
  private sentAt = 0
  private over = false
  private wanted = false

  constructor(call: AttemptHost, upstream: Upstream) {
    this.call = call
    this.upstream = upstream
    this.probing = upstream.circuit.isOpen
  }

  send(now: number): void {
    const { request } = this.call
    this.sentAt = now
    if (request.stream) this.upstream.streams++
    else this.upstream.inFlight++
    this.upstream.await(this)
    const { method, path, common, headers, body, stream } = request
    const deadlineMs = stream ? undefined : this.call.remainingMs(now)
    this.upstream.dispatch({ method, path, common, headers, deadlineMs, body }, stream, this)
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

  onResponseStart(controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (this.over) return
    // undici lets more pass, with which nothing could be answered.
    const isOurs = controller instanceof Connection
    if (!isOurs && !isProper(status, headers)) {
      controller.abort(new ProtocolError('a bad status or header'))
      return
    }
    if (!isOurs) joinRepeated(headers)
    // 100 and 103 announce an answer, they are none.
    if (status < 200) return
    if (!isOurs && !tellsItsEnd(this.call.request.method, status, headers)) {
      controller.abort(new ProtocolError('neither a length nor chunks, over TLS'))
      return
    }
    const now = performance.now()
    const took = now - this.since(now)
    this.upstream.awaitNoMore(this)
    // Its time was up, as we had told it: that says nothing of the instance, and nobody else would have more.
    if (headers['x-skerry-deadline'] === 'passed') this.release()
    // Nor does a refusal of what one caller has too much of.
    else if (headers['x-skerry-blame'] === 'caller') this.release()
    else if (status >= 500) this.call.blame(this.upstream, 'status', took, now, retryAfterMs(status, headers))
    else {
      this.upstream.answered(took, now)
      this.call.request.latencies?.observe(took)
    }
    this.wanted = this.call.answered(this, status, headers, now)
    if (!this.wanted && !this.over) this.discard()
    else if (!this.over && headers['content-type']?.startsWith('text/event-stream') === true)
      this.upstream.live.add(this)
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.wanted) this.call.data(chunk)
  }

  onResponseEnd(controller: Dispatcher.DispatchController, trailers: IncomingHttpHeaders): void {
    if (this.over) return
    if (!this.wanted) {
      this.onResponseError(controller, new ProtocolError('no answer'))
      return
    }
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
    else this.call.blame(this.upstream, failure, now - this.since(now), now)
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

  /** Its instance serves this live stream no more. */
  move(): void {
    this.call.moved(this)
  }

  /** The deadline passed while it waited. */
  expire(now: number): void {
    if (this.over) return
    if (this.sent) this.call.blame(this.upstream, 'timeout', now - this.since(now), now)
    this.drop()
  }

  evacuate(): void {
    this.call.evacuate(this)
  }

  /** Another instance was asked later and answered sooner. */
  lost(now: number): void {
    if (this.sent) this.call.blame(this.upstream, 'slow', now - this.sentAt, now)
  }

  /** Since when the instance could have answered: how long a body takes to come says nothing of it. */
  private since(now: number): number {
    const { body } = this.call.request
    return isSource(body) ? Math.max(this.sentAt, body.endedAt ?? now) : this.sentAt
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
    upstream.live.delete(this)
    if (this.call.request.stream) upstream.streams--
    else upstream.inFlight--
    upstream.awaitNoMore(this)
  }
}
