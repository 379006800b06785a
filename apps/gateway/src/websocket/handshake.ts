import { createHash } from 'node:crypto'
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Duplex } from 'node:stream'
import { ignore } from '../listen/guard.ts'
import { CallerGoneError, DeadlineError } from '../upstreams/errors.ts'

/** What a service said to a handshake. */
export type Handshake = {
  status: number
  headers: IncomingHttpHeaders
  /** The connection, when it is a WebSocket now. */
  socket: Duplex | undefined
  /** What has come of it already, or the body of a refusal. */
  bytes: Buffer
}

export type HandshakeRequest = {
  /** `http://host:port` of the instance. */
  url: string
  path: string
  /** Name, value, name, value. */
  headers: readonly string[]
  /** The client's `Sec-WebSocket-Key`. */
  key: string
  timeoutMs: number
  /** Certificates to trust, PEM. */
  ca: string | undefined
  /** The client has gone. */
  signal: AbortSignal
}

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
/** The body of a refusal, bytes: a longer one is a fault of its instance. */
const LONGEST_REFUSAL = 65_536
/** What a service can answer a handshake with, beside 101: nothing else could be passed on. */
const FIRST_STATUS = 200
const LAST_STATUS = 599

/** Its answer to our handshake is not one to our key. */
export class HandshakeError extends Error {
  readonly code = 'WS_HANDSHAKE'
}

/** Asks one instance for a WebSocket (RFC 6455 4.1). Rejects when it does not answer in time, or answers no handshake of ours. */
export function shakeHands(options: HandshakeRequest): Promise<Handshake> {
  const { url, path, headers, key, timeoutMs, ca, signal } = options
  const { protocol, hostname, port, host } = new URL(url)
  return new Promise((resolve, reject) => {
    const secure = protocol === 'https:'
    const request = (secure ? httpsRequest : httpRequest)({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? (secure ? 443 : 80) : port,
      path,
      method: 'GET',
      headers: ['host', host, ...headers],
      agent: false,
      ...(secure ? { rejectUnauthorized: true, ca } : {})
    })
    const late = setTimeout(() => request.destroy(new DeadlineError()), timeoutMs)
    const leave = () => request.destroy(new CallerGoneError())
    const settled = () => {
      clearTimeout(late)
      signal.removeEventListener('abort', leave)
    }
    request.once('upgrade', (response, socket, head) => {
      settled()
      // For as long as it lives; until it is passed on nobody else listens.
      socket.on('error', ignore)
      if (response.headers['sec-websocket-accept'] !== acceptOf(key)) {
        socket.destroy()
        reject(new HandshakeError('the service accepted another handshake than ours'))
      } else resolve({ status: 101, headers: response.headers, socket, bytes: head })
    })
    request.once('response', (response) => {
      // Also behind a body that is not read on, so that it is nobody's uncaught error.
      response.on('error', ignore)
      const { statusCode: status = 0, headers } = response
      if (status < FIRST_STATUS || status > LAST_STATUS) {
        request.destroy(new HandshakeError(`the service answered ${status}, which is no status`))
        return
      }
      bodyOf(response).then(
        (bytes) => {
          settled()
          request.destroy()
          resolve({ status, headers, socket: undefined, bytes })
        },
        (error: Error) => {
          settled()
          reject(error)
        }
      )
    })
    // Also after it has settled, so that it is nobody's uncaught error.
    request.on('error', (error) => {
      settled()
      reject(error)
    })
    if (signal.aborted) leave()
    else signal.addEventListener('abort', leave, { once: true })
    request.end()
  })
}

/** The `Sec-WebSocket-Accept` that answers a key. */
export function acceptOf(key: string): string {
  return createHash('sha1').update(key).update(GUID).digest('base64')
}

async function bodyOf(response: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of response as AsyncIterable<Buffer>) {
    length += part.length
    // Neither a part of it nor nothing is what the service said.
    if (length > LONGEST_REFUSAL) throw new HandshakeError('a refusal too long to be passed on')
    parts.push(part)
  }
  return Buffer.concat(parts)
}
