import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { ask, openSession } from './helpers/clients.ts'
import {
  ACK,
  block,
  END_HEADERS,
  END_STREAM,
  frame,
  GET,
  integer,
  openRaw,
  PREFACE,
  TYPE,
  uint32
} from './helpers/http2-frames.ts'
import { echo, startListener } from './helpers/listener.ts'
import { sendRaw } from './helpers/raw.ts'

const FLOW_CONTROL_ERROR = 3
const ENHANCE_YOUR_CALM = 11
const get = (stream: number) => frame(TYPE.headers, END_HEADERS | END_STREAM, stream, block(GET))
const reset = (stream: number, code = 8) => frame(TYPE.reset, 0, stream, uint32(code))
const holding = () => {
  const held: ServerResponse[] = []
  return { held, handler: (_request: IncomingMessage, response: ServerResponse) => void held.push(response) }
}

t.test('rapid reset ends its connection', async (t) => {
  const { held, handler } = holding()
  const { port } = await startListener(t, { handler, env: { H2_RESET_BURST: '50', H2_RESETS_PER_SECOND: '1' } })
  const client = await openRaw(t, port)
  for (let i = 0; i < 2_000; i++) client.send(get(2 * i + 1), reset(2 * i + 1))
  await client.closed
  t.ok(client.frames.some(({ type }) => type === TYPE.goaway))
  t.ok(held.length <= 60, `only so many reached the handler: ${held.length}`)
  t.ok(held.every((response) => response.destroyed))
  const other = openSession(t, `http://127.0.0.1:${port}`)
  const stream = other.request({})
  await waitFor(() => held.length > 0 && held.at(-1)?.destroyed === false)
  held.at(-1)?.end()
  t.equal((await once(stream, 'response'))[0][':status'], 200, 'others are not affected')
})

t.test('resets one by one, after the handler has begun', async (t) => {
  const { held, handler } = holding()
  const env = { H2_RESET_BURST: '20', H2_RESETS_PER_SECOND: '1' }
  const { port, ended } = await startListener(t, { handler, env })
  const client = await openRaw(t, port)
  let gone = false
  client.closed.then(() => {
    gone = true
  })
  for (let i = 0; i < 60 && !gone; i++) {
    client.send(get(2 * i + 1))
    await waitFor(() => gone || held.length > i)
    client.send(reset(2 * i + 1))
    await waitFor(() => gone || held[i]!.destroyed)
  }
  await client.closed
  t.ok(held.length <= 30, `${held.length} reached the handler`)
  t.strictSame(ended, ['resets'])
})

t.test('frames that make the gateway reset a stream end their connection (CVE-2025-8671)', async (t) => {
  const { held, handler } = holding()
  const { port } = await startListener(t, { handler })
  const kinds: Record<string, (stream: number) => Buffer> = {
    'a window of nothing more': (stream) => frame(TYPE.windowUpdate, 0, stream, uint32(0)),
    'a window that is too large': (stream) => frame(TYPE.windowUpdate, 0, stream, uint32(0x7fffffff)),
    'data after the end': (stream) => frame(TYPE.data, 0, stream, 'late'),
    'a priority that is too short': (stream) => frame(TYPE.priority, 0, stream, 'abcd')
  }
  for (const [what, made] of Object.entries(kinds)) {
    const before = held.length
    const client = await openRaw(t, port)
    for (let i = 0; i < 100; i++) client.send(get(2 * i + 1), made(2 * i + 1))
    await client.closed
    t.ok(held.length - before <= 1, what)
  }
})

t.test('a client that cancels now and then is not refused', async (t) => {
  const { held, handler } = holding()
  const { port, ended } = await startListener(t, { handler })
  const client = await openRaw(t, port)
  for (let i = 0; i < 150; i++) {
    client.send(get(2 * i + 1))
    await waitFor(() => held.length === i + 1)
    client.send(reset(2 * i + 1))
  }
  client.send(get(1_001))
  await waitFor(() => held.length === 151)
  held.at(-1)?.end('{}')
  t.ok(await client.next(({ type, stream }) => type === TYPE.headers && stream === 1_001))
  t.strictSame(ended, [])
})

t.test('floods of pings and settings end their connection', async (t) => {
  const env = { H2_CONTROL_BURST: '50', H2_CONTROL_PER_SECOND: '1' }
  const { port, ended } = await startListener(t, { env })
  for (const flood of [frame(TYPE.ping, 0, 0, '12345678'), frame(TYPE.settings, 0, 0)]) {
    const client = await openRaw(t, port)
    for (let i = 0; i < 60; i++) client.send(flood)
    const goaway = await client.next(({ type }) => type === TYPE.goaway)
    t.equal(goaway.payload.readUInt32BE(4), ENHANCE_YOUR_CALM)
    await client.closed
  }
  t.strictSame(ended, ['control', 'control'])
  const client = await openRaw(t, port)
  client.send(frame(TYPE.ping, 0, 0, '12345678'))
  t.equal(String((await client.next(({ type }) => type === TYPE.ping)).payload), '12345678', 'one is answered')
})

t.test('floods of continuations and of empty data', async (t) => {
  const { held, handler } = holding()
  const { port } = await startListener(t, { handler })
  const headers = await openRaw(t, port)
  headers.send(frame(TYPE.headers, END_STREAM, 1, block(GET)))
  for (let i = 0; i < 2_000; i++) headers.send(frame(TYPE.continuation, 0, 1, block([['x-a', 'b']])))
  await headers.closed
  t.equal(held.length, 0)

  const data = await openRaw(t, port)
  data.send(frame(TYPE.headers, END_HEADERS, 1, block([[':method', 'POST'], ...GET.slice(1)])))
  for (let i = 0; i < 5_000; i++) data.send(frame(TYPE.data, 0, 1))
  await data.closed
  t.pass('ended')
})

t.test('header lists are bounded', async (t) => {
  const { held, handler } = holding()
  const { port } = await startListener(t, { handler, env: { HEADER_LIMIT: '4096' } })
  const long = frame(TYPE.headers, END_HEADERS | END_STREAM, 1, block([...GET, ['x-long', 'a'.repeat(5_000)]]))
  const hasty = await openRaw(t, port)
  hasty.send(long)
  const problem = await hasty.next(({ type, stream }) => type === TYPE.data && stream === 1)
  t.match(JSON.parse(String(problem.payload)), { status: 431, code: 'HEADERS_TOO_LARGE' })

  const large = await openRaw(t, port)
  await large.next(({ type, flags }) => type === TYPE.settings && flags === 0)
  large.send(frame(TYPE.settings, ACK, 0), long)
  const refused = await large.next(({ type, stream }) => type === TYPE.reset && stream === 1)
  t.equal(refused.payload.readUInt32BE(0), ENHANCE_YOUR_CALM)
  const settings = large.frames.find(({ type }) => type === TYPE.settings)!.payload
  const told = new Map<number, number>()
  for (let at = 0; at < settings.length; at += 6) told.set(settings.readUInt16BE(at), settings.readUInt32BE(at + 2))
  t.equal(told.get(6), 4_096, 'SETTINGS_MAX_HEADER_LIST_SIZE')
  t.equal(told.get(3), 100, 'SETTINGS_MAX_CONCURRENT_STREAMS')
  t.equal(told.get(4), 262_144, 'SETTINGS_INITIAL_WINDOW_SIZE')
  t.ok(await large.next(({ type, stream }) => type === TYPE.windowUpdate && stream === 0), 'the connection has more')

  const bomb = await openRaw(t, port)
  const value = 'b'.repeat(3_900)
  // One field into the table, and then a thousand times by its index: 4 KB that stand for 4 MB.
  const entry = Buffer.concat([Buffer.from([0x40, 1]), Buffer.from('x'), integer(value.length, 7), Buffer.from(value)])
  bomb.send(
    frame(TYPE.headers, END_HEADERS | END_STREAM, 1, Buffer.concat([block(GET), entry, Buffer.alloc(1_000, 0x80 | 62)]))
  )
  await bomb.next(({ type }) => type === TYPE.reset || type === TYPE.goaway)
  const many = await openRaw(t, port)
  const fields = Array.from({ length: 3_000 }, () => ['a', ''] as const)
  many.send(frame(TYPE.headers, END_HEADERS | END_STREAM, 1, block([...GET, ...fields])))
  await many.next(({ type }) => type === TYPE.reset || type === TYPE.goaway)
  t.equal(held.length, 0)
})

t.test('streams are bounded', async (t) => {
  const { held, handler } = holding()
  const { port } = await startListener(t, { handler, env: { H2_STREAMS: '10' } })
  const client = await openRaw(t, port)
  for (let i = 0; i < 30; i++) client.send(get(2 * i + 1))
  await waitFor(() => client.frames.filter(({ type }) => type === TYPE.reset).length === 20)
  t.equal(held.length, 10)
  const session = openSession(t, `http://127.0.0.1:${port}`)
  await once(session, 'remoteSettings')
  const streams = Array.from({ length: 30 }, () => session.request({}))
  let answered = 0
  for (const stream of streams) stream.on('response', () => answered++)
  await waitFor(() => {
    for (const response of held) if (!response.writableEnded) response.end()
    return answered === 30
  })
  t.pass('a client that keeps to it waits for its turn')
})

t.test('what comes unread is bounded', async (t) => {
  const { held, handler } = holding()
  const { port } = await startListener(t, { handler, env: { H2_STREAM_WINDOW: '65535' } })
  const client = await openRaw(t, port)
  client.send(frame(TYPE.headers, END_HEADERS, 1, block([[':method', 'POST'], ...GET.slice(1)])))
  for (let i = 0; i < 4; i++) client.send(frame(TYPE.data, 0, 1, Buffer.alloc(16_000)))
  await waitFor(() => held.length === 1)
  t.notOk(
    client.frames.some(({ type, stream }) => type === TYPE.windowUpdate && stream === 1),
    'nobody reads'
  )
  client.send(frame(TYPE.data, 0, 1, Buffer.alloc(16_000)))
  const refused = await client.next(({ type }) => type === TYPE.reset || type === TYPE.goaway)
  t.equal(refused.payload.readUInt32BE(refused.type === TYPE.reset ? 0 : 4), FLOW_CONTROL_ERROR)
})

t.test('silence', async (t) => {
  const { handler } = holding()
  const met: string[] = []
  const onBound = (bound: string) => met.push(bound)
  const env = { HEADERS_TIMEOUT_MS: '60' }
  const { port, ended, listener } = await startListener(t, { handler, env, onBound })
  for (const part of ['', 'P', 'PR']) {
    const socket = connect(port, '127.0.0.1')
    socket.write(part)
    await once(socket.resume(), 'close')
  }
  t.strictSame(ended, [], 'not even a protocol')
  for (const part of [PREFACE.subarray(0, 3), PREFACE.subarray(0, 20), PREFACE]) {
    const socket = connect(port, '127.0.0.1')
    socket.write(part)
    await once(socket.resume(), 'close')
  }
  t.strictSame(ended, ['silent', 'silent', 'silent'])
  t.strictSame(
    met,
    ended.map(() => 'HEADERS_TIMEOUT_MS')
  )
  await waitFor(() => listener.http2Connections() === 0)
})

t.test('idle connections end, those with a request do not', async (t) => {
  const { held, handler } = holding()
  const { port, ended } = await startListener(t, {
    handler,
    env: { KEEP_ALIVE_TIMEOUT_MS: '500', HEADERS_TIMEOUT_MS: '500' }
  })
  const busy = openSession(t, `http://127.0.0.1:${port}`)
  const answer = ask(busy)
  await waitFor(() => held.length === 1)
  const idle = await openRaw(t, port)
  const goaway = await idle.next(({ type }) => type === TYPE.goaway)
  t.equal(goaway.payload.readUInt32BE(4), 0, 'NO_ERROR')
  await idle.closed
  t.strictSame(ended, ['idle'])
  held[0]?.end('late')
  t.match(await answer, { status: 200, body: 'late' })
})

t.test('a body that does not come is not waited for', async (t) => {
  let aborted = 0
  const { port } = await startListener(t, {
    env: { REQUEST_TIMEOUT_MS: '1000', HEADERS_TIMEOUT_MS: '500' },
    handler: (request, response) => {
      request.on('aborted', () => aborted++)
      echo(request, response)
    }
  })
  const session = openSession(t, `http://127.0.0.1:${port}`)
  const stream = session.request({ ':method': 'POST' })
  stream.on('error', () => {})
  stream.write('part')
  await once(stream, 'close')
  t.equal(stream.rstCode, 8, 'CANCEL')
  t.equal(aborted, 1)
  t.equal((await ask(session, { ':method': 'POST' }, 'whole')).status, 200)
})

t.test('connections are bounded together with those of HTTP/1.1', async (t) => {
  const { port } = await startListener(t, { env: { MAX_CONNECTIONS: '2' } })
  const first = openSession(t, `http://127.0.0.1:${port}`)
  t.equal((await ask(first)).status, 200)
  const second = openSession(t, `http://127.0.0.1:${port}`)
  t.equal((await ask(second)).status, 200)
  const ask1 = () => sendRaw(port, 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
  t.match(await ask1(), { head: '', body: '' }, 'the third is not let in')
  first.destroy()
  await waitFor(async () => (await ask1()).status === 200, { message: 'one more when one has left' })
})
