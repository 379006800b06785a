import { DeadlineError } from '../upstreams/errors.ts'

/** How a request ended, as far as it tells of its service's load. */
export type Outcome =
  /** It was answered. */
  | 'answered'
  /** A timeout, or the service itself said that it has too much to do (503, 429). */
  | 'dropped'
  /** Nothing can be learned from it: the client left, nothing was sent, it failed at once. */
  | 'ignored'

/** What an answer says of its service's load. */
export function outcomeOfAnswer(status: number): Outcome {
  return status === 503 || status === 429 ? 'dropped' : 'answered'
}

/** What a failed request says of it: a deadline that passed, much; anything else, nothing. */
export function outcomeOfFailure(error: Error): Outcome {
  return error instanceof DeadlineError ? 'dropped' : 'ignored'
}
