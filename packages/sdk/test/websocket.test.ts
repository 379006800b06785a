import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { type WebSocket, WebSocketServer } from 'ws'
import { createClient } from '../src/index.ts'
import { problem, serve, until } from './server.ts'

async function sockets(t: Test, handle: (socket: WebSocket, request: IncomingMessage, n: number) => void) {
  const requests: IncomingMessage[] = []
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await new Promise<void>((resolve) => server.once('listening', () => resolve()))
  server.on('connection', (socket, request) => handle(socket, request, requests.push(request)))
  t.teardown(() => {
    for (const client of server.clients) client.terminate()
    return new Promise<void>((resolve) => server.close(() => resolve()))
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests }
}

const frame = (id: string | null, type = 'post.created') => JSON.stringify({ id, type, data: { id } })

const session = { user: { id: 'u' }, accessToken: 'tok', refreshToken: 'r', expiresAt: 9e15, refreshAt: 9e15 }
const signedIn = { get: () => JSON.stringify(session), set: () => {}, remove: () => {} }

t.test('live messages over WebSocket: token, resume, no doubles', async (t) => {
  const { url, requests } = await sockets(t, (socket, _, n) => {
    socket.send(frame('a'))
    socket.send('')
    if (n === 1) {
      socket.send(JSON.stringify({ id: 'a2' }), () => socket.terminate())
    } else {
      socket.send(frame('b'))
      socket.send(frame(null, 'resync'))
    }
  })
  const client = createClient({ baseUrl: url, storage: signedIn })
  const got: (string | null)[] = []
  const live = client.live({
    transport: 'websocket',
    onMessage: (m) => void got.push(m.id),
    onResync: () => void got.push('resync')
  })
  await until(() => got.length === 3, 'three messages')
  t.same(got, ['a', 'b', 'resync'])
  t.match(requests[0]?.headers['sec-websocket-protocol'], /^skerry, ?skerry\.bearer\.tok$/)
  t.same(
    requests.map((r) => r.url),
    ['/v1/live/ws', '/v1/live/ws?lastEventId=a2']
  )
  live.close()
  await live.closed
})

t.test('closing before the connection stands leaves nothing behind', async (t) => {
  // The handshake is neither taken nor refused until the test says so.
  const server = createServer()
  const sockets = new WebSocketServer({ noServer: true })
  const asked = Promise.withResolvers<() => void>()
  server.on('upgrade', (request, socket, head) => {
    socket.on('close', () => left.resolve())
    asked.resolve(() => sockets.handleUpgrade(request, socket, head, () => opened++))
  })
  let opened = 0
  const left = Promise.withResolvers<void>()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const client of sockets.clients) client.terminate()
    return new Promise<void>((resolve) => server.close(() => resolve()))
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const live = createClient({ baseUrl: url }).live({ transport: 'websocket', onMessage: () => t.fail('a message') })
  const take = await asked.promise
  live.close()
  await live.closed
  t.equal(live.lastEventId, undefined)
  take()
  await left.promise
  await until(() => sockets.clients.size === 0, 'no connection is left')
  t.ok(opened <= 1, 'it was not tried again')
})

t.test('a refused handshake says nothing: an ordinary request tells that the session is over', async (t) => {
  const server = await serve(t, ({ path }) =>
    path === '/v1/auth/refresh' ? problem(401, 'AUTH_BAD_REFRESH_TOKEN') : problem(401, 'SESSION_REVOKED')
  )
  const errors: unknown[] = []
  let signedOut = 0
  const client = createClient({ baseUrl: server.url, storage: signedIn, onSignedOut: () => signedOut++ })
  const live = client.live({ transport: 'websocket', onMessage: () => {}, onError: (e) => errors.push(e) })
  await live.closed
  t.match(errors, [{ status: 401 }])
  t.equal(signedOut, 1)
  t.ok(server.at('/v1/live/ws').length > 0, 'it was tried')
})

t.test('what no WebSocket can be made of ends at once, and is told', async (t) => {
  const session = { user: { id: 'u' }, accessToken: 'not a token', refreshToken: 'r', expiresAt: 9e15, refreshAt: 9e15 }
  const storage = { get: () => JSON.stringify(session), set: () => {}, remove: () => {} }
  const errors: unknown[] = []
  const states: string[] = []
  const client = createClient({ baseUrl: 'http://127.0.0.1:1', storage })
  const live = client.live({
    transport: 'websocket',
    onMessage: () => {},
    onError: (e) => errors.push(e),
    onState: (s) => states.push(s)
  })
  await live.closed
  t.match(errors, [TypeError])
  t.same(states, ['connecting', 'closed'])
})
