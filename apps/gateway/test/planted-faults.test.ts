import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { openSession } from './helpers/clients.ts'
import { keepConnection } from './helpers/kept.ts'
import { startOrigin } from './helpers/origin.ts'
import { startProcess } from './helpers/processes.ts'

// A fault in the gateway's own code, long after it was ready: it ends what it happened in, is logged and counted, and all others stay.

/** What is planted, what its own request gets (0: its connection ends), and where the fault is counted. */
const CASES = [
  { path: '/x/door', status: 500, at: 'policy planted', says: 'planted at the door' },
  { path: '/x/head', status: 200, at: 'policy planted', says: 'planted in its head' },
  { path: '/x/way', status: 0, at: 'exchange', says: 'planted on its way' },
  // Nobody can tell whose these are: they end nothing.
  { path: '/x/timer', status: 200, at: 'process', says: 'planted in a timer' },
  { path: '/x/promise', status: 200, at: 'process', says: 'planted in a promise' }
]

t.test('faults that are planted into a gateway which serves', async (t) => {
  const held: ServerResponse[] = []
  const live: ServerResponse[] = []
  const origin = await startOrigin(t, 'one', (request, response) => {
    if (request.url === '/x/held') held.push(response)
    else if (request.url === '/x/live') {
      live.push(response)
      response.setHeader('content-type', 'text/event-stream').flushHeaders()
    } else response.end('fine')
  })
  const sockets = new WebSocketServer({ server: origin.server })
  t.teardown(() => sockets.close())
  sockets.on('connection', (socket) => socket.on('message', (message) => socket.send(`heard ${message}`)))
  const gateway = await startProcess(t, '../../src/main.ts', {
    ...{ PORT: '0', DRAIN_MS: '0', IDLE_KEPT_MS: '0', LIMIT_EXEMPT: '127.0.0.1', HEALTH_INTERVAL_MS: '0' },
    ...{ ROUTES: `/x=${origin.url}`, UPSTREAM_HEADERS_TIMEOUT_MS: '600000', STREAM_IDLE_TIMEOUT_MS: '600000' },
    NODE_OPTIONS: `--import=${join(import.meta.dirname, 'fixtures/planted-faults.ts')}`
  })
  const port = Number(new URL(gateway.url).port)
  const counted = async () => {
    const text = await (await fetch(`${gateway.ops}/metrics`)).text()
    const found = [...text.matchAll(/^skerry_faults_total\{at="([^"]+)".*\} (\d+)$/gm)]
    return Object.fromEntries(found.map(([, at, count]) => [at, Number(count)]))
  }
  const logged = (says: string) =>
    gateway
      .output()
      .split('\n')
      .filter((line) => line.includes('"fault: what it happened in was ended') && line.includes(says)).length

  // Others, of each kind, with something under way.
  const kept = keepConnection(t, port)
  t.match(await kept.ask('/x', /fine$/), /^HTTP\/1\.1 200 /)
  const events = keepConnection(t, port)
  await events.ask('/x/live', /\r\n\r\n/)
  const waiting = keepConnection(t, port)
  const answer = waiting.ask('/x/held', /late$/)
  await waitFor(() => held.length === 1 && live.length === 1)
  const socket = new WebSocket(`${gateway.url.replace('http', 'ws')}/x`)
  t.teardown(() => socket.terminate())
  await once(socket, 'open')
  const session = openSession(t, gateway.url)
  const overHttp2 = async () => {
    const stream = session.request({ ':path': '/x' })
    const [head] = await once(stream, 'response')
    stream.resume()
    return head[':status']
  }
  t.equal(await overHttp2(), 200)
  const stay = async (about: string) => {
    t.match(await kept.ask('/x', /fine$/), /^HTTP\/1\.1 200 /, `${about}: a kept connection stays`)
    const message = once(socket, 'message')
    socket.send(about)
    t.equal(String((await message)[0]), `heard ${about}`, `${about}: a WebSocket stays`)
    live[0]!.write(`data: ${about}\n\n`)
    await waitFor(() => events.heard().includes(`data: ${about}\n\n`), { message: `${about}: a live stream stays` })
    t.equal(await overHttp2(), 200, `${about}: a connection of HTTP/2 stays`)
  }

  t.strictSame(await counted(), {})
  for (const { path, status, at, says } of CASES) {
    const before = (await counted())[at] ?? 0
    const own = keepConnection(t, port)
    const heard = await own.ask(path, /fine$|\}$/)
    if (status === 0) t.strictSame([heard, own.isOver()], ['', true], `${says}: its connection ends`)
    else t.match(heard, new RegExp(`^HTTP/1\\.1 ${status} `), `${says}: ${status}`)
    t.notMatch(heard, 'planted', 'and nobody outside learns of it')
    await waitFor(async () => (await counted())[at] === before + 1, { message: `${says}: it is counted` })
    await waitFor(() => logged(says) === 1, { message: `${says}: it is logged` })
    await stay(says)
  }
  const handshake = new WebSocket(`${gateway.url.replace('http', 'ws')}/x/door`)
  handshake.on('error', () => undefined)
  const [, refusal] = await once(handshake, 'unexpected-response')
  t.equal(refusal.statusCode, 500, 'a handshake as well')
  await stay('in a handshake')

  held[0]!.end('late')
  t.match(await answer, /^HTTP\/1\.1 200 .*late$/s, 'what was under way all the time is answered')
  t.notOk([kept, events, waiting].some((one) => one.isOver()))
  t.equal(gateway.child.exitCode, null)
})
