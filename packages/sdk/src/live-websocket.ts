import { type LiveMessage, realtimeRoutes } from '@skerry/contracts'
import { reasonOf } from './abort.ts'
import { SkerryApiError, SkerryNetworkError } from './errors.ts'
import type { Connection, ConnectOptions } from './live-sse.ts'
import { routeUrl } from './transport.ts'

const MAX_WAITING = 1_000

/** What React Native takes beside the standard's arguments, to send the token as a header. */
type SocketConstructor = new (url: string, protocols?: unknown, options?: unknown) => WebSocket

function isReactNative(): boolean {
  return (globalThis.navigator as { product?: string } | undefined)?.product === 'ReactNative'
}

/** Live messages over WebSocket, for platforms whose `fetch` cannot stream (React Native). */
export async function* connectWebSocket(options: ConnectOptions): Connection {
  const { signal } = options
  if (signal.aborted) throw reasonOf(signal)
  const socket = openSocket(options)
  const waiting: Frame[] = []
  let ended: { error?: unknown } | undefined
  let wake = () => {}
  const end = (error?: unknown) => {
    ended ??= { error }
    wake()
  }
  const silent = () => end(new SkerryNetworkError('The live stream fell silent', { timeout: true }))
  let timer = setTimeout(silent, options.idleTimeoutMs)
  const onAbort = () => end(reasonOf(signal))
  signal.addEventListener('abort', onAbort, { once: true })
  socket.onopen = options.onOpen
  socket.onmessage = (event) => {
    clearTimeout(timer)
    timer = setTimeout(silent, options.idleTimeoutMs)
    try {
      const frame = parseFrame(event.data)
      if (frame !== undefined) waiting.push(frame)
    } catch (cause) {
      end(new SkerryNetworkError('The live stream sent what is not JSON', { cause }))
    }
    // A reader this slow goes on from its last id later, rather than filling the phone's memory.
    if (waiting.length > MAX_WAITING) end()
    wake()
  }
  socket.onerror = () => end(new SkerryNetworkError('The live stream failed'))
  socket.onclose = (event) => end(event.code === 1008 || event.code === 4401 ? refused(event.reason) : undefined)
  try {
    while (true) {
      const next = waiting.shift()
      if (next !== undefined) {
        if (typeof next === 'string') options.onPlace(next)
        else yield next
        continue
      }
      if (ended !== undefined) break
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    if (ended.error !== undefined) throw ended.error
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
    socket.onclose = null
    socket.onerror = () => {} // closing before the connection stands is reported as an error
    socket.onmessage = null
    socket.close()
  }
}

function openSocket(options: ConnectOptions): WebSocket {
  const query = { lastEventId: options.lastEventId }
  const url = routeUrl(options.baseUrl, realtimeRoutes.liveWs.path, {}, query).replace(/^http/, 'ws')
  const { token } = options
  const Socket = globalThis.WebSocket as unknown as SocketConstructor | undefined
  if (Socket === undefined) throw new TypeError('this platform has no WebSocket')
  try {
    if (token === null) return new Socket(url)
    if (isReactNative()) return new Socket(url, [], { headers: { authorization: `Bearer ${token}` } })
    // Browsers have nothing else to send it in; the gateway takes it out.
    return new Socket(url, ['skerry', `skerry.bearer.${token}`])
  } catch (cause) {
    throw new TypeError(`a WebSocket to ${url} cannot be made`, { cause }) // the next attempt would end in the same way
  }
}

function refused(reason: string): SkerryApiError {
  const title = reason || 'The server ended this live stream'
  return new SkerryApiError({ type: 'about:blank', title, status: 401, code: 'UNAUTHENTICATED' })
}

/** A message, or only the place to go on from. */
type Frame = LiveMessage | string

/** A frame of text with a message in it, or the heartbeat `{ id }`. */
function parseFrame(frame: unknown): Frame | undefined {
  if (typeof frame !== 'string' || frame === '') return undefined
  const value = JSON.parse(frame) as Partial<LiveMessage>
  if (typeof value.type === 'string') return { id: value.id ?? null, type: value.type, data: value.data ?? {} }
  return value.id ?? undefined
}
