import type { Priority } from '@skerry/contracts'
import { Gradient, type GradientOptions } from './gradient.ts'
import type { Outcome } from './outcome.ts'

export type GateOptions = GradientOptions & {
  /** How long a request may wait for a place, ms: until a line has stood for so long, and then a twentieth of it. */
  readonly waitMs: number
  /** The same for what is critical, always. */
  readonly criticalWaitMs: number
  /** Requests of one priority that may wait. */
  readonly waiting: number
}

/** A request that waits for a place. */
export type Waiter = {
  /** It has one now. Answers false when its caller has gone meanwhile, which gives the place back. */
  admitted(): boolean
  /** It waited too long. */
  refused(): void
}

/** The part of a service's limit that each priority may fill: what matters less meets the end of it first. */
const SHARES: Readonly<Record<Priority, number>> = { critical: 1, high: 0.95, normal: 0.85, low: 0.6 }
const STANDING_PART = 0.05

type Line = { readonly priority: Priority; readonly waiters: { waiter: Waiter; since: number }[] }

/**
 * One service's door: its concurrency limit, and a line for what comes in one moment and is done with in the next. A line that does not
 * empty is overload, not a burst: then nearly nobody waits, since waiting would only make all answers late (the controlled delay of
 * Maurer, "Fail at Scale", ACM Queue 2015). Whatever comes when more are waiting than can be served in time is refused at once.
 */
export class ServiceGate {
  readonly gradient: Gradient
  /** How many wait. */
  waiting = 0
  private readonly options: GateOptions
  private readonly lines: readonly Line[]
  private emptySince = Number.NEGATIVE_INFINITY
  private standingSince = 0
  private advancing = false
  private again = false

  constructor(options: GateOptions) {
    this.options = options
    this.gradient = new Gradient(options)
    this.lines = (['critical', 'high', 'normal', 'low'] as const).map((priority) => ({ priority, waiters: [] }))
  }

  /** True: in. False: it has to wait or be refused. */
  tryEnter(priority: Priority): boolean {
    return this.gradient.tryEnter(SHARES[priority])
  }

  /** Lets a request wait; false when it would wait too long. */
  wait(priority: Priority, waiter: Waiter, now: number): boolean {
    const line = this.lines.find((one) => one.priority === priority)!
    if (this.waiting === 0 && now - this.emptySince > this.options.waitMs) this.standingSince = now
    if (line.waiters.length >= this.room(priority, now)) return false
    line.waiters.push({ waiter, since: now })
    this.waiting++
    return true
  }

  /** A request has ended: who waits comes in, what matters most first. */
  leave(latencyMs: number, outcome: Outcome, now: number, lateMs = 0): void {
    this.gradient.leave(latencyMs, outcome, now, lateMs)
    if (this.waiting > 0) this.advance(now)
    else if (this.gradient.isResting) this.gradient.rested(now, outcome)
  }

  /** Refuses who has waited too long and lets in who can come in. */
  advance(now: number): void {
    // A request that is let in may end before this does.
    this.again = true
    if (this.advancing) return
    this.advancing = true
    try {
      while (this.again) {
        this.again = false
        for (const line of this.lines) this.advanceLine(line, now)
      }
    } finally {
      this.advancing = false
    }
  }

  private advanceLine({ priority, waiters }: Line, now: number): void {
    const patience = this.patience(priority, now)
    let done = 0
    for (; done < waiters.length; done++) {
      const { waiter, since } = waiters[done]!
      if (now - since > patience) waiter.refused()
      else if (!this.tryEnter(priority)) break
      else if (!waiter.admitted()) this.gradient.leave(0, 'ignored', now)
    }
    if (done === 0) return
    waiters.splice(0, done)
    this.waiting -= done
    if (this.waiting === 0) this.emptySince = now
  }

  private patience(priority: Priority, now: number): number {
    const { waitMs, criticalWaitMs } = this.options
    if (priority === 'critical') return criticalWaitMs
    return this.standing(now) ? waitMs * STANDING_PART : waitMs
  }

  private room(priority: Priority, now: number): number {
    const { waiting, waitMs } = this.options
    if (priority === 'critical' || !this.standing(now)) return waiting
    return Math.min(waiting, Math.max(1, this.gradient.perMs * waitMs * STANDING_PART))
  }

  private standing(now: number): boolean {
    return this.waiting > 0 && now - this.standingSince > this.options.waitMs
  }
}
