/** Why no instance could be asked. Neither message nor code is shown to a caller. */
export class NoUpstreamError extends Error {
  /** `away`: none is live; `full`: each has all the work it may have. */
  readonly reason: 'away' | 'full'

  constructor(service: string, reason: 'away' | 'full') {
    super(`${service}: ${reason === 'away' ? 'no live instance' : 'every instance is full'}`)
    this.name = 'NoUpstreamError'
    this.reason = reason
  }
}

/** The caller has gone: what was asked for it is dropped. */
export class CallerGoneError extends Error {
  constructor() {
    super('the caller has gone')
    this.name = 'CallerGoneError'
  }
}
