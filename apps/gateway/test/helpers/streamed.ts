import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RouteRules } from '@skerry/contracts'
import { waitFor } from '@skerry/testing'
import type { Test } from 'tap'
import { type AppProcess, startProcess } from './processes.ts'

export const KIB = 1024
export const MIB = 1024 * KIB

const stream = { auth: 'none', body: 'stream' } as const
/**
 * Uploads of 64 MiB at most by POST and PUT, of 1 MiB to `/f/small`, downloads, a route that is no stream, and one whose answers are kept
 * until something is uploaded there.
 */
export const RULES: RouteRules[] = [
  { ...stream, method: 'POST', path: '/f/small', bodyLimit: MIB },
  { ...stream, method: 'POST', path: '/f/:name', bodyLimit: 64 * MIB },
  { ...stream, method: 'PUT', path: '/f/:name', bodyLimit: 64 * MIB },
  { ...stream, method: 'GET', path: '/f/:name' },
  { auth: 'none', method: 'POST', path: '/f/whole/:name' },
  { auth: 'none', method: 'GET', path: '/f/kept', cache: { scope: 'public', ttl: 60, tags: ['kept'] } },
  { ...stream, method: 'PUT', path: '/f/kept', ends: ['kept'] }
]

/** A gateway of its own process in front of servers at `/f`. */
export async function startStreaming(
  t: Test,
  urls: readonly string[],
  env: Record<string, string> = {},
  more: Partial<RouteRules> = {}
): Promise<AppProcess & { port: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-streamed-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = join(folder, 'rules.json')
  await writeFile(file, JSON.stringify(RULES.map((rule) => (rule.path === '/f/:name' ? { ...rule, ...more } : rule))))
  const gateway = await startProcess(t, '../../src/main.ts', {
    ...{ PORT: '0', DRAIN_MS: '0', IDLE_KEPT_MS: '0', LIMIT_EXEMPT: '127.0.0.1', HEALTH_INTERVAL_MS: '0' },
    ...{ ROUTES: `/f=${urls.join(',')}`, RULES_FILE: file },
    ...env
  })
  return { ...gateway, port: Number(new URL(gateway.url).port) }
}

export type Service = { url: string; server: Server; requests: IncomingMessage[] }

/** A bare server; `continues` answers what expects a word, which otherwise gets it at once. */
export async function startService(t: Test, answer: RequestListener, continues?: RequestListener): Promise<Service> {
  const requests: IncomingMessage[] = []
  const server = createServer((request, response) => {
    requests.push(request)
    request.on('error', () => undefined)
    answer(request, response)
  })
  if (continues !== undefined)
    server.on('checkContinue', (request, response) => {
      requests.push(request)
      request.on('error', () => undefined)
      continues(request, response)
    })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server, requests }
}

/** Bytes that differ all along, so that none can be taken for another. */
export function bytesOf(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let i = 0; i + 4 <= size; i += 4) bytes.writeUInt32LE(Math.imul(i + 1, 2_654_435_761) >>> 0, i)
  return bytes
}

export const sha = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex')

/** Reads a body whole: its digest and length, or why it did not become whole. */
export async function digestOf(message: AsyncIterable<Buffer>): Promise<{ sha: string; bytes: number }> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const part of message) {
    hash.update(part)
    bytes += part.length
  }
  return { sha: hash.digest('hex'), bytes }
}

/** A connection on which bytes are said as they are, and what was heard on it. */
export type Talk = {
  socket: Socket
  heard(): string
  until(pattern: RegExp): Promise<string>
  closed: Promise<unknown>
}

export function talk(t: Test, port: number, bytes: string | Buffer = ''): Talk {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  t.teardown(() => socket.destroy())
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  // A server that refuses a request may close while it is still being written.
  socket.on('error', () => socket.destroy())
  const closed = new Promise((resolve) => socket.once('close', resolve))
  if (bytes.length > 0) socket.write(bytes)
  return {
    ...{ socket, closed, heard: () => text },
    async until(pattern) {
      await waitFor(() => pattern.test(text) || socket.destroyed)
      return text
    }
  }
}
