import type { Static, TSchema } from 'typebox'
import type { ErrorCode } from './errors.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/**
 * One HTTP route, declared once. The service validates, serialises and documents with it; the SDK takes its types from it;
 * the gateway takes its limits from it.
 *
 * - `path`: with `:name` parameters, always below a prefix that the service owns.
 * - `auth`: `required` needs a token, `optional` reads one when it is there, `none` ignores it.
 * - `response`: schema of each success status; `null` for an empty body.
 * - `idempotent`: the route honours `Idempotency-Key`.
 * - `limit`: the class of rate limit the gateway applies.
 * - `stream`: the answer does not end by itself (SSE, WebSocket), so no time limit holds for it.
 */
export type RouteContract = {
  readonly method: Method
  readonly path: string
  readonly summary: string
  readonly tag: string
  readonly auth: 'required' | 'optional' | 'none'
  readonly params?: TSchema
  readonly query?: TSchema
  readonly body?: TSchema
  readonly response: Readonly<Record<number, TSchema | null>>
  readonly errors: readonly ErrorCode[]
  readonly idempotent?: boolean
  readonly limit?: 'default' | 'sign-in' | 'sign-up'
  readonly stream?: boolean
}

/** Declares a route; the literal types are kept for the SDK and the handlers. */
export function defineRoute<const R extends RouteContract>(route: R): R {
  return route
}

type StaticOf<S> = S extends TSchema ? Static<S> : undefined

/** What a handler or a client gets as path parameters, query and body of a route. */
export type ParamsOf<R extends RouteContract> = StaticOf<R['params']>
export type QueryOf<R extends RouteContract> = StaticOf<R['query']>
export type BodyOf<R extends RouteContract> = StaticOf<R['body']>

/** The resource a route answers with on success (`undefined` for an empty body). */
export type ResultOf<R extends RouteContract> = R['response'][keyof R['response']] extends infer S
  ? S extends TSchema
    ? Static<S>
    : undefined
  : never
