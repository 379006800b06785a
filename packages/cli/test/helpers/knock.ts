import { randomBytes } from 'node:crypto'
import { type Agent, type IncomingMessage, request } from 'node:http'

/** What a stranger was told. A stream is left as soon as it has begun; its body is empty then. */
export type Told = { status: number; headers: IncomingMessage['headers']; body: string }

/** One request over plain HTTP, without what a client would add or correct. `upgrade` asks for a WebSocket. */
export function knock(
  url: string,
  options: {
    method?: string
    headers?: Record<string, string | string[]>
    body?: unknown
    upgrade?: boolean
    agent?: Agent
  } = {}
): Promise<Told> {
  const { method = 'GET', body, upgrade = false, agent } = options
  const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
  const handshake = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': randomBytes(16).toString('base64')
  }
  return new Promise((resolve, reject) => {
    const asking = request(url, {
      method,
      ...(agent === undefined ? {} : { agent }),
      headers: {
        // Node says no length of the body of a DELETE by itself.
        ...(bytes === undefined ? {} : { 'content-type': 'application/json', 'content-length': bytes.length }),
        ...(upgrade ? handshake : {}),
        ...options.headers
      }
    })
    asking.once('error', reject)
    asking.once('upgrade', ({ statusCode = 0, headers }, socket) => {
      socket.destroy()
      resolve({ status: statusCode, headers, body: '' })
    })
    asking.once('response', (answer) => {
      const { statusCode: status = 0, headers } = answer
      if (headers['content-type']?.startsWith('text/event-stream')) {
        answer.destroy()
        resolve({ status, headers, body: '' })
        return
      }
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (chunk: string) => {
        text += chunk
      })
      answer.once('end', () => resolve({ status, headers, body: text }))
      answer.once('error', reject)
    })
    asking.end(bytes)
  })
}
