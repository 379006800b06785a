import { once } from 'node:events'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { createMetrics } from '@skerry/service'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { BOUNDS, type Bound, createBounds } from '../src/bounds.ts'
import { GatewayConfigSchema } from '../src/config.ts'
import { ask, openSession, talk } from './helpers/clients.ts'
import { startGateway } from './helpers/gateway.ts'
import { echo, startListener } from './helpers/listener.ts'
import { startUpstream } from './helpers/upstream.ts'

t.test('a bound that is met is counted each time, and logged now and then', async (t) => {
  const lines: unknown[] = []
  let time = 0
  const metrics = createMetrics({ service: 'gateway', instance: '1', processMetrics: false })
  const met = createBounds({ warn: (line: unknown) => lines.push(line) } as never, metrics, () => time)
  met('BODIES_BYTES', '198.51.100.7')
  met('BODIES_BYTES', '198.51.100.8')
  met('UNREAD_BYTES')
  time = 9_999
  met('BODIES_BYTES')
  t.strictSame(lines.splice(0), [
    { bound: 'BODIES_BYTES', times: 1, address: '198.51.100.7' },
    { bound: 'UNREAD_BYTES', times: 1, address: undefined }
  ])
  time = 10_000
  met('BODIES_BYTES', '198.51.100.9')
  t.strictSame(lines, [{ bound: 'BODIES_BYTES', times: 3, address: '198.51.100.9' }])
  const text = await metrics.text()
  t.match(text, /skerry_gateway_bounds_total\{bound="BODIES_BYTES"[^}]*\} 4\n/)
  t.match(text, /skerry_gateway_bounds_total\{bound="UNREAD_BYTES"[^}]*\} 1\n/)
})

t.test('each is the name of a setting', (t) => {
  for (const bound of BOUNDS) t.ok(bound in GatewayConfigSchema.properties, bound)
  t.end()
})

function open(t: Test, port: number) {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => socket.destroy())
  t.teardown(() => socket.destroy())
  return socket
}

t.test('what the listener ends is told by the name of its bound', async (t) => {
  const met: Bound[] = []
  const env = { MAX_CONNECTIONS: '1', BODY_PIECES: '3' }
  const { port } = await startListener(t, { env, handler: echo, onBound: (bound) => met.push(bound) })
  const head = 'POST /x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n'
  t.match(await talk(port, head, '1\r\nx\r\n'.repeat(5)), /^HTTP\/1\.1 413 /)
  t.strictSame(met.splice(0), ['BODY_PIECES'] satisfies Bound[])
  const first = open(t, port)
  await once(first, 'connect')
  const second = open(t, port)
  await once(second, 'close')
  await waitFor(() => met.length > 0)
  t.strictSame(met, ['MAX_CONNECTIONS'] satisfies Bound[])
})

t.test('so is the connection that sends too much ahead of the answer to a plain request', async (t) => {
  const g = await startGateway(t, { env: { PLAIN_AHEAD_BYTES: '65536' } })
  const upstream = await startUpstream(t, g.nc, { answer: () => undefined })
  await g.live('content', 1)
  const sockets = Array.from({ length: 8 }, () => open(t, g.port))
  const ended = Promise.race(sockets.map((socket) => once(socket, 'close')))
  for (const socket of sockets) socket.write('GET /v1/posts HTTP/1.1\r\nhost: x\r\n\r\n')
  await waitFor(() => upstream.requests.length === sockets.length)
  for (const socket of sockets) socket.write(Buffer.alloc(15_000, 'x'))
  await ended
  const text = await g.metrics.text()
  t.match(text, /skerry_gateway_bounds_total\{bound="PLAIN_AHEAD_BYTES"[^}]*\} \d+\n/)
  t.notMatch(text, /bounds_total\{bound="PIPELINED_TOTAL"/)
  const told = g.lines.filter(({ msg }) => msg === 'a bound was met')
  t.strictSame(
    told.map(({ bound }) => bound),
    ['PLAIN_AHEAD_BYTES']
  )
})

t.test('so is what the parser refuses, or waits for in vain', async (t) => {
  const met: Bound[] = []
  const onBound = (bound: Bound) => met.push(bound)
  const { port } = await startListener(t, { env: { HEADERS_TIMEOUT_MS: '200', REQUEST_TIMEOUT_MS: '400' }, onBound })
  const cases: [what: string, bytes: string, status: number, bound: Bound][] = [
    ['a long target', `GET /${'x'.repeat(20_000)}`, 414, 'URL_LIMIT'],
    ['long headers', `GET / HTTP/1.1\r\nhost: x\r\nx-a: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'HEADER_LIMIT'],
    ['a head that does not end', 'GET / HTTP/1.1\r\nhost: x\r\n', 408, 'HEADERS_TIMEOUT_MS']
  ]
  for (const [what, bytes, status, bound] of cases) {
    t.match(await talk(port, bytes), new RegExp(`^HTTP/1\\.1 ${status} `), what)
    t.strictSame(met.splice(0), [bound], what)
  }
})

t.test('so is a body that does not end, over either protocol', async (t) => {
  const met: Bound[] = []
  const { port } = await startListener(t, {
    env: { HEADERS_TIMEOUT_MS: '200', REQUEST_TIMEOUT_MS: '400' },
    handler: (request) => request.resume(),
    onBound: (bound) => met.push(bound)
  })
  await talk(port, 'POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nx')
  t.strictSame(met.splice(0), ['REQUEST_TIMEOUT_MS'] satisfies Bound[])
  const stream = openSession(t, `http://127.0.0.1:${port}`).request({ ':method': 'POST', ':path': '/' })
  stream.on('error', () => undefined)
  stream.write('x')
  await once(stream, 'close')
  t.strictSame(met, ['REQUEST_TIMEOUT_MS'] satisfies Bound[])
})

t.test('so are headers that are too long for HTTP/2', async (t) => {
  const met: Bound[] = []
  const { port } = await startListener(t, { onBound: (bound) => met.push(bound) })
  const { status } = await ask(openSession(t, `http://127.0.0.1:${port}`), { 'x-a': 'x'.repeat(20_000) })
  t.equal(status, 431)
  t.strictSame(met, ['HEADER_LIMIT'] satisfies Bound[])
})

t.test('so is what a request is refused for', async (t) => {
  const g = await startGateway(t, {
    env: { UPSTREAM_IN_FLIGHT: '1', UPSTREAM_STREAMS: '1', BATCH_ANSWER_LIMIT: '2000', BODY_LIMIT: '1024' }
  })
  const held: (() => void)[] = []
  const upstream = await startUpstream(t, g.nc, {
    routes: [{ method: 'GET', path: '/v1/posts/live', auth: 'optional', stream: true }],
    answer(request, response) {
      if (request.url === '/v1/posts/large') {
        response.setHeader('content-type', 'application/json')
        response.end(JSON.stringify('x'.repeat(5_000)))
      } else held.push(() => response.end('{}'))
    }
  })
  await g.live('content', 1)
  const counted = async (bound: Bound) =>
    new RegExp(`skerry_gateway_bounds_total\\{bound="${bound}"[^}]*\\} 1\n`).test(await g.metrics.text())

  t.equal((await fetch(`${g.url}/v1/posts/${'x'.repeat(9_000)}`)).status, 414)
  t.ok(await counted('URL_LIMIT'), 'a target')
  t.equal((await fetch(`${g.url}/v1/posts`, { method: 'POST', body: 'x'.repeat(2_000) })).status, 413)
  t.ok(await counted('BODY_LIMIT'), 'a body')
  const batch = await fetch(`${g.url}/v1/batch`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ requests: [{ method: 'GET', path: '/v1/posts/large' }] })
  })
  t.match(await batch.json(), { responses: [{ status: 502 }] })
  t.ok(await counted('BATCH_ANSWER_LIMIT'), 'the answers of a batch')
  const first = fetch(`${g.url}/v1/posts`)
  await waitFor(() => held.length === 1)
  t.equal((await fetch(`${g.url}/v1/posts`)).status, 503)
  t.ok(await counted('UPSTREAM_IN_FLIGHT'), 'requests at an instance')
  const stream = fetch(`${g.url}/v1/posts/live`)
  await waitFor(() => held.length === 2)
  t.equal((await fetch(`${g.url}/v1/posts/live`)).status, 503)
  t.ok(await counted('UPSTREAM_STREAMS'), 'streams through an instance')
  for (const end of held) end()
  await Promise.all([first, stream])
  t.equal(upstream.requests.length, 3)
  t.equal(g.lines.filter(({ msg }) => msg === 'a bound was met').length, 5)
})

t.test('so is what a gateway ends', async (t) => {
  const env = { PIPELINED_REQUESTS: '2', PIPELINED_TOTAL: '3', WS_EARLY_BYTES: '100', WS_MESSAGE_LIMIT: '200' }
  const g = await startGateway(t, { env })
  const upstream = await startUpstream(t, g.nc, { answer: () => undefined })
  const server = new WebSocketServer({ noServer: true })
  t.teardown(() => server.close())
  const held: Duplex[] = []
  upstream.server.on('upgrade', (request, socket, head) => {
    if (request.url === '/v1/posts/held') held.push(socket)
    else server.handleUpgrade(request, socket, head, (ws) => ws.send('hello'))
  })
  t.teardown(() => {
    for (const socket of held) socket.destroy()
  })
  await g.live('content', 1)
  const counted = async (bound: Bound) =>
    new RegExp(`skerry_gateway_bounds_total\\{bound="${bound}"[^}]*\\} 1\n`).test(await g.metrics.text())

  const many = open(t, g.port)
  many.write('GET /v1/posts HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(10))
  await once(many, 'close')
  t.ok(await counted('PIPELINED_TOTAL'), 'requests that are sent ahead')

  const early = open(t, g.port)
  early.write(
    'GET /v1/posts/held HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n' +
      'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
  )
  await waitFor(() => held.length === 1)
  early.write(Buffer.alloc(101))
  await once(early, 'close')
  t.ok(await counted('WS_EARLY_BYTES'), 'what comes before a WebSocket is accepted')

  const large = new WebSocket(`${g.url.replace('http', 'ws')}/v1/posts/live`)
  await once(large, 'message')
  large.send(Buffer.alloc(201))
  const [code] = await once(large, 'close')
  t.equal(code, 1009)
  t.ok(await counted('WS_MESSAGE_LIMIT'), 'a message that is too large')
  t.equal(g.lines.filter(({ msg }) => msg === 'a bound was met').length, 3)
})
