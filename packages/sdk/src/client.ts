import { authRoutes, type Grant, type LiveMessage, usersRoutes } from '@skerry/contracts'
import { createApi } from './api.ts'
import { createCaller } from './call.ts'
import { createEtagCache } from './etag-cache.ts'
import { liveMessages, subscribe } from './live.ts'
import { createSessionKeeper } from './session.ts'
import type { Call, ClientOptions, LiveHandlers, LiveOptions, LiveSubscription } from './types.ts'

export type SkerryClient = ReturnType<typeof createClient>

/**
 * A client of one Skerry gateway for one user at a time. It makes no request by itself.
 *
 * Errors of every call: `SkerryApiError` (the server's problem document), `SkerryNetworkError` (no whole answer), the signal's reason.
 */
export function createClient(options: ClientOptions) {
  const baseUrl = options.baseUrl.replace(/\/+$/, '')
  const fetch: typeof globalThis.fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init))
  const cache = options.cacheEntries ? createEtagCache(options.cacheEntries) : undefined
  const etags = new WeakMap<object, string>()

  const call = createCaller({
    baseUrl,
    fetch,
    timeoutMs: options.timeoutMs ?? 15_000,
    retries: options.retries ?? 3,
    maxWaitMs: options.maxWaitMs ?? 30_000,
    cache,
    etags,
    session: () => session
  })
  const session = createSessionKeeper({
    storage: options.storage,
    storageKey: options.storageKey ?? 'skerry.session',
    // When the answer to a refresh is lost there is nothing better than to send the same token again.
    refresh: (refreshToken) => call(authRoutes.refresh, { body: { refreshToken }, safe: true }) as Promise<Grant>,
    onSignedOut: options.onSignedOut,
    onChange: () => cache?.clear()
  })

  const deps = {
    baseUrl,
    fetch,
    ownFetch: options.fetch !== undefined,
    session: () => session,
    probe: (signal: AbortSignal) => call(usersRoutes.getMe, { fields: ['id'], signal })
  }

  /** Live messages: with `onMessage` a subscription, without it an async iterator. */
  function live(handlers: LiveHandlers): LiveSubscription
  function live(options?: LiveOptions): AsyncGenerator<LiveMessage, void>
  function live(given?: LiveHandlers | LiveOptions) {
    return given !== undefined && 'onMessage' in given ? subscribe(deps, given) : liveMessages(deps, given)
  }

  return {
    ...createApi({ call, session: () => session }),
    /** Calls any route by its contract; the methods of the groups all end here. */
    call: call as Call,
    /** The ETag a resource came with: for `ifMatch` after the resource itself is gone. */
    etagOf: (resource: object) => etags.get(resource),
    live
  }
}
