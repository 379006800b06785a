import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export type Seen = { method: string; path: string; query: string; headers: IncomingMessage['headers']; body: unknown }
export type Reply =
  | { status: number; body?: unknown; text?: string; headers?: Record<string, string> }
  | 'drop'
  | 'hang'
  | { stream: (response: ServerResponse) => void }

export type TestServer = { url: string; server: Server; seen: Seen[]; at: (path: string) => Seen[] }

/** A real HTTP server on a free port that answers as `handle` says, closed with the test. */
export async function serve(t: Test, handle: (request: Seen) => Reply | Promise<Reply>): Promise<TestServer> {
  const seen: Seen[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString()
    const [path = '', query = ''] = (request.url ?? '').split('?')
    const call: Seen = {
      method: request.method ?? '',
      path,
      query,
      headers: request.headers,
      body: text === '' ? undefined : JSON.parse(text)
    }
    seen.push(call)
    const reply = await handle(call)
    if (reply === 'drop') return void request.socket.destroy()
    if (reply === 'hang') return
    if ('stream' in reply) return reply.stream(response)
    const type = reply.status >= 400 ? 'application/problem+json' : 'application/json'
    const body = reply.text ?? (reply.body === undefined ? '' : JSON.stringify(reply.body))
    response.writeHead(reply.status, { 'content-type': type, ...reply.headers }).end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}`, server, seen, at: (path) => seen.filter((s) => s.path === path) }
}

export function problem(status: number, code: string, headers: Record<string, string> = {}): Reply {
  return { status, headers, body: { type: `urn:skerry:error:${code.toLowerCase()}`, title: code, status, code } }
}

export const USER = {
  id: '06b1n7v4kc0j5m3q8w2x9y6z1a',
  username: 'ada',
  email: 'ada@example.com',
  emailVerified: false,
  guest: false,
  createdAt: '2026-01-31T09:30:00.000Z'
}

/** A grant whose tokens carry a number. */
export function grant(n: number, expiresIn = 900) {
  return {
    user: USER,
    session: { id: USER.id },
    accessToken: `access-${n}`,
    tokenType: 'Bearer',
    expiresIn,
    refreshToken: `refresh-${n}`
  }
}

/** Resolves when `check` holds, looking every few milliseconds. */
export async function until(check: () => boolean, what: string, ms = 60_000): Promise<void> {
  const end = Date.now() + ms
  while (!check()) {
    if (Date.now() > end) throw new Error(`never happened: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
