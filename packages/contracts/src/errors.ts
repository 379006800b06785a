import type { Problem, Violation } from './common.ts'

/**
 * Every error code of Skerry with its status and title: `type` is derived from the code, so a client may match either.
 * Codes of one service share a prefix; codes without one come from the house (gateway or any service).
 */
export const ERRORS = {
  BAD_REQUEST: { status: 400, title: 'The request does not match the schema of this route' },
  BAD_JSON: { status: 400, title: 'The body is not valid JSON' },
  BAD_CURSOR: { status: 400, title: 'The cursor is not valid for this list' },
  UNAUTHENTICATED: { status: 401, title: 'A valid access token is required' },
  TOKEN_EXPIRED: { status: 401, title: 'The access token has expired' },
  SESSION_REVOKED: { status: 401, title: 'The session has been revoked' },
  FORBIDDEN: { status: 403, title: 'You do not have permission to do this' },
  NOT_FOUND: { status: 404, title: 'The resource does not exist' },
  METHOD_NOT_ALLOWED: { status: 405, title: 'The method is not allowed for this path' },
  REQUEST_TIMEOUT: { status: 408, title: 'The request took too long to arrive' },
  CONFLICT: { status: 409, title: 'The request conflicts with the state of the resource' },
  IDEMPOTENCY_IN_FLIGHT: { status: 409, title: 'A request with this Idempotency-Key is still in progress' },
  PRECONDITION_FAILED: { status: 412, title: 'The resource has changed since it was read' },
  BODY_TOO_LARGE: { status: 413, title: 'The body is too large' },
  URI_TOO_LONG: { status: 414, title: 'The URI is too long' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'The content type is not supported here' },
  IDEMPOTENCY_MISMATCH: { status: 422, title: 'This Idempotency-Key was used for another request' },
  HEADERS_TOO_LARGE: { status: 431, title: 'The headers are too large' },
  RATE_LIMITED: { status: 429, title: 'Too many requests' },
  INTERNAL: { status: 500, title: 'Internal server error' },
  BAD_GATEWAY: { status: 502, title: 'The upstream service sent an invalid response' },
  UNAVAILABLE: { status: 503, title: 'The service is temporarily unavailable' },
  TIMEOUT: { status: 504, title: 'The upstream service took too long to respond' },

  AUTH_EMAIL_TAKEN: { status: 409, title: 'This email address is already registered' },
  AUTH_USERNAME_TAKEN: { status: 409, title: 'This username is taken' },
  AUTH_BAD_CREDENTIALS: { status: 401, title: 'The login or the password is wrong' },
  AUTH_BAD_REFRESH_TOKEN: { status: 401, title: 'The refresh token is not valid' },
  AUTH_REAUTHENTICATION_NEEDED: { status: 403, title: 'Sign in again or send currentPassword' },
  AUTH_SESSION_NOT_FOUND: { status: 404, title: 'There is no such session' },
  AUTH_DELETION_NOT_FOUND: { status: 404, title: 'There is no such deletion' },
  AUTH_EXPORT_NOT_FOUND: { status: 404, title: 'There is no such export' },
  AUTH_EXPORT_NOT_READY: { status: 409, title: 'The export is not complete yet' },

  USR_NOT_FOUND: { status: 404, title: 'There is no such user' },
  USR_SELF_FOLLOW: { status: 400, title: 'Users cannot follow themselves' },

  CNT_POST_NOT_FOUND: { status: 404, title: 'There is no such post' },
  CNT_COMMENT_NOT_FOUND: { status: 404, title: 'There is no such comment' },

  RT_TOO_MANY_STREAMS: { status: 429, title: 'Too many live streams are open for this user' }
} as const satisfies Record<string, { status: number; title: string }>

export type ErrorCode = keyof typeof ERRORS

/** What may go with a coded error. `retryAfter` is in whole seconds. */
export type ErrorOptions = {
  detail?: string
  errors?: Violation[]
  retryAfter?: number
  headers?: Record<string, string>
  cause?: unknown
}

/** An error that a caller may see: its code decides the status, nothing of its cause is ever sent. */
export class SkerryError extends Error {
  readonly code: ErrorCode
  readonly status: number
  readonly errors: Violation[] | undefined
  readonly retryAfter: number | undefined
  readonly headers: Record<string, string> | undefined
  readonly detail: string | undefined

  constructor(code: ErrorCode, options: ErrorOptions = {}) {
    super(options.detail ?? ERRORS[code].title, { cause: options.cause })
    this.name = 'SkerryError'
    this.code = code
    this.status = ERRORS[code].status
    this.errors = options.errors
    this.retryAfter = options.retryAfter
    this.headers = options.headers
    this.detail = options.detail
  }
}

/** The problem document of an error code. */
export function problem(code: ErrorCode, options: ErrorOptions & { requestId?: string } = {}): Problem {
  const known = ERRORS[code]
  return {
    type: `urn:skerry:error:${code.toLowerCase().replaceAll('_', '-')}`,
    title: known.title,
    status: known.status,
    code,
    ...(options.detail === undefined ? {} : { detail: options.detail }),
    ...(options.requestId === undefined ? {} : { requestId: options.requestId }),
    ...(options.errors === undefined ? {} : { errors: options.errors })
  }
}
