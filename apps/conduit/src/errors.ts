/** What a front end may see of an error: RealWorld's shape, `{ errors: { field: [message] } }`, or nothing for 401. */
export class ConduitError extends Error {
  readonly status: number
  readonly errors: Readonly<Record<string, readonly string[]>> | undefined
  /** Whole seconds. */
  readonly retryAfter: number | undefined

  constructor(
    status: number,
    errors?: Readonly<Record<string, readonly string[]>>,
    options: { retryAfter?: number; cause?: unknown } = {}
  ) {
    super(`${status} ${JSON.stringify(errors ?? {})}`, { cause: options.cause })
    this.name = 'ConduitError'
    this.status = status
    this.errors = errors
    this.retryAfter = options.retryAfter
  }
}

export const unauthorized = (): ConduitError => new ConduitError(401)
export const notFound = (what: string): ConduitError => new ConduitError(404, { [what]: ['not found'] })
export const notYours = (what: string): ConduitError => new ConduitError(403, { [what]: ['forbidden'] })
export const invalid = (field: string, message: string): ConduitError => new ConduitError(422, { [field]: [message] })
/** Skerry takes no more from this caller for now. */
export const tooMany = (retryAfter: number): ConduitError =>
  new ConduitError(429, { requests: ['are too many: try again later'] }, { retryAfter })
export const unavailable = (cause?: unknown, retryAfter = 1): ConduitError =>
  new ConduitError(503, { service: ['is not available now'] }, { cause, retryAfter })
