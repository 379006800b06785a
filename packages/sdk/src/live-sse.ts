import { type LiveMessage, realtimeRoutes } from '@skerry/contracts'
import { reasonOf } from './abort.ts'
import { apiError, SkerryNetworkError } from './errors.ts'
import { createSseParser } from './sse.ts'
import { routeUrl } from './transport.ts'

/** One connection of a live stream; ends when the connection does. */
export type Connection = AsyncGenerator<LiveMessage, void, undefined>

export type ConnectOptions = {
  baseUrl: string
  token: string | null
  lastEventId: string | undefined
  signal: AbortSignal
  idleTimeoutMs: number
  onOpen: () => void
  /** Where to go on from, told without a message: nothing for this user came before it. */
  onPlace: (id: string) => void
  /** The server's wish for the shortest time between reconnects, in milliseconds. */
  onRetryHint: (ms: number) => void
}

export const NO_STREAMING =
  "this platform's fetch cannot stream: use transport 'websocket', or give the client a fetch that can"

/** Whether the platform's own `fetch` hands a body out while it comes. React Native's first reads all of it, so a stream never begins. */
export function canStream(): boolean {
  return typeof TextDecoder === 'function' && typeof Response === 'function' && 'body' in Response.prototype
}

/** Server-sent events over a streaming `fetch`. */
export async function* connectSse(fetch: typeof globalThis.fetch, options: ConnectOptions): Connection {
  const { signal, idleTimeoutMs } = options
  const dead = new AbortController()
  let why: unknown
  const kill = (reason: unknown) => {
    why = reason
    dead.abort()
  }
  const onAbort = () => kill(reasonOf(signal))
  signal.addEventListener('abort', onAbort, { once: true })
  const silent = () => kill(new SkerryNetworkError('The live stream fell silent', { timeout: true }))
  let timer = setTimeout(silent, idleTimeoutMs)
  try {
    const body = await open(fetch, options, dead.signal)
    const reader = body.getReader()
    const decoder = new TextDecoder()
    const parser = createSseParser()
    options.onOpen()
    while (true) {
      clearTimeout(timer)
      timer = setTimeout(silent, idleTimeoutMs)
      const { done, value } = await reader.read().catch((cause) => {
        throw new SkerryNetworkError('The live stream broke off', { cause }) // undici and browsers throw a TypeError here
      })
      if (done) return
      // What the application does with a message is not the server's silence.
      clearTimeout(timer)
      for (const event of parser.push(decoder.decode(value, { stream: true }))) {
        yield { id: event.id ?? null, type: event.type, data: asData(event.data) }
      }
      if (parser.lastId) options.onPlace(parser.lastId)
      if (parser.retry !== undefined) options.onRetryHint(parser.retry)
    }
  } catch (error) {
    if (dead.signal.aborted) throw why
    throw error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
    dead.abort()
  }
}

async function open(fetch: typeof globalThis.fetch, options: ConnectOptions, signal: AbortSignal) {
  const headers: Record<string, string> = { accept: 'text/event-stream' }
  if (options.token !== null) headers.authorization = `Bearer ${options.token}`
  if (options.lastEventId !== undefined) headers['last-event-id'] = options.lastEventId
  const url = routeUrl(options.baseUrl, realtimeRoutes.live.path, {}, {})
  let response: Response
  try {
    response = await fetch(url, { headers, signal })
  } catch (cause) {
    throw new SkerryNetworkError('The live stream could not be opened', { cause })
  }
  if (response.status !== 200) throw apiError(response.status, response.headers, await response.text())
  if (response.body === null || response.body === undefined) {
    throw new TypeError(NO_STREAMING)
  }
  return response.body
}

/** The data of a message; what is not a JSON object counts as an empty one. */
export function asData(text: string): LiveMessage['data'] {
  const value: unknown = JSON.parse(text)
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as LiveMessage['data']) : {}
}
