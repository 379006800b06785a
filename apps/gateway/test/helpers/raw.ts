import { once } from 'node:events'
import { connect } from 'node:net'

export type RawAnswer = { status: number; head: string; body: string }

/** Sends bytes as they are and reads the answer until the server closes; for what no HTTP client would send. */
export async function sendRaw(port: number, ...parts: (string | Buffer)[]): Promise<RawAnswer> {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  // A server that refuses a request may close while it is still being written.
  socket.on('error', () => socket.destroy())
  const closed = once(socket, 'close')
  for (const part of parts) socket.write(part)
  await closed
  const end = text.indexOf('\r\n\r\n')
  return { status: Number(text.slice(9, 12)), head: text.slice(0, end).toLowerCase(), body: text.slice(end + 4) }
}

/** A GET for a path as it is. */
export function rawGet(port: number, path: string, headers = ''): Promise<RawAnswer> {
  return sendRaw(port, `GET ${path} HTTP/1.1\r\nhost: x\r\n${headers}connection: close\r\n\r\n`)
}
