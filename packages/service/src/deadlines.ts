import { SkerryError } from '@skerry/contracts'
import type { Deadline } from '@skerry/deadline'
import { deadlinePassed } from '@skerry/deadline'
import type { FastifyReply } from 'fastify'

/** Milliseconds the gateway still waits; what is no whole number says nothing. */
const WHOLE = /^-?\d{1,10}$/

/** The time limit of one request: the lesser of the service's own and the gateway's `x-skerry-deadline`. */
export class RequestDeadline implements Deadline {
  /** `performance.now()`. */
  readonly at: number
  /** It is the gateway's, so the gateway knows of it without being told. */
  readonly ofCaller: boolean
  private reply: FastifyReply | undefined
  private passed = false
  private controller: AbortController | undefined

  /**
   * @param startedAt `performance.now()` when the request's headers were there
   * @param limitMs the service's own bound, milliseconds
   * @param header `x-skerry-deadline`: whole milliseconds; ignored when it is anything else
   */
  constructor(reply: FastifyReply, startedAt: number, limitMs: number, header: string | string[] | undefined) {
    this.reply = reply
    const given = header === undefined || !WHOLE.test(header as string) ? Number.POSITIVE_INFINITY : Number(header)
    this.ofCaller = given < limitMs
    this.at = startedAt + Math.min(given, limitMs)
  }

  /** True once the time has passed. */
  get expired(): boolean {
    return this.passed
  }

  /** True when the connection was closed before the answer. */
  get abandoned(): boolean {
    return this.reply?.raw.destroyed === true
  }

  remainingMs(): number {
    if (this.passed) return 0
    // What goes on after its answer is the service's own work.
    if (this.reply === undefined) return Number.POSITIVE_INFINITY
    return this.reply.raw.destroyed ? 0 : this.at - performance.now()
  }

  /** Aborts when the time passes or the connection closes before the answer; made when first asked for. */
  get signal(): AbortSignal {
    if (this.controller === undefined) {
      this.controller = new AbortController()
      if (this.passed || this.abandoned) this.controller.abort(this.error())
      // Of this answer, not of its connection: nothing is left behind on the connections that are kept.
      else this.reply?.raw.once('close', () => this.reply !== undefined && this.controller?.abort(this.error()))
    }
    return this.controller.signal
  }

  /** What the caller of a late request hears. */
  error(cause?: unknown): SkerryError {
    if (this.ofCaller || this.abandoned) return deadlinePassed(cause)
    const reason = cause === undefined ? {} : { cause }
    return new SkerryError('UNAVAILABLE', { detail: 'The service took too long to respond.', retryAfter: 1, ...reason })
  }

  /** The handler has answered or is answered for. Lets the request go: connections made under it would else keep it alive. */
  settle(): void {
    this.reply = undefined
  }

  /** Answers for the handler; its own result is then dropped. */
  expire(): void {
    const { reply } = this
    this.passed = true
    const error = this.error()
    this.settle()
    if (reply !== undefined && !reply.sent && !reply.raw.destroyed) reply.send(error)
    this.controller?.abort(error)
  }
}

/** How far apart two looks are at least, milliseconds: as late as an answer for a late handler may be. */
const LOOK_MS = 10
/** Timers may fire a little early. */
const EARLY_MS = 1

/**
 * The deadlines of all handlers that have not answered yet, under one timer, which stands at the earliest of them: a request costs an entry
 * in a set and a comparison, instead of a timer, an AbortController and two listeners. Deadlines that were met leave the timer where it
 * is; it then finds nothing to do once.
 */
export class Deadlines {
  private readonly pending = new Set<RequestDeadline>()
  private timer: NodeJS.Timeout | undefined
  private wakeAt = Number.POSITIVE_INFINITY
  private lookedAt = 0

  get size(): number {
    return this.pending.size
  }

  add(deadline: RequestDeadline): void {
    this.pending.add(deadline)
    if (deadline.at < this.wakeAt) this.wake(deadline.at)
  }

  /** True when the request was answered for already. */
  settle(deadline: RequestDeadline): boolean {
    this.pending.delete(deadline)
    deadline.settle()
    return deadline.expired
  }

  close(): void {
    clearTimeout(this.timer)
  }

  private wake(at: number): void {
    const wakeAt = Math.max(at, this.lookedAt + LOOK_MS)
    if (wakeAt >= this.wakeAt) return
    clearTimeout(this.timer)
    this.wakeAt = wakeAt
    this.timer = setTimeout(() => this.look(), Math.max(1, Math.ceil(wakeAt - performance.now())))
    this.timer.unref()
  }

  private look(): void {
    const now = performance.now()
    this.lookedAt = now
    this.wakeAt = Number.POSITIVE_INFINITY
    let next = Number.POSITIVE_INFINITY
    for (const deadline of this.pending) {
      if (deadline.at > now + EARLY_MS) {
        if (deadline.at < next) next = deadline.at
      } else {
        this.pending.delete(deadline)
        deadline.expire()
      }
    }
    if (next !== Number.POSITIVE_INFINITY) this.wake(next)
  }
}
