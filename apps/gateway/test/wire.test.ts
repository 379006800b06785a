import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import type { Dispatcher } from 'undici'
import { ChunkReader } from '../src/upstreams/wire/chunks.ts'
import type { Connection, WireRequest } from '../src/upstreams/wire/connection.ts'
import { CHUNKED, type Familiar, parseHead, UNTIL_CLOSE } from '../src/upstreams/wire/head.ts'
import { WirePool } from '../src/upstreams/wire/pool.ts'
import { collected } from './helpers/collected.ts'

t.test('heads', (t) => {
  const head = parseHead(
    'HTTP/1.1 200 OK\r\nContent-Type: text/plain \r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nVary: a\r\nvary:b\r\nContent-Length: 5\r\nX-Empty:',
    'GET'
  )
  t.strictSame(
    { ...head, headers: { ...head.headers } },
    {
      status: 200,
      headers: {
        'content-type': 'text/plain',
        'set-cookie': ['a=1', 'b=2'],
        vary: 'a, b',
        'content-length': '5',
        'x-empty': ''
      },
      length: 5,
      keepAlive: true,
      keptMs: Number.POSITIVE_INFINITY
    }
  )
  const lengths: [string, string, number, boolean][] = [
    ['HTTP/1.1 200', 'GET', UNTIL_CLOSE, false],
    ['HTTP/1.0 200 OK\r\ncontent-length: 1', 'GET', 1, false],
    ['HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked', 'GET', CHUNKED, true],
    // What may not have a body, but whose sender may send one a moment later.
    ['HTTP/1.1 200 OK\r\ncontent-length: 9', 'HEAD', 0, false],
    ['HTTP/1.1 200 OK', 'HEAD', 0, false],
    ['HTTP/1.1 304 Not Modified\r\ncontent-length: 9', 'GET', 0, false],
    ['HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked', 'GET', 0, false],
    ['HTTP/1.1 304 Not Modified', 'GET', 0, true],
    ['HTTP/1.1 204 No Content\r\ncontent-length: 0', 'GET', 0, true],
    ['HTTP/1.1 204 No Content', 'GET', 0, true],
    ['HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 0', 'GET', 0, false]
  ]
  for (const [text, method, length, keepAlive] of lengths)
    t.match(parseHead(text, method), { length, keepAlive }, JSON.stringify(text))

  const kept: [string, number][] = [
    ['timeout=5', 5_000],
    ['Timeout = 72, max=100', 72_000],
    ['max=3,timeout="2"', 2_000],
    ['timeout=0', 0],
    ['timeout=5, max=0', 0],
    ['timeout=x', Number.POSITIVE_INFINITY],
    ['xtimeout=5', Number.POSITIVE_INFINITY],
    ['', Number.POSITIVE_INFINITY]
  ]
  for (const [value, keptMs] of kept)
    for (let i = 0; i < 2; i++) t.match(parseHead(`HTTP/1.1 204 x\r\nkeep-alive: ${value}`, 'GET'), { keptMs }, value)

  const bad = [
    'HTTP/2 200 OK',
    'HTTP/1.1 99 x',
    'HTTP/1.1 099 x',
    'HTTP/1.1 000 x',
    'HTTP/1.1 600 x',
    'HTTP/1.0 100 x',
    'HTTP/1.1 999 x',
    'HTTP/1.1 2000',
    'HTTP/1.1  200',
    'HTTP/1.1 200OK',
    'HTTP/1.1',
    'ICY 200 OK',
    'HTTP/1.1 200 OK\r\nx y: 1',
    'HTTP/1.1 200 OK\r\nx : 1',
    'HTTP/1.1 200 OK\r\n: 1',
    'HTTP/1.1 200 OK\r\nno colon',
    'HTTP/1.1 200 OK\r\na: 1\r\n folded: 2',
    'HTTP/1.1 200 OK\r\na: 1\nb: 2',
    'HTTP/1.1 200 OK\r\na: 1\rb: 2',
    'HTTP/1.1 200 OK\r\na: 1\r',
    'HTTP/1.1 200 OK\r\na: 1\r\r\nb: 2',
    'HTTP/1.1 200 OK\r\n\na: 1',
    '\nHTTP/1.1 200 OK',
    'HTTP/1.1 200 O\nK',
    'HTTP/1.1 200 O\x7fK',
    'HTTP/1.1 200 OK\r\na: \0',
    'HTTP/1.1 200 OK\r\n__proto__: 1',
    'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5',
    'HTTP/1.1 200 OK\r\ncontent-length: 5, 5',
    'HTTP/1.1 200 OK\r\ncontent-length: +5',
    'HTTP/1.1 200 OK\r\ncontent-length: -5',
    'HTTP/1.1 200 OK\r\ncontent-length: 0x5',
    'HTTP/1.1 200 OK\r\ncontent-length: ',
    'HTTP/1.1 200 OK\r\ncontent-length: 9999999999999999',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5',
    `HTTP/1.1 200 OK${'\r\na: 1'.repeat(257)}`
  ]
  for (const text of bad)
    t.throws(() => parseHead(text, 'GET'), { name: 'ProtocolError' }, JSON.stringify(text.slice(0, 100)))
  t.end()
})

t.test('what the last head was like changes nothing of the next one', (t) => {
  const first = ['Server: a', 'Content-Length: 1', 'Set-Cookie: a=1', 'Set-Cookie: b=2', 'Vary: a', 'vary: b']
  const changes = [
    first,
    first.toReversed(),
    first.slice(1),
    ['Content-Length: 1', ...first],
    first.map((line) => line.toUpperCase()),
    first.map((line) => line.replace(':', ' :')),
    ['Server', ...first],
    ['Server: a\r', ...first],
    ['Server: a\0', ...first.slice(1)],
    ['Server: a\n', ...first.slice(1)],
    ['Server: \na', ...first.slice(1)],
    ['\nServer: a', ...first.slice(1)],
    [...first.slice(0, -1), 'vary: b\x7f'],
    [...first, ...Array.from({ length: 100 }, (_, i) => `x-${i}: ${i}`)],
    [...first, ...Array.from({ length: 100 }, () => 'vary: c')],
    ['Transfer-Encoding: chunked', 'transfer-encoding: chunked'],
    ['Server: b', 'Transfer-Encoding: chunked', 'connection: close'],
    []
  ]
  const result = (lines: readonly string[], familiar?: Familiar) => {
    try {
      return parseHead(['HTTP/1.1 200 OK', ...lines].join('\r\n'), 'GET', familiar)
    } catch (error) {
      return (error as Error).message
    }
  }
  const familiar: Familiar = []
  for (const before of changes) {
    for (const lines of changes) {
      result(before, familiar)
      t.strictSame(result(lines, familiar), result(lines), JSON.stringify([before, lines]))
    }
  }
  t.end()
})

t.test('chunks, in pieces of any size', (t) => {
  const read = (text: string, piece: number) => {
    const reader = new ChunkReader()
    const bytes = Buffer.from(text, 'latin1')
    let found = ''
    let at = 0
    while (at < bytes.length && !reader.done) {
      const to = Math.min(bytes.length, at + piece)
      at = reader.read(bytes, at, to, (part) => {
        found += part.toString('latin1')
      })
    }
    return { found, done: reader.done, rest: bytes.length - at }
  }
  const fine: [string, string, number][] = [
    ['5\r\nhello\r\n0\r\n\r\n', 'hello', 0],
    ['5;a=b;c="d"\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-Trailer: 1\r\nY: 2\r\n\r\n', 'hello0123456789', 0],
    ['000005\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK', 'hello', 15]
  ]
  for (const [text, found, rest] of fine)
    for (let piece = 1; piece <= text.length; piece++)
      t.strictSame(read(text, piece), { found, done: true, rest }, `${JSON.stringify(text)} by ${piece}`)
  for (const text of ['5\r\nhel', '5', '', '5\r\nhello\r\n0\r\n', '5\r\nhello\r\n0\r\nX: 1\r\n'])
    t.notOk(read(text, 3).done, `${JSON.stringify(text)} is not the end`)
  const bad = [
    '\r\n',
    'x\r\n',
    '-5\r\nhello',
    ' 5\r\nhello',
    '5 \r\nhello',
    '0x5\r\nhello',
    '5\nhello',
    '5\rhello',
    '5\r\nhelloX\r\n',
    '5\r\nhello\n0\r\n',
    '5\r\nhello\r\r\n0\r\n',
    '11111111111111\r\n',
    '5;\0\r\nhello',
    '5;\r\nhello\r\n0\r\n\r\n',
    '5; \r\nhello\r\n0\r\n\r\n',
    '5;a;;b\r\nhello\r\n0\r\n\r\n',
    `5;${'x'.repeat(5_000)}\r\n`,
    '0\r\nx: 1\n\r\n',
    '0\r\nx: 1\rX'
  ]
  for (const text of bad)
    for (const piece of [1, 3, text.length])
      t.throws(() => read(text, piece), { name: 'ProtocolError' }, `${JSON.stringify(text.slice(0, 40))} by ${piece}`)
  t.end()
})

/** A server that answers each request's bytes with what `answer` writes, and a pool to it. */
async function startRaw(t: Test, answer: (socket: Socket, request: string, count: number) => void) {
  let count = 0
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    socket.on('data', (data) => answer(socket, data.toString('latin1'), ++count))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const pool = new WirePool(new URL(`http://127.0.0.1:${port}`), {
    connections: 2,
    connectTimeoutMs: 60_000,
    idleMs: 60_000
  })
  t.teardown(() => {
    pool.destroy()
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { pool, sockets, server, requests: () => count }
}

type Outcome = {
  status?: number
  body?: string
  headers?: object
  /** The error's name and its code. */
  error?: string
  code?: string | undefined
  started: boolean
}

function ask(pool: WirePool, request: Partial<WireRequest> = {}): Promise<Outcome> {
  return new Promise((resolve) => {
    const outcome: Outcome = { started: false }
    let body = ''
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: () => {
        outcome.started = true
      },
      onResponseStart: (_controller, status, headers) => Object.assign(outcome, { status, headers }),
      onResponseData: (_controller, chunk) => {
        body += chunk.toString('latin1')
      },
      onResponseEnd: () => resolve({ ...outcome, body }),
      onResponseError: (_controller, error) =>
        resolve({ ...outcome, error: error.name, code: (error as NodeJS.ErrnoException).code })
    }
    pool.dispatch({ method: 'GET', path: '/', headers: [], body: null, ...request }, handler)
  })
}

const errorOf = ({ error, code }: Outcome) => [error, code]

t.test('answers that come in any way', async (t) => {
  const whole = 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello'
  const { pool, sockets } = await startRaw(t, async (socket, request) => {
    if (request.includes('/bytes'))
      for (const byte of whole) {
        socket.write(byte)
        await new Promise(setImmediate)
      }
    else if (request.includes('/interim'))
      socket.write(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${whole}`)
    else if (request.includes('/chunks'))
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n')
    else if (request.includes('/close')) socket.end('HTTP/1.1 200 OK\r\n\r\nhello')
    else if (request.includes('/old')) socket.write('HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello')
    else socket.write(whole)
  })
  for (const path of ['/', '/bytes', '/interim', '/chunks', '/close', '/old', '/'])
    t.match(await ask(pool, { path }), { status: 200, body: 'hello', started: true }, path)
  t.ok(sockets.size <= 2)
  const body = Buffer.alloc(100_000, 'x')
  t.match(await ask(pool, { method: 'POST', headers: ['content-length', '100000'], body }), { status: 200 })
})

t.test('a kept connection holds nothing of the requests that it had', async (t) => {
  const { pool, sockets } = await startRaw(t, (socket, request) => {
    if (request.endsWith('y')) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello')
  })
  const bodies: WeakRef<object>[] = []
  const post = async () => {
    const body = Buffer.allocUnsafeSlow(1_000).fill('y')
    bodies.push(new WeakRef(body))
    return ask(pool, { method: 'POST', headers: ['content-length', '1000'], body })
  }
  for (let i = 0; i < 3; i++) t.match(await post(), { status: 200 })
  await collected(bodies)
  t.equal(sockets.size, 1, 'while it is there')
})

t.test('a byte a chunk costs no more than its bytes', async (t) => {
  const text = Array.from({ length: 20_000 }, (_, i) => String.fromCharCode(97 + (i % 26))).join('')
  const chunks = Array.from(text, (one, i) => `${i % 7 === 0 ? '1;x=y' : '1'}\r\n${one}\r\n`).join('')
  const { pool } = await startRaw(t, (socket) =>
    socket.write(`HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`)
  )
  let parts = 0
  let body = ''
  await new Promise<void>((resolve) =>
    pool.dispatch(
      { method: 'GET', path: '/', headers: [], body: null },
      {
        onRequestStart: () => {},
        onResponseData: (_controller, part) => {
          parts++
          body += part.toString('latin1')
        },
        onResponseEnd: () => resolve()
      }
    )
  )
  t.ok(body === text, 'nothing is lost, and all is in order')
  t.ok(parts < 200, 'parts are what was read at once, not chunks')
})

t.test('connections are kept, and requests wait for them in order', async (t) => {
  const held: Socket[] = []
  const { pool, sockets } = await startRaw(t, (socket, request) => {
    if (request.includes('/held')) held.push(socket)
    else socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n${request.slice(5, 7)}`)
  })
  for (let i = 0; i < 10; i++) await ask(pool)
  t.equal(sockets.size, 1, 'one after the other need one')
  const slow = [ask(pool, { path: '/held' }), ask(pool, { path: '/held' })]
  await waitFor(() => held.length === 2)
  const waiting = ['/aa', '/bb'].map((path) => ask(pool, { path }))
  held[0]?.write('HTTP/1.1 204 No Content\r\n\r\n')
  t.strictSame(
    (await Promise.all(waiting)).map(({ body }) => body),
    ['aa', 'bb']
  )
  held[1]?.write('HTTP/1.1 204 No Content\r\n\r\n')
  await Promise.all(slow)
  t.equal(sockets.size, 2)
})

t.test('a lying instance poisons nobody', async (t) => {
  const lies: Record<string, string> = {
    '/two-lengths': 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!',
    '/both': 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    '/not-http': 'SSH-2.0-OpenSSH\r\n\r\n',
    '/fold': 'HTTP/1.1 200 OK\r\na: b\r\n c\r\ncontent-length: 0\r\n\r\n',
    '/upgrade': 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n',
    '/chunk': 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
    '/endless': `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(70_000)}`
  }
  const { pool, sockets } = await startRaw(t, (socket, request) => {
    const path = request.split(' ')[1]!
    if (path === '/more')
      // Behind its answer stands one that nobody asked for: it must not answer the next request.
      socket.write(
        'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok' + 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil'
      )
    else if (path === '/later') {
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
      setImmediate(() => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil'))
    } else if (path === '/short') socket.end('HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello')
    else if (path === '/nothing') socket.destroy()
    else if (path === '/chunks-end') socket.end('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel')
    else socket.write(lies[path] ?? 'HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nclean')
  })
  for (const path of Object.keys(lies)) {
    t.strictSame(errorOf(await ask(pool, { path })), ['ProtocolError', 'SKERRY_BAD_ANSWER'], path)
    t.match(await ask(pool), { body: 'clean' })
  }
  for (const path of ['/short', '/nothing', '/chunks-end']) {
    t.strictSame(errorOf(await ask(pool, { path })), ['ClosedError', 'ECONNRESET'], path)
    t.match(await ask(pool), { body: 'clean' })
  }
  for (let i = 0; i < 20; i++) {
    t.match(await ask(pool, { path: '/more' }), { body: 'ok' })
    t.match(await ask(pool), { body: 'clean' }, 'on another connection')
    t.match(await ask(pool, { path: '/later' }), { body: 'ok' })
    await waitFor(() => sockets.size === 0)
    t.match(await ask(pool), { body: 'clean' }, 'what comes on a free connection closes it')
  }
})

t.test('a connection is looked at before it is used again', async (t) => {
  const { pool, sockets, requests } = await startRaw(t, (socket) =>
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nclean')
  )
  const evil = 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil'
  const left: [string, (socket: Socket) => void][] = [
    ['bytes that nobody asked for', (socket) => socket.write(evil)],
    ['its end', (socket) => socket.end()],
    ['a reset', (socket) => socket.resetAndDestroy()]
  ]
  for (const [what, leave] of left) {
    t.match(await ask(pool), { body: 'clean' })
    const [kept] = sockets
    // What was sent has arrived before the pool is asked, and is not read yet.
    const asked = await new Promise<Outcome>((resolve) =>
      setTimeout(() => {
        leave(kept!)
        resolve(ask(pool))
      })
    )
    t.match(asked, { body: 'clean', error: undefined }, `${what} meets no request`)
  }
  t.equal(requests(), 6, 'nothing was sent twice')
  const handler: Dispatcher.DispatchHandler = {}
  pool.dispatch({ method: 'GET', path: '/', headers: [], body: null }, handler)
  t.ok(pool.withdraw(handler), 'what is looked at can be taken back')
  t.match(await ask(pool), { body: 'clean' })
  t.equal(requests(), 7)
})

t.test('who cannot be reached', async (t) => {
  const { pool, server, sockets } = await startRaw(t, () => undefined)
  const asked = ask(pool)
  await waitFor(() => sockets.size === 1)
  for (const socket of sockets) socket.resetAndDestroy()
  const reset = await asked
  t.equal(reset.started, true)
  t.strictSame(errorOf(reset), ['Error', 'ECONNRESET'])
  server.close()
  await once(server, 'close')
  const refused = await ask(pool)
  t.equal(refused.started, false, 'nothing was sent')
  t.strictSame(errorOf(refused), ['Error', 'ECONNREFUSED'])
})

t.test('a request that is taken back before it was sent is never sent', async (t) => {
  const held: Socket[] = []
  const { pool, requests } = await startRaw(t, (socket) => void held.push(socket))
  const slow = [ask(pool), ask(pool)]
  await waitFor(() => held.length === 2)
  const handler: Dispatcher.DispatchHandler = {}
  pool.dispatch({ method: 'GET', path: '/x', headers: [], body: null }, handler)
  t.ok(pool.withdraw(handler))
  t.notOk(pool.withdraw(handler))
  for (const socket of held) socket.write('HTTP/1.1 204 No Content\r\n\r\n')
  await Promise.all(slow)
  t.equal(requests(), 2)
})

t.test('a head that would be more than one is not sent', async (t) => {
  const { pool, requests } = await startRaw(t, (socket) => socket.write('HTTP/1.1 204 No Content\r\n\r\n'))
  for (const value of ['a\r\nb: c', 'a\nb', 'a\u010d\u010ab: c', '\r\n\r\nGET / HTTP/1.1'])
    t.match(await ask(pool, { headers: ['x', value] }), { error: 'BadRequestHeadError', started: false })
  t.equal(requests(), 0)
  t.match(await ask(pool, { headers: ['x', 'fine'] }), { status: 204 })
})

t.test('what is thrown away holds no connection for ever', async (t) => {
  const { pool, sockets } = await startRaw(t, (socket) =>
    socket.write('HTTP/1.1 503 Busy\r\ncontent-length: 1000\r\n\r\nhello')
  )
  pool.dispatch(
    { method: 'GET', path: '/', headers: [], body: null },
    { onResponseStart: (controller) => (controller as Connection).discard() }
  )
  await waitFor(() => sockets.size === 1)
  await waitFor(() => sockets.size === 0)
  t.pass('it is closed when the rest does not come')
})

t.test('a connection that was paused reads its next answer', async (t) => {
  const { pool } = await startRaw(t, (socket) => socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'))
  let kept: Dispatcher.DispatchController | undefined
  await new Promise<void>((resolve) =>
    pool.dispatch(
      { method: 'GET', path: '/', headers: [], body: null },
      {
        onRequestStart: (controller) => {
          kept = controller
        },
        onResponseEnd: () => resolve()
      }
    )
  )
  kept?.pause()
  t.match(await ask(pool), { body: 'ok' })
})

t.test('a pool that closes lets what is under way end', async (t) => {
  const held: Socket[] = []
  const { pool, sockets } = await startRaw(t, (socket) => void held.push(socket))
  const slow = ask(pool)
  await waitFor(() => held.length === 1)
  const closed = pool.close()
  held[0]?.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
  t.match(await slow, { body: 'ok' })
  await closed
  await waitFor(() => sockets.size === 0)
})

t.test('trailers', async (t) => {
  const read = (text: string) => {
    const chunks = new ChunkReader()
    const bytes = Buffer.from(`1\r\nx\r\n0\r\n${text}\r\n`, 'latin1')
    // Byte by byte: they come in pieces of any size.
    for (let at = 0; at < bytes.length; at++) chunks.read(bytes, at, at + 1, () => undefined)
    t.ok(chunks.done)
    return chunks.trailers()
  }
  t.same(read(''), {})
  t.same(read('X-Sum:  12 3 \r\nx-empty:\r\nx-sum: 4\r\n'), { 'x-sum': '12 3, 4', 'x-empty': '' })
  t.same(read('x-tab: a\tb\r\n'), { 'x-tab': 'a\tb' })
  for (const line of ['no colon', 'x y: 1', ': 1', '__proto__: 1', ' folded', 'x-space : 1', 'x-bell: a\x07'])
    t.throws(() => read(`x-good: 1\r\n${line}\r\n`), { name: 'ProtocolError' }, line)
})
