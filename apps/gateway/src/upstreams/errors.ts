import type { Failure } from './types.ts'

/** Why no instance could be asked. Neither message nor code is shown to a caller. */
export class NoUpstreamError extends Error {
  /** `away`: none is live, or none can be reached; `full`: each has all the work it may have. */
  readonly reason: 'away' | 'full'
  /** For a live stream: instances have another number of those. */
  readonly stream: boolean

  constructor(service: string, reason: 'away' | 'full', stream = false) {
    super(`${service}: ${reason === 'away' ? 'no live instance' : 'every instance is full'}`)
    this.name = 'NoUpstreamError'
    this.reason = reason
    this.stream = stream
  }
}

/** The caller has gone: what was asked for it is dropped. */
export class CallerGoneError extends Error {
  constructor() {
    super('the caller has gone')
    this.name = 'CallerGoneError'
  }
}

/** No answer began before the deadline. */
export class DeadlineError extends Error {
  constructor() {
    super('no answer before the deadline')
    this.name = 'DeadlineError'
  }
}

/** An answer that began fell silent. */
export class SilenceError extends Error {
  constructor() {
    super('the answer fell silent')
    this.name = 'SilenceError'
  }
}

const REFUSED = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EADDRNOTAVAIL',
  'UND_ERR_CONNECT_TIMEOUT'
])
/** Ours, not the instance's. */
const NOT_ITS_FAULT = new Set([
  'BadRequestHeadError',
  'CallerGoneError',
  'InvalidArgumentError',
  'NotSupportedError',
  'AbortError'
])

/** What an error says of its instance; undefined: nothing. */
export function failureOf(error: Error): Failure | undefined {
  if (NOT_ITS_FAULT.has(error.name)) return undefined
  if (error instanceof DeadlineError || error instanceof SilenceError) return 'timeout'
  return REFUSED.has((error as NodeJS.ErrnoException).code ?? '') ? 'refused' : 'reset'
}

/** Whether nobody was reached at all. */
export function neverReached(error: Error): boolean {
  return error instanceof NoUpstreamError || REFUSED.has((error as NodeJS.ErrnoException).code ?? '')
}
