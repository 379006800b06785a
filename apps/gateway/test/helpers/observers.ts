import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { announce, type NatsConnection } from '@skerry/service'
import type { Test } from 'tap'

/** A request that reached a service. Its number goes back in `x-seen`, so that an answer says which request it is for. */
export type Seen = { by: string; method: string; target: string; body: string }

/** What all services of a test saw, in order, and what in it was not as it must be. */
export type Observed = { seen: Seen[]; faults: string[] }

export const SEEN_HEADER = 'x-seen'

/**
 * A service that reads as leniently as Node can: what is smuggled past a gateway turns up here as one more request.
 *
 * @param patienceMs for a request to arrive, and for the next one on its connection
 */
export function lenientServer(name: string, observed: Observed, patienceMs = 60_000): Server {
  const options = {
    insecureHTTPParser: true,
    maxHeaderSize: 65_536,
    headersTimeout: patienceMs,
    requestTimeout: patienceMs,
    connectionsCheckingInterval: 100,
    // Longer than any client keeps its side, so that no request meets a connection that is just being closed.
    keepAliveTimeout: patienceMs
  }
  const server = createHttpServer(options, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url: target = '' } = request
      const number = record(observed, { by: name, method, target, body: Buffer.concat(chunks).toString('latin1') })
      response.setHeader(SEEN_HEADER, String(number)).end(`{"seen":${number}}`)
    })
    request.on('aborted', () => observed.faults.push(`${name}: half a request for ${request.url}`))
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    if (error.code !== 'ECONNRESET') observed.faults.push(`${name}: bytes that are no request: ${error.message}`)
    socket.destroy()
  })
  return server
}

/** One field a line, nothing folded, no whitespace but one space, no byte that any parser takes for an end of line. */
const CANONICAL =
  /^([A-Z]+) (\/[\x21-\x7e]*) HTTP\/1\.1\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*\r\n)+)\r\n/

/**
 * A service that looks at the bytes themselves and takes only a form that no two parsers can read in two ways: one `host`, at most one
 * `content-length` of digits only, no coding, and not a byte more than the request it is about to answer.
 */
export function canonicalServer(name: string, observed: Observed): Server {
  return createServer((socket: Socket) => {
    let text = ''
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      const read = readCanonical(text)
      if (read === 'more') return
      if (typeof read === 'string') {
        observed.faults.push(`${name}: ${read}: ${JSON.stringify(text.slice(0, 400))}`)
        socket.destroy()
        return
      }
      text = ''
      const number = record(observed, { by: name, ...read })
      const body = read.method === 'HEAD' ? '' : `{"seen":${number}}`
      socket.write(`HTTP/1.1 200 OK\r\n${SEEN_HEADER}: ${number}\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
    })
  })
}

function readCanonical(text: string): Omit<Seen, 'by'> | string {
  if (!text.includes('\r\n\r\n')) return 'more'
  const [head, method, target, fields] = CANONICAL.exec(text) ?? []
  if (head === undefined || method === undefined || target === undefined || fields === undefined) return 'an odd head'
  const lines = fields.toLowerCase().split('\r\n')
  const valuesOf = (name: string) =>
    lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2))
  if (valuesOf('host').length !== 1) return 'not one host'
  if (lines.some((line) => /^(transfer-encoding|te|trailer|upgrade|expect):/.test(line))) return 'a hop-by-hop field'
  const [length = '0', ...more] = valuesOf('content-length')
  if (more.length > 0 || !/^(0|[1-9]\d*)$/.test(length)) return 'an odd length'
  const end = head.length + Number(length)
  if (text.length < end) return 'more'
  if (text.length > end) return 'bytes after a request'
  return { method, target, body: text.slice(head.length) }
}

function record(observed: Observed, seen: Seen): number {
  return observed.seen.push(seen) - 1
}

/** Listens on a free port of this host until the test ends. */
export async function listen(t: Test, server: Server): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}

let made = 0

/** Puts a server of whatever kind into the registry. */
export async function announceServer(
  t: Test,
  nc: NatsConnection,
  self: { service: string; prefixes: string[]; url: string }
): Promise<void> {
  const announced = await announce(nc, { version: '0.0.0', instance: `o${++made}`, weight: 1, ...self })
  t.teardown(() => announced.drain())
}
