import type { LiveMessage } from '@skerry/contracts'
import { unlessAborted } from './abort.ts'
import { SkerryApiError } from './errors.ts'
import { type Connection, type ConnectOptions, canStream, connectSse, NO_STREAMING } from './live-sse.ts'
import { connectWebSocket } from './live-websocket.ts'
import { backoff, delay } from './retry.ts'
import type { SessionKeeper } from './session.ts'
import type { LiveHandlers, LiveOptions, LiveSubscription } from './types.ts'

const IDLE_MS = 60_000
const RECONNECT_BASE_MS = 500
const RECONNECT_CAP_MS = 30_000
const REMEMBERED_IDS = 1_000
/** A connection that stood this long was a good one: the next back-off starts small again. */
const STABLE_MS = 10_000

export type LiveDeps = {
  baseUrl: string
  fetch: typeof globalThis.fetch
  /** `fetch` is not the platform's own. */
  ownFetch: boolean
  session: () => SessionKeeper
  /** Asks for something small with the session: throws what a WebSocket that was refused does not tell. */
  probe: (signal: AbortSignal) => Promise<unknown>
}

/**
 * Live messages, without end: reconnects with back-off, goes on after the last message seen, and drops what comes twice.
 * A `resync` message means that what was missed is not known any more.
 * @throws SkerryApiError when the session is over or the server refuses the stream
 */
export async function* liveMessages(deps: LiveDeps, options: LiveOptions = {}): AsyncGenerator<LiveMessage, void> {
  const stop = new AbortController()
  const onAbort = () => stop.abort()
  if (options.signal?.aborted) onAbort()
  options.signal?.addEventListener('abort', onAbort, { once: true })
  const seen = createSeen(REMEMBERED_IDS)
  const state = options.onState ?? (() => {})
  let lastEventId = options.lastEventId
  let base = RECONNECT_BASE_MS
  let failures = 0
  try {
    while (!stop.signal.aborted) {
      let error: unknown
      let token: string | null = null
      let openedAt = Number.POSITIVE_INFINITY
      try {
        state('connecting')
        token = await unlessAborted(deps.session().token(), stop.signal)
        const connection = connect(deps, options, {
          baseUrl: deps.baseUrl,
          token,
          lastEventId,
          signal: stop.signal,
          idleTimeoutMs: options.idleTimeoutMs ?? IDLE_MS,
          onOpen: () => {
            openedAt = Date.now()
            state('open')
          },
          onPlace: (id) => {
            lastEventId = id
          },
          onRetryHint: (ms) => {
            base = Math.min(ms, RECONNECT_CAP_MS)
          }
        })
        for await (const message of connection) {
          failures = 0
          if (message.id !== null) {
            if (message.type !== 'resync' && seen.has(message.id)) continue
            seen.add(message.id)
            lastEventId = message.id
          }
          yield message
        }
      } catch (caught) {
        error = caught
      }
      if (stop.signal.aborted) return
      if (isSocket(options) && openedAt === Number.POSITIVE_INFINITY && !(error instanceof TypeError)) {
        error = await whyRefused(deps, error, stop.signal)
        if (stop.signal.aborted) return
      }
      if (Date.now() - openedAt > STABLE_MS) failures = 0
      const wait = await nextDelay(deps, error, token, failures++, base, stop.signal)
      if (stop.signal.aborted) return
      state('waiting', error)
      await delay(wait, stop.signal).catch(() => {}) // an abort ends the loop
    }
  } finally {
    options.signal?.removeEventListener('abort', onAbort)
    stop.abort()
    state('closed')
  }
}

function isSocket({ transport = 'auto' }: LiveOptions): boolean {
  return transport === 'websocket' || (transport === 'auto' && !canStream())
}

function connect(deps: LiveDeps, options: LiveOptions, connection: ConnectOptions): Connection {
  if (isSocket(options)) return connectWebSocket(connection)
  if (!deps.ownFetch && !canStream()) throw new TypeError(NO_STREAMING)
  return connectSse(deps.fetch, connection)
}

/** No platform tells why a WebSocket did not open. If the session is over, an ordinary request with it says so. */
async function whyRefused(deps: LiveDeps, error: unknown, signal: AbortSignal): Promise<unknown> {
  try {
    await deps.probe(signal)
    return error
  } catch (reason) {
    return reason instanceof SkerryApiError && reason.status === 401 ? reason : error
  }
}

/** Milliseconds until the next connection; throws what no reconnect can mend. */
async function nextDelay(
  deps: LiveDeps,
  error: unknown,
  token: string | null,
  failures: number,
  base: number,
  signal: AbortSignal
) {
  if (error instanceof TypeError) throw error
  if (error instanceof SkerryApiError && error.status < 500) {
    if (error.status === 401) {
      if (token === null || failures > 3) throw error
      await renew(deps, token, signal)
    } else if (error.status !== 429 && error.status !== 408) throw error
  }
  const asked = error instanceof SkerryApiError ? (error.retryAfter ?? 0) * 1000 : 0
  return asked + backoff(failures, base, RECONNECT_CAP_MS)
}

async function renew(deps: LiveDeps, token: string, signal: AbortSignal): Promise<void> {
  try {
    await unlessAborted(deps.session().renew(token), signal)
  } catch (error) {
    if (error instanceof SkerryApiError && error.status === 401) throw error
    // The auth service is away for now, and the next connection tries again; or the stream was closed meanwhile.
  }
}

/** The newest ids, at most `max` of them. */
function createSeen(max: number) {
  const ids = new Set<string>()
  return {
    has: (id: string) => ids.has(id),
    add(id: string) {
      ids.add(id)
      if (ids.size <= max) return
      for (const oldest of ids) {
        ids.delete(oldest)
        return
      }
    }
  }
}

/** Runs `liveMessages` with handlers, one message after the other, until it is closed. */
export function subscribe(deps: LiveDeps, handlers: LiveHandlers): LiveSubscription {
  const stop = new AbortController()
  const onAbort = () => stop.abort()
  if (handlers.signal?.aborted) onAbort()
  handlers.signal?.addEventListener('abort', onAbort, { once: true })
  let lastEventId = handlers.lastEventId
  async function run(): Promise<void> {
    for await (const message of liveMessages(deps, { ...handlers, signal: stop.signal })) {
      const handle = message.type === 'resync' && handlers.onResync ? handlers.onResync : handlers.onMessage
      await handle(message)
      lastEventId = message.id ?? lastEventId
      if (stop.signal.aborted) return
    }
  }
  const closed = run()
    .catch((error) => handlers.onError?.(error))
    .then(() => handlers.signal?.removeEventListener('abort', onAbort))
  return {
    get lastEventId() {
      return lastEventId
    },
    closed,
    close: onAbort
  }
}
