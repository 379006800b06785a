import type { BodyOf, Grant, LiveMessage, ParamsOf, QueryOf, ResultOf, RouteContract } from '@skerry/contracts'

type Schema = NonNullable<RouteContract['body']>

/** Where the session is kept between starts of the app: AsyncStorage, a keychain, localStorage. All may be asynchronous. */
export type SessionStorage = {
  get(key: string): string | null | undefined | Promise<string | null | undefined>
  set(key: string, value: string): unknown
  remove(key: string): unknown
}

export type ClientOptions = {
  /** Address of the gateway, without `/v1`: `https://api.example.com`. */
  baseUrl: string
  /** Keeps the session; without it the session lives as long as the client. */
  storage?: SessionStorage
  /** The key the session is stored under (`skerry.session`). */
  storageKey?: string
  /** Another `fetch` than the global one. */
  fetch?: typeof globalThis.fetch
  /** Milliseconds one attempt may take, its body included (15,000). */
  timeoutMs?: number
  /** Attempts after the first (3). */
  retries?: number
  /** The longest `Retry-After` that is waited for, in milliseconds (30,000); a longer one is thrown to the caller at once. */
  maxWaitMs?: number
  /** How many answers to GET are kept to be revalidated by `ETag` (0: none). */
  cacheEntries?: number
  /** Called once when the server no longer takes the session, so that the app can show its sign-in. */
  onSignedOut?: (error: unknown) => void
}

/** What any call takes beside the members its contract declares. */
export type CallOptions = {
  /** An ETag, or a resource this client has read: the write is refused with 412 when it has changed since. */
  ifMatch?: string | object
  /** Made up for POSTs that take one when it is not given; every retry of the call sends the same. */
  idempotencyKey?: string
  /** Only these members come back: `['id', 'author.username']`. */
  fields?: readonly string[]
  signal?: AbortSignal
  /** Milliseconds one attempt of this call may take. */
  timeoutMs?: number
}

/** Everything `client.call` takes for a route. */
export type CallInput<R extends RouteContract> = CallOptions &
  (R extends { params: Schema } ? { params: ParamsOf<R> } : unknown) &
  (R extends { query: Schema } ? { query?: QueryOf<R> } : unknown) &
  (R extends { body: Schema } ? { body: BodyOf<R> } : unknown)

/** The input may be left out where nothing in it is required. */
export type CallArguments<R extends RouteContract> =
  Record<never, never> extends CallInput<R> ? [input?: CallInput<R>] : [input: CallInput<R>]

/** A resource of which only some members were asked for. */
export type Sparse<T> = T extends readonly (infer I)[]
  ? Sparse<I>[]
  : T extends object
    ? { [K in keyof T]?: Sparse<T[K]> }
    : T

type SparseAnswer<T> = T extends { items: (infer I)[]; nextCursor: string | null }
  ? { items: Sparse<I>[]; nextCursor: string | null }
  : Sparse<T>

/** What a route answers, sparse when `fields` were given. */
export type Answer<R extends RouteContract, O = unknown> = O extends { fields: readonly string[] }
  ? SparseAnswer<ResultOf<R>>
  : ResultOf<R>

export type Call = {
  <R extends RouteContract>(
    route: R,
    input: CallInput<R> & { fields: readonly string[] }
  ): Promise<SparseAnswer<ResultOf<R>>>
  <R extends RouteContract>(route: R, ...input: CallArguments<R>): Promise<ResultOf<R>>
}

/** A grant as it is stored; `expiresAt` and `refreshAt` are milliseconds of this device's clock. */
export type StoredSession = Omit<Grant, 'tokenType' | 'expiresIn'> & { expiresAt: number; refreshAt: number }

export type LiveState = 'connecting' | 'open' | 'waiting' | 'closed'

export type LiveOptions = {
  /** Where to go on: the id of the last message that was handled. */
  lastEventId?: string
  signal?: AbortSignal
  /** `auto` takes server-sent events, and WebSocket where `fetch` cannot stream (React Native). */
  transport?: 'auto' | 'sse' | 'websocket'
  /** Milliseconds without a byte (heartbeats count) after which the connection is taken for dead (60,000). */
  idleTimeoutMs?: number
  /** Told of every change, with the error that caused it. */
  onState?: (state: LiveState, error?: unknown) => void
}

export type LiveHandlers = LiveOptions & {
  /** Called for each message in order; when it returns a promise the next message waits for it. */
  onMessage: (message: LiveMessage) => unknown
  /** What was missed is no longer known: read afresh. Without it `onMessage` gets the `resync` message. */
  onResync?: (message: LiveMessage) => unknown
  /** The stream has ended for good: the session is over, or the server refuses it. */
  onError?: (error: unknown) => void
}

/** A running subscription with handlers. */
export type LiveSubscription = {
  /** Id of the last message that was handled: store it to go on from there. */
  readonly lastEventId: string | undefined
  /** Resolves when the subscription has ended, however it ended. */
  readonly closed: Promise<void>
  close(): void
}
