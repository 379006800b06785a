import { connect } from 'node:net'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { startGateway } from './helpers/gateway.ts'
import { sendRaw } from './helpers/raw.ts'
import { startUpstream } from './helpers/upstream.ts'

const HANDSHAKE = 'upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n'

t.test('what Connection names is gone before anything is decided by it', async (t) => {
  const g = await startGateway(t, { env: { TRUSTED_PROXIES: '127.0.0.1' } })
  const upstream = await startUpstream(t, g.nc, {
    service: 'things',
    prefixes: ['/v1/things'],
    routes: [
      { method: 'GET', path: '/v1/things', auth: 'required' },
      { method: 'GET', path: '/v1/things/kept', auth: 'none', cache: { scope: 'public', ttl: 600 } },
      { method: 'GET', path: '/v1/things/ws', auth: 'required', stream: true }
    ],
    answer: (_request, response) => response.writeHead(200, { etag: '"1"' }).end('{}')
  })
  await g.live('things', 1)
  const { authorization } = g.issuer.bearer()
  const ask = (path: string, headers: string) =>
    sendRaw(g.port, `GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\n${headers}\r\n`)

  t.equal((await ask('/v1/things', 'connection: close\r\n')).status, 200)
  for (const named of [
    'authorization',
    'Authorization , close',
    'close,AUTHORIZATION',
    'x\r\nconnection: authorization'
  ])
    t.equal((await ask('/v1/things', `connection: ${named}, close\r\n`)).status, 401, named)
  t.equal(upstream.requests.length, 1, 'its service is asked for nobody')
  t.equal(
    (await ask('/v1/things/ws', `connection: Upgrade, authorization\r\n${HANDSHAKE}`)).status,
    401,
    'nor for a WebSocket'
  )

  t.equal((await ask('/v1/things/kept', 'connection: close\r\n')).status, 200)
  const held = 'if-none-match: "1"\r\n'
  t.equal((await ask('/v1/things/kept', `${held}connection: close\r\n`)).status, 304)
  t.equal((await ask('/v1/things/kept', `${held}connection: if-none-match, close\r\n`)).status, 200)

  // Who it is from, and how it is delimited, is for the gateway itself.
  const before = upstream.requests.length
  await ask('/v1/things', 'x-forwarded-for: 203.0.113.7\r\nconnection: x-forwarded-for, host, close\r\n')
  t.equal(upstream.requests[before]?.headers['x-forwarded-for'], '203.0.113.7')
  const body = 'content-length: 2\r\nconnection: content-length, close\r\n'
  t.equal((await ask('/v1/things', `${body}\r\nhi`)).status, 400, 'a GET has no body, whatever is said of its length')
})

t.test('a WebSocket is opened by pages of named origins only', async (t) => {
  const g = await startGateway(t, { env: { CORS_ORIGINS: 'https://a.example,https://b.example' } })
  const server = new WebSocketServer({ noServer: true })
  t.teardown(() => server.close())
  const upstream = await startUpstream(t, g.nc, { service: 'realtime', prefixes: ['/v1/live'] })
  let asked = 0
  upstream.server.on('upgrade', (request, socket, head) => {
    asked++
    server.handleUpgrade(request, socket, head, (ws) => ws.close(1000))
  })
  await g.live('realtime', 1)
  const open = (origin: string | undefined) =>
    new Promise<number>((resolve) => {
      const headers = { ...g.issuer.bearer(), ...(origin === undefined ? {} : { origin }) }
      const ws = new WebSocket(`${g.url.replace('http', 'ws')}/v1/live/ws`, { headers })
      ws.on('error', () => {})
      ws.on('unexpected-response', (_request, response) => {
        resolve(response.statusCode ?? 0)
        ws.terminate()
      })
      ws.on('close', (code) => resolve(code))
    })
  t.equal(await open('https://a.example'), 1000)
  t.equal(await open(undefined), 1000, 'an app says none')
  t.equal(asked, 2)
  for (const origin of ['https://evil.example', 'https://a.example.evil.example', 'null', 'http://a.example'])
    t.equal(await open(origin), 403, origin)
  t.equal(asked, 2, 'its service does not hear of the others')
})

t.test('who was refused a WebSocket and does not leave is ended', async (t) => {
  const g = await startGateway(t)
  const socket = connect({ port: g.port, host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  socket.on('error', () => socket.destroy())
  socket.resume().write(`GET /v1/nothing HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n${HANDSHAKE}\r\n`)
  const connections = () =>
    new Promise<number>((resolve) => g.gateway.app.server.getConnections((_error, count) => resolve(count)))
  await waitFor(async () => (await connections()) === 1)
  await waitFor(async () => (await connections()) === 0)
  t.pass()
})
