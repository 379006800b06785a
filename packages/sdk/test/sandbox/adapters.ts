import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { WebSocket } from 'ws'

type Signal = { aborted: boolean; addEventListener(type: 'abort', listener: () => void): void }

/** Node's fetch behind a signal that is not Node's. */
export async function nodeFetch(url: string, init: RequestInit = {}): Promise<Response> {
  const { signal, ...rest } = init
  if (!signal) return fetch(url, rest)
  const controller = new AbortController()
  if (signal.aborted) controller.abort()
  ;(signal as Signal).addEventListener('abort', () => controller.abort())
  return fetch(url, { ...rest, signal: controller.signal })
}

/** As much of React Native's XMLHttpRequest as whatwg-fetch uses: without a listener of progress it tells the body when all has come. */
export class nodeXhr {
  readyState = 0
  status = 0
  statusText = ''
  responseURL = ''
  responseText = ''
  withCredentials = true
  onload?: () => void
  onerror?: () => void
  onabort?: () => void
  onreadystatechange?: () => void
  private method = ''
  private readonly sent: Record<string, string> = {}
  private came: IncomingMessage | undefined
  private outgoing: ClientRequest | undefined
  private aborted = false

  open(method: string, url: string): void {
    this.method = method
    this.responseURL = url
    this.readyState = 1
  }

  setRequestHeader(name: string, value: string): void {
    this.sent[name] = value
  }

  getAllResponseHeaders(): string {
    return Object.entries(this.came?.headers ?? {})
      .map(([name, value]) => `${name}: ${String(value)}\r\n`)
      .join('')
  }

  send(body?: string | null): void {
    const failed = () => {
      this.readyState = 4
      if (!this.aborted) this.onerror?.()
    }
    this.outgoing = request(this.responseURL, { method: this.method, headers: this.sent }, (response) => {
      this.came = response
      this.status = response.statusCode ?? 0
      response.setEncoding('utf8').on('data', (part) => {
        this.responseText += part
      })
      response.on('error', failed)
      response.on('end', () => {
        this.readyState = 4
        this.onload?.()
      })
    })
    this.outgoing.on('error', failed)
    this.outgoing.end(body ?? undefined)
  }

  abort(): void {
    this.aborted = true
    this.outgoing?.destroy()
    this.onabort?.()
  }
}

/** React Native's WebSocket takes headers as a third argument, and only there. */
export function reactNativeSocket(url: string, protocols: unknown, options?: { headers?: Record<string, string> }) {
  return new WebSocket(url, Array.isArray(protocols) ? (protocols as string[]) : [], {
    headers: options?.headers ?? {}
  })
}

/** A browser's WebSocket takes subprotocols, which must be tokens, and no headers. */
export function safariSocket(url: string, protocols: string | string[] = []) {
  for (const name of [protocols].flat())
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(String(name))) throw new SyntaxError(`wrong protocol: ${String(name)}`)
  return new WebSocket(url, protocols)
}
