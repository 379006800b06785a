import { type Priority, SkerryError } from '@skerry/contracts'
import { type Outcome, outcomeOfAnswer, outcomeOfFailure } from './outcome.ts'
import type { Candidate, Overload, Refusal } from './overload.ts'

type Admission = Pick<Overload, 'admit' | 'settle'>

/**
 * The place of one request among all that its service has to do: it is asked for, perhaps waited for, and given back once. Whatever goes to a
 * service and ends gets there by one.
 */
export abstract class Place implements Candidate {
  private readonly overload: Admission
  private readonly lane: string
  protected readonly priority: Priority
  /** Since when it is taken, `performance.now()`; NaN while it is not. */
  private since = Number.NaN

  constructor(overload: Admission, lane: string, priority: Priority) {
    this.overload = overload
    this.lane = lane
    this.priority = priority
  }

  /** Whether it is still wanted when it is there. */
  protected abstract get isWanted(): boolean
  /** It is there: does what it was asked for. */
  protected abstract begin(now: number): void
  abstract refused(refusal: Refusal): void

  /** Asks for it: it begins, now or within the overload's bounds, or is refused. */
  ask(): void {
    const answer = this.overload.admit(this.lane, this.priority, this)
    if (answer === true) this.admitted()
    else if (answer !== undefined) this.refused(answer)
  }

  admitted(): boolean {
    if (!this.isWanted) return false
    this.since = performance.now()
    this.begin(this.since)
    return true
  }

  /** Gives it back, where it is taken. */
  settle(outcome: Outcome, now = performance.now()): void {
    const { since } = this
    if (Number.isNaN(since)) return
    this.since = Number.NaN
    this.overload.settle(this.lane, now - since, outcome)
  }
}

/** Does work that has to have a place in its service: waits for one within the overload's bounds, or rejects with a NoPlaceError. */
export function withPlace<T extends { status: number }>(
  overload: Admission,
  lane: string,
  priority: Priority,
  work: () => Promise<T>
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  new PlaceOfWork(overload, lane, priority, work, resolve, reject).ask()
  return promise
}

class PlaceOfWork<T extends { status: number }> extends Place {
  /** Whoever else waits for the outcome may have longer than who asked first. */
  protected readonly isWanted = true
  private readonly work: () => Promise<T>
  private readonly resolve: (answer: T) => void
  private readonly reject: (error: Error) => void

  constructor(
    overload: Admission,
    lane: string,
    priority: Priority,
    work: PlaceOfWork<T>['work'],
    resolve: PlaceOfWork<T>['resolve'],
    reject: PlaceOfWork<T>['reject']
  ) {
    super(overload, lane, priority)
    this.work = work
    this.resolve = resolve
    this.reject = reject
  }

  protected begin(): void {
    this.work().then(
      (answer) => {
        this.settle(outcomeOfAnswer(answer.status))
        this.resolve(answer)
      },
      (error: Error) => {
        this.settle(outcomeOfFailure(error))
        this.reject(error)
      }
    )
  }

  refused(refusal: Refusal): void {
    this.reject(new NoPlaceError(this.priority, refusal))
  }
}

/** There was no place in a service for work of this priority; what matters more might have found one. `cause` is what a client is told. */
export class NoPlaceError extends Error {
  readonly priority: Priority

  constructor(priority: Priority, refusal: Refusal) {
    super('no place in the service', { cause: overloaded(refusal) })
    this.name = 'NoPlaceError'
    this.priority = priority
  }
}

/** What a client is told that has to come back later. */
export function overloaded({ retryAfter }: Refusal): SkerryError {
  return new SkerryError('UNAVAILABLE', { detail: 'The server is overloaded.', retryAfter })
}
