import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { createSlowReaders, type Reading } from '../src/listen/slow-readers.ts'
import { certificateFiles, openSession } from './helpers/clients.ts'
import { block, END_HEADERS, END_STREAM, frame, GET, openRaw, TYPE, uint32 } from './helpers/http2-frames.ts'
import { startListener } from './helpers/listener.ts'
import { startOrigin } from './helpers/origin.ts'
import { startProcess } from './helpers/processes.ts'

const BIG = Buffer.alloc(8_000_000, 'x')
/** How often it is looked, and how long a connection has for its first bytes: on a busy machine 50 ms were too few. */
const HEADERS_TIMEOUT_MS = '1000'
const REQUEST = 'GET /big HTTP/1.1\r\nhost: x\r\n\r\n'

/** A connection that has asked and reads nothing. */
function silent(t: Test, port: number, request = REQUEST): Socket {
  const socket = connect(port, '127.0.0.1')
  socket.pause()
  socket.on('error', () => socket.destroy())
  socket.write(request)
  t.teardown(() => socket.destroy())
  return socket
}

/** Whether the other side has ended a connection that is not read: it learns that only by writing. */
async function ended(socket: Socket): Promise<boolean> {
  if (socket.writable) await new Promise((resolve) => socket.write('\r\n', resolve))
  return socket.destroyed || socket.errored !== null
}

t.test('what is slow, and who goes first', (t) => {
  const gone: string[] = []
  const create = () =>
    createSlowReaders({
      ...{ periodMs: 1_000, bytes: 100, total: 1_000, perAddress: 500 },
      counts: (address) => address !== 'proxy'
    })
  const readers = create()
  const judge = (
    name: string,
    before: Reading | undefined,
    now: number,
    { pending = 10, taken = 0, address = name }: { pending?: number; taken?: number; address?: string | undefined } = {}
  ) => readers.judge(before, { pending, taken, address, end: () => gone.push(name) }, now)
  const first = judge('a', undefined, 0)
  t.same(judge('a', first, 999, { taken: 99 }), first)
  t.equal(judge('a', first, 1_000, { taken: 99 }), undefined)
  t.strictSame(gone.splice(0), ['a'], 'less than the pace in a period')
  t.same(
    judge('b', judge('b', undefined, 0), 999, { taken: 100 }),
    { since: 999, taken: 100 },
    'who keeps it begins anew'
  )
  readers.settle()

  const since = (at: number): Reading => ({ since: at, taken: 0 })
  judge('fast', undefined, 10, { pending: 10_000 })
  judge('old', since(1), 20, { pending: 600 })
  judge('new', since(3), 20, { pending: 300 })
  judge('newer', since(4), 20, { pending: 300 })
  readers.settle()
  t.strictSame(gone.splice(0), ['newer', 'old'], 'the newest of all, and who has more than an address may')

  for (const [name, at] of [
    ['one', 1],
    ['two', 2],
    ['three', 3]
  ] as const)
    judge(name, since(at), 20, { pending: 200, address: 'home' })
  for (const [name, at] of [
    ['four', 4],
    ['five', 5]
  ] as const)
    judge(name, since(at), 20, { pending: 200, address: 'proxy' })
  readers.settle()
  t.strictSame(gone.splice(0), ['three'], 'of one address; a proxy is many')
  judge('after', since(1), 20, { pending: 400 })
  readers.settle()
  t.strictSame(gone, [], 'each look counts by itself')
  t.end()
})

t.test('over HTTP/1.1', async (t) => {
  const unread: number[] = []
  const env = { UNREAD_PERIOD_MS: '400', UNREAD_PERIOD_BYTES: '1000000', HEADERS_TIMEOUT_MS }
  const { files, write } = await certificateFiles(t)
  const { cert } = await write('first')
  const { port } = await startListener(t, {
    env: { ...env, ...files, TLS_ONLY: 'false' },
    handler: (_request, response) => response.end(BIG),
    onBound: () => unread.push(1)
  })
  const tls = connectTls({ port, host: '127.0.0.1', ca: cert, servername: 'localhost' })
  tls.pause()
  tls.on('error', () => tls.destroy())
  t.teardown(() => tls.destroy())
  await once(tls, 'secureConnect')
  tls.write(REQUEST)
  const stopped = silent(t, port)
  await waitFor(() => unread.length === 2, { message: 'those that read nothing are ended, with and without TLS' })
  await waitFor(() => ended(stopped))

  // Half of what is there at a time: more than the pace, and never all of it.
  const reader = silent(t, port)
  const sizes: number[] = []
  let read = 0
  await waitFor(async () => {
    const chunk = reader.read(Math.min(reader.readableLength, 200_000)) as Buffer | null
    read += chunk?.length ?? 0
    if (chunk !== null) sizes.push(chunk.length)
    return read > BIG.length
  })
  t.ok(read > BIG.length, 'who reads slowly, but reads, gets all')
  t.equal(unread.length, 2)
})

t.test('over HTTP/2: a stream whose window stays shut', async (t) => {
  const unread: number[] = []
  const { port, ended: connections } = await startListener(t, {
    env: { UNREAD_PERIOD_MS: '300', HEADERS_TIMEOUT_MS },
    handler: (request, response) => response.end(request.url === '/big' ? BIG : 'small'),
    onBound: () => unread.push(1)
  })
  const url = `http://127.0.0.1:${port}`
  const session = openSession(t, url, { settings: { initialWindowSize: 0 } })
  const shut = session.request({ ':path': '/big' })
  const [head] = await once(shut, 'response')
  t.equal(head[':status'], 200)
  shut.on('error', () => {})
  await new Promise((resolve) => shut.once('close', resolve))
  t.not(shut.rstCode, 0, 'is reset')
  t.equal(unread.length, 1)
  // A window that opens a little at a time: all of it comes.
  const reader = openSession(t, url, { settings: { initialWindowSize: 20_000 } })
  const stream = reader.request({ ':path': '/big' })
  let read = 0
  for await (const chunk of stream) read += (chunk as Buffer).length
  t.equal(read, BIG.length)
  t.equal(unread.length, 1)
  t.strictSame(connections, [], 'and the connection stays')
})

t.test('over HTTP/2: an end that waits for a window is unread, too', async (t) => {
  const unread: unknown[] = []
  const answers: ServerResponse[] = []
  const { port, ended: connections } = await startListener(t, {
    env: { UNREAD_PERIOD_MS: '300', HEADERS_TIMEOUT_MS },
    handler(_request, response) {
      answers.push(response)
      // As much as a client lets its server send before it has said anything of windows.
      response.write(Buffer.alloc(65_535, 'x'))
    },
    onBound: (bound) => unread.push(bound)
  })
  const ask = async () => {
    const client = await openRaw(t, port)
    const { frames } = client
    client.send(frame(TYPE.headers, END_HEADERS | END_STREAM, 1, block(GET)))
    const read = () => frames.reduce((sum, { type, payload }) => sum + (type === TYPE.data ? payload.length : 0), 0)
    await waitFor(() => read() === 65_535)
    answers.shift()!.end()
    return client
  }
  const shut = await ask()
  await shut.next(({ type, stream }) => type === TYPE.reset && stream === 1)
  t.strictSame(unread, ['UNREAD_PERIOD_BYTES'])
  const reader = await ask()
  reader.send(frame(TYPE.windowUpdate, 0, 0, uint32(10)), frame(TYPE.windowUpdate, 0, 1, uint32(10)))
  const end = await reader.next(({ type, flags }) => type === TYPE.data && (flags & END_STREAM) !== 0)
  t.equal(end.payload.length, 0, 'with a window it comes')
  t.equal(unread.length, 1)
  t.strictSame(connections, [])
})

t.test('together they have a bound in bytes: the newest go', async (t) => {
  const unread: number[] = []
  const { port, listener } = await startListener(t, {
    env: { UNREAD_PERIOD_MS: '600000', UNREAD_BYTES: String(3 * BIG.length), HEADERS_TIMEOUT_MS },
    handler: (_request, response) => response.end(BIG),
    onBound: () => unread.push(1),
    countsAddress: () => false
  })
  const sockets: Socket[] = []
  listener.server.on('connection', (socket: Socket) => sockets.push(socket))
  for (let i = 0; i < 8; i++) {
    silent(t, port)
    await waitFor(() => sockets.length > i && sockets[i]!.writableLength > 0)
  }
  await waitFor(() => sockets.at(-1)!.destroyed)
  const flags = sockets.map(({ destroyed }) => destroyed)
  t.notOk(flags[0], 'the oldest stays')
  t.strictSame(flags, flags.toSorted(), 'and whoever has gone came after who stays')
  t.equal(unread.length, flags.filter(Boolean).length)
})

t.test(
  'an answer of a service that lies unread is ended, also where it waits in the spool as a whole or is encoded',
  async (t) => {
    const large = Buffer.alloc(3_000_000, 'unread ')
    const origin = await startOrigin(t, 'one', (request, response) => {
      response.setHeader('content-type', request.url === '/x/noise' ? 'application/octet-stream' : 'text/plain')
      if (request.url === '/x/streamed')
        for (let i = 0; i < 40; i++) response.write(randomBytes(60_000).toString('base64'))
      response.end(request.url === '/x/streamed' ? '' : large)
    })
    const gateway = await startProcess(t, '../../src/main.ts', {
      ...{ PORT: '0', DRAIN_MS: '0', IDLE_KEPT_MS: '0', LIMIT_EXEMPT: '127.0.0.1', HEALTH_INTERVAL_MS: '0' },
      ...{ UNREAD_PERIOD_MS: '1000', KEEP_ALIVE_TIMEOUT_MS: '60000', HEADERS_TIMEOUT_MS: '500' },
      ROUTES: `/x=${origin.url}`
    })
    const port = Number(new URL(gateway.url).port)
    const asks = ['/x/noise HTTP/1.1\r\n', '/x/streamed HTTP/1.1\r\naccept-encoding: gzip\r\n']
    // More than the kernel takes by itself, one after another on each connection.
    const readers = asks.map((ask) => silent(t, port, `GET ${ask}host: x\r\n\r\n`.repeat(6)))
    for (const reader of readers) await waitFor(() => ended(reader))
    const text = await (await fetch(`${gateway.ops}/metrics`)).text()
    t.match(text, /^skerry_gateway_bounds_total\{bound="UNREAD_PERIOD_BYTES".*\} 2$/m)
    t.match(text, /^skerry_gateway_spool_bytes\{.*\} 0$/m, 'and nothing of it is left')
  }
)

t.test('a real gateway ends who reads nothing of its own pages, and who sends only empty lines', async (t) => {
  const origin = await startOrigin(t, 'one')
  const gateway = await startProcess(t, '../../src/main.ts', {
    ...{ PORT: '0', DRAIN_MS: '0', IDLE_KEPT_MS: '0', LIMIT_EXEMPT: '127.0.0.1', HEALTH_INTERVAL_MS: '0' },
    ...{ UNREAD_PERIOD_MS: '1000', KEEP_ALIVE_TIMEOUT_MS: '1000', HEADERS_TIMEOUT_MS: '500' },
    ROUTES: `/x=${origin.url}`
  })
  const port = Number(new URL(gateway.url).port)
  // Made in a thread when first asked for.
  t.equal((await fetch(`${gateway.url}/docs/scalar.js`)).status, 200)
  const page = 'GET /docs/scalar.js HTTP/1.1\r\nhost: x\r\n\r\n'
  // More than the kernel takes by itself.
  const readers = Array.from({ length: 20 }, () => silent(t, port, page.repeat(4)))
  for (const reader of readers) await waitFor(() => ended(reader))

  const lines = connect(port, '127.0.0.1')
  lines.on('error', () => lines.destroy())
  const closed = once(lines.resume(), 'close')
  const timer = setInterval(() => lines.write('\r\n'), 100)
  t.teardown(() => clearInterval(timer))
  await closed
  t.pass('a connection that brings no request has its time')
  t.equal((await fetch(`${gateway.url}/x`)).status, 200)
  t.match(await (await fetch(`${gateway.ops}/metrics`)).text(), /^skerry_gateway_unread_total\{.*\} 20$/m)
})
