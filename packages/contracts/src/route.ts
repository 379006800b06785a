import type { Static, TSchema } from 'typebox'
import type { ErrorCode } from './errors.ts'

/** A JSON merge patch (RFC 7396): the body of a PATCH in which null clears a member. */
export const MERGE_PATCH_TYPE = 'application/merge-patch+json'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

/** What is given up last under overload, first to last: `critical` (sign-in, refresh), `high` (writes), `normal` (reads), `low` (crawlers). */
export type Priority = 'critical' | 'high' | 'normal' | 'low'

/** The class of rate limit of a route: the gateway's own names, or one that its operators have configured. */
export type LimitClass = 'default' | 'sign-in' | 'sign-up' | (string & {})

/**
 * How the gateway may keep the answers of a GET. Times in seconds, both stale ones from the end of `ttl` (RFC 5861).
 *
 * - `scope`: `public`: one answer for all callers; `private`: one for each user. A public route that takes a token is shared only behind the
 *   gateway's check of the token, and tells caches outside to keep nothing.
 * - `ttl`: answered from the cache without asking. 0: nothing is kept, but requests that wait for the same answer share it.
 * - `staleWhileRevalidate`: answered from the cache while a new one is fetched; `staleIfError`: only when the service fails or does not
 *   answer. `Age` and `Cache-Status` say so.
 * - `tags`: names under which answers are ended: `profile:{id}` with parameters of the path or query; `{caller}` is the user's id, for
 *   private answers. A member that the request does not have leaves its tag out.
 * - `endedBy`: events that end tags, by subject: `{ 'users.profile.updated': ['profile:{userId}'] }` with members of the event's data. An
 *   event of another service may come before this one has taken it in: end by events of the service that answers.
 * - `vary`: request headers, in lower case, by which answers differ. Those that an answer names in `Vary` are learned; saying them here
 *   spares one request.
 *
 * The policy outranks what an answer says of freshness. An answer with `no-store`, `Set-Cookie`, `Vary: *`, under a public policy `private`,
 * is not kept, and a shorter `s-maxage` is heard.
 */
export type CachePolicy = {
  readonly scope: 'public' | 'private'
  readonly ttl: number
  readonly staleWhileRevalidate?: number
  readonly staleIfError?: number
  readonly tags?: readonly string[]
  readonly endedBy?: Readonly<Record<string, readonly string[]>>
  readonly vary?: readonly string[]
}

/**
 * One HTTP route, declared once. The service validates, serialises and documents with it; the SDK takes its types from it;
 * the gateway takes its limits from it.
 *
 * - `path`: with `:name` parameters, always below a prefix that the service owns.
 * - `summary`: its title in documents, an imperative of a few words without a full stop: `Create a post`. `description` says the rest in
 *   sentences.
 * - `auth`: `required` needs a token, `optional` reads one when it is there, `none` ignores it.
 * - `endedSession`: a token whose session has ended is taken, too (never one that has expired): for routes that end sessions, so that a
 *   repeat after a lost answer is told that it is done. The handler decides what such a caller may have.
 * - `ownToken`: the service reads tokens of its own form (`Authorization: Token …`), so `auth` is `none` and the gateway looks at none:
 *   `required` or `optional`, with the meaning that they have for `auth`.
 * - `ownerOnly`: what the path names is its owner's alone. The status that everybody else with a good token gets: 403, or 404 where they are
 *   not to learn that it is there.
 * - `keepsNull`: null is a value in its JSON body. Otherwise an optional member that is null (in a PATCH also an empty list) counts as absent,
 *   except in a merge patch. For APIs whose form others have set.
 * - `body`: schema of its JSON body; or `'stream'`: bodies of its requests, and what it answers without a schema, are bytes of any type and
 *   length, which nobody on the way reads whole. `bodyLimit`: bytes of such a request body, instead of the ordinary limit of JSON.
 * - `response`: schema of each success status; `null` for an empty body. `responseType`: its media type where that is not `application/json`; with
 *   `null` and a streamed body, that of the bytes.
 * - `idempotent`: the route honours `Idempotency-Key`: a write with a key may be sent again, and without this it is not.
 * - `limit`: the class of rate limit the gateway applies: `sign-in`, `sign-up`, or one that the gateway's `LIMIT_CLASSES` names; others
 *   count as none.
 * - `stream`: the answer does not end by itself (SSE, WebSocket), so no time limit holds for it.
 * - `timeoutMs`: the gateway's deadline for it, instead of its ordinary one.
 * - `priority`: instead of the one of its method.
 * - `cache`: how the gateway may keep its answers (GET).
 * - `ends`: tags that a success of this route ends before its answer goes out, so that who wrote reads what it wrote: `profile:{caller}`.
 */
export type RouteContract = {
  readonly method: Method
  readonly path: string
  readonly summary: string
  readonly description?: string
  readonly tag: string
  readonly auth: 'required' | 'optional' | 'none'
  readonly endedSession?: true
  readonly ownToken?: 'required' | 'optional'
  readonly ownerOnly?: 403 | 404
  readonly params?: TSchema
  readonly query?: TSchema
  readonly body?: TSchema | 'stream'
  readonly bodyLimit?: number
  readonly keepsNull?: true
  readonly response: Readonly<Record<number, TSchema | null>>
  readonly responseType?: string
  readonly errors: readonly ErrorCode[]
  readonly idempotent?: boolean
  readonly limit?: LimitClass
  readonly stream?: boolean
  readonly timeoutMs?: number
  readonly priority?: Priority
  readonly cache?: CachePolicy
  readonly ends?: readonly string[]
}

/** What of a route contract the gateway acts on; a service announces it for each of its routes. */
export type RouteRules = Pick<
  RouteContract,
  | 'method'
  | 'path'
  | 'auth'
  | 'endedSession'
  | 'idempotent'
  | 'limit'
  | 'stream'
  | 'timeoutMs'
  | 'priority'
  | 'cache'
  | 'ends'
  | 'bodyLimit'
> & { readonly body?: 'stream' }

/** The rules of contracts, without what only documents and services need. */
export function rulesOf(routes: Iterable<RouteContract>): RouteRules[] {
  return Array.from(routes, (route) => {
    const { method, path, auth, endedSession, idempotent, limit, stream, timeoutMs, priority, cache, ends } = route
    const { bodyLimit } = route
    return {
      method,
      path,
      auth,
      ...(endedSession === undefined ? {} : { endedSession }),
      ...(idempotent === undefined ? {} : { idempotent }),
      ...(limit === undefined ? {} : { limit }),
      ...(stream === undefined ? {} : { stream }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(priority === undefined ? {} : { priority }),
      ...(cache === undefined ? {} : { cache }),
      ...(ends === undefined ? {} : { ends }),
      ...(isStreamed(route) ? { body: 'stream' as const } : {}),
      ...(bodyLimit === undefined ? {} : { bodyLimit })
    }
  })
}

/** Whether the bodies of a route are bytes that nobody reads whole. */
export function isStreamed({ body }: Pick<RouteContract, 'body'>): boolean {
  return body === 'stream'
}

/** The schema of a route's JSON body, where it has one. */
export function jsonBodyOf({ body }: Pick<RouteContract, 'body'>): TSchema | undefined {
  return body === 'stream' ? undefined : body
}

/** Declares a route; the literal types are kept for the SDK and the handlers. */
export function defineRoute<const R extends RouteContract>(route: R): R {
  return route
}

type StaticOf<S> = S extends TSchema ? Static<S> : undefined

/** What a handler or a client gets as path parameters, query and JSON body of a route. */
export type ParamsOf<R extends RouteContract> = StaticOf<R['params']>
export type QueryOf<R extends RouteContract> = StaticOf<R['query']>
export type BodyOf<R extends RouteContract> = StaticOf<R['body']>

/** The resource a route answers with on success (`undefined` for an empty body). */
export type ResultOf<R extends RouteContract> = R['response'][keyof R['response']] extends infer S
  ? S extends TSchema
    ? Static<S>
    : undefined
  : never
