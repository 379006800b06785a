import { type Priority, SkerryError } from '@skerry/contracts'
import { DeadlineError } from '../upstreams/errors.ts'
import type { Outcome } from './outcome.ts'
import type { Overload, Refusal } from './overload.ts'

/** There was no place in a service for work of this priority; what matters more might have found one. `cause` is what a client is told. */
export class NoPlaceError extends Error {
  readonly priority: Priority

  constructor(priority: Priority, refusal: Refusal) {
    super('no place in the service', { cause: overloaded(refusal) })
    this.name = 'NoPlaceError'
    this.priority = priority
  }
}

/** Does work that has to have a place in its service: waits for one within the overload's bounds, or rejects with a NoPlaceError. */
export function inPlace<T extends { status: number }>(
  overload: Pick<Overload, 'admit' | 'settle'>,
  service: string,
  priority: Priority,
  work: () => Promise<T>
): Promise<T> {
  return new Promise((resolve, reject) => {
    const run = () => {
      const startedAt = performance.now()
      const settle = (outcome: Outcome) => overload.settle(service, performance.now() - startedAt, outcome)
      work().then(
        (answer) => {
          settle(answer.status === 503 || answer.status === 429 ? 'dropped' : 'answered')
          resolve(answer)
        },
        (error: Error) => {
          settle(outcomeOf(error))
          reject(error)
        }
      )
      return true
    }
    const refused = (refusal: Refusal) => reject(new NoPlaceError(priority, refusal))
    const answer = overload.admit(service, priority, { admitted: run, refused })
    if (answer === true) run()
    else if (answer !== undefined) refused(answer)
  })
}

/** What a failed request says of its service's load: a deadline that passed, much; anything else, nothing. */
export function outcomeOf(error: Error): Outcome {
  return error instanceof DeadlineError ? 'dropped' : 'ignored'
}

/** What a client is told that has to come back later. */
export function overloaded({ retryAfter }: Refusal): SkerryError {
  return new SkerryError('UNAVAILABLE', { detail: 'The server is overloaded.', retryAfter })
}
