import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { waitFor } from '@skerry/testing'

export type Seen = { id: string | null; type: string; data: Record<string, unknown> }

/** A client of a live stream that keeps what it saw. */
export type Client = {
  readonly seen: Seen[]
  /** The last id that it would come back with. */
  lastId(): string | undefined
  ended: boolean
  /** Breaks the connection without a word. */
  cut(): void
  until(count: number): Promise<void>
}

export type SseClient = Client & {
  status: number
  headers: IncomingMessage['headers']
  text: string
  /** Wishes of the server for the time to come back after. */
  retries: number[]
  beats: number
  response: IncomingMessage
}

type Options = { token?: string; lastEventId?: string | undefined; query?: string }

/** Opens a stream of server-sent events; resolves when the status is there. An answer that is no stream is read to its end. */
export function openSse(url: string, options: Options): Promise<SseClient> {
  return new Promise((resolve, reject) => {
    const headers: Record<string, string> = {}
    if (options.token !== undefined) headers.authorization = `Bearer ${options.token}`
    if (options.lastEventId !== undefined) headers['last-event-id'] = options.lastEventId
    const sent: ClientRequest = request(`${url}/v1/live${options.query ?? ''}`, { headers, agent: false })
    sent.on('error', reject)
    sent.on('response', (response) => {
      let place: string | undefined = options.lastEventId
      const client: SseClient = {
        seen: [],
        lastId: () => place,
        ended: false,
        status: response.statusCode ?? 0,
        headers: response.headers,
        text: '',
        retries: [],
        beats: 0,
        response,
        cut: () => response.destroy(),
        until: (count) => untilSeen(client, count)
      }
      const end = () => {
        client.ended = true
        if (client.status !== 200) resolve(client)
      }
      sent.off('error', reject)
      sent.on('error', end)
      response.on('error', end)
      response.on('close', end)
      let rest = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        client.text += chunk
        if (client.status !== 200) return
        const blocks = (rest + chunk).split('\n\n')
        rest = blocks.pop() ?? ''
        for (const block of blocks) {
          let type = 'message'
          let data: string | undefined
          for (const line of block.split('\n')) {
            if (line.startsWith('id: ')) place = line.slice(4)
            else if (line.startsWith('event: ')) type = line.slice(7)
            else if (line.startsWith('data: ')) data = line.slice(6)
            else if (line.startsWith('retry: ')) client.retries.push(Number(line.slice(7)))
            else if (line.startsWith(':')) client.beats++
            else throw new Error(`not a line of an event stream: ${line}`)
          }
          if (data !== undefined) client.seen.push({ id: place ?? null, type, data: JSON.parse(data) })
        }
      })
      if (client.status === 200) resolve(client)
    })
    sent.end()
  })
}

export type WsClient = Client & { code: number | undefined; reason: string; frames: number; socket: WebSocket }

/** Opens a WebSocket; rejects when it is refused. */
export function openWs(url: string, options: Options): Promise<WsClient> {
  const { token, lastEventId } = options
  const query = lastEventId === undefined ? '' : `?lastEventId=${lastEventId}`
  const Socket = WebSocket as unknown as new (url: string, options: object) => WebSocket
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const socket = new Socket(`${url.replace('http', 'ws')}/v1/live/ws${query}`, { headers })
  let place: string | undefined = lastEventId
  const client: WsClient = {
    seen: [],
    lastId: () => place,
    ended: false,
    code: undefined,
    reason: '',
    frames: 0,
    socket,
    cut: () => socket.close(),
    until: (count) => untilSeen(client, count)
  }
  return new Promise((resolve, reject) => {
    socket.onopen = () => resolve(client)
    socket.onerror = () => reject(new Error('the WebSocket was refused'))
    socket.onclose = (event) => {
      client.ended = true
      client.code = event.code
      client.reason = event.reason
    }
    socket.onmessage = (event) => {
      client.frames++
      const frame = JSON.parse(String(event.data)) as Partial<Seen>
      if (typeof frame.id === 'string') place = frame.id
      if (frame.type !== undefined) client.seen.push({ id: frame.id ?? null, type: frame.type, data: frame.data ?? {} })
    }
  })
}

function untilSeen(client: Client, count: number): Promise<void> {
  return waitFor(
    () => {
      if (client.ended && client.seen.length < count) throw new Error(`the stream ended after ${client.seen.length}`)
      return client.seen.length >= count
    },
    { message: `${count} messages` }
  )
}
