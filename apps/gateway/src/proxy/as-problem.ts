import { SkerryError } from '@skerry/contracts'
import { errors } from 'undici'
import { DeadlineError, failureOf, neverReached } from '../upstreams/errors.ts'

/** What a client is told when no service answered. */
export function asProblem(error: Error): SkerryError {
  if (error instanceof SkerryError) return error
  if (error instanceof DeadlineError) return new SkerryError('TIMEOUT', { cause: error })
  if (neverReached(error)) return new SkerryError('UNAVAILABLE', { cause: error, retryAfter: 1 })
  // Without a code it is a fault of ours rather than of the network.
  const { code } = error as NodeJS.ErrnoException
  const known = code !== undefined || error instanceof errors.HTTPParserError || failureOf(error) === 'timeout'
  return new SkerryError(known ? 'BAD_GATEWAY' : 'INTERNAL', { cause: error })
}
