import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { endWhole, writePairs } from '../src/head/http1-response.ts'
import type { Handler } from '../src/listen/guard.ts'
import { PlainRequest } from '../src/listen/http1/plain-request.ts'
import { startListener } from './helpers/listener.ts'

const PLAIN = 'GET /v1/x HTTP/1.1\r\nhost: x\r\naccept: a\r\n\r\n'
const LAST = 'GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'

function isPlain(request: IncomingMessage): boolean {
  return (request as unknown) instanceof PlainRequest
}

/** A connection whose answers are read as they come. */
async function open(t: Test, port: number) {
  const socket = connect(port, '127.0.0.1').setNoDelay(true)
  t.teardown(() => socket.destroy())
  const came = { text: '', closed: false }
  socket.setEncoding('latin1').on('data', (part) => {
    came.text += part
  })
  socket
    .on('error', () => socket.destroy())
    .on('close', () => {
      came.closed = true
    })
  await once(socket, 'connect')
  return {
    socket,
    came,
    send: (text: string) => socket.write(text, 'latin1'),
    saw: (pattern: RegExp) => waitFor(() => pattern.test(came.text)),
    closed: () => waitFor(() => came.closed)
  }
}

/** Says what was asked, and the body's length. */
const say: Handler = (request, response) => {
  let bytes = 0
  const answer = () => {
    const body = JSON.stringify({ method: request.method, url: request.url, headers: request.headers, bytes })
    writePairs(response, 200, ['content-type', 'application/json', 'content-length', String(body.length)])
    response.end(body, 'latin1')
  }
  if (request.headers['content-length'] === undefined && request.headers['transfer-encoding'] === undefined) answer()
  else
    request
      .on('data', (part: Buffer) => {
        bytes += part.length
      })
      .on('end', answer)
}

/** A listener whose handler gets plain requests as they are, and where it is noted which were. */
async function startPlain(t: Test, handler: Handler = say, more: Parameters<typeof startListener>[1] = {}) {
  const plain: boolean[] = []
  const started = await startListener(t, {
    takesPlain: (target) => !target.startsWith('/own'),
    handler(request, response) {
      plain.push(isPlain(request))
      handler(request, response)
    },
    ...more
  })
  return { ...started, plain }
}

t.test('plain requests of one connection, one after another', async (t) => {
  const { port, plain } = await startPlain(t)
  const { came, send, saw, closed } = await open(t, port)
  for (const path of ['/v1/a', '/v1/b', '/v1/b?x=1', '/v1/c']) {
    came.text = ''
    send(PLAIN.replace('/v1/x', path))
    await saw(/\}$/)
    t.match(came.text, /^HTTP\/1\.1 200 OK\r\n.*\r\nConnection: keep-alive\r\nKeep-Alive: timeout=\d+\r\n\r\n/s)
    t.match(JSON.parse(came.text.split('\r\n\r\n')[1]!), { method: 'GET', url: path, headers: { accept: 'a' } })
  }
  // Other header lines than those that are known by now.
  came.text = ''
  send('DELETE /v1/d HTTP/1.1\r\nHost: y\r\nX-Other: 1\r\n\r\n')
  await saw(/\}$/)
  t.match(came.text, '{"method":"DELETE","url":"/v1/d","headers":{"host":"y","x-other":"1"},"bytes":0}')
  t.strictSame(plain, [true, true, true, true, true])
  send(LAST)
  await closed()
  t.equal(plain.at(-1), false)
})

/** What hands a connection over, as it is written to it; one array is one write each, as far as TCP keeps them apart. */
const OTHERS: Record<string, string[]> = {
  'a body by its length': ['POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello'],
  'a body in chunks': ['POST /v1/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
  'a body that comes later': ['POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n', 'hello'],
  'a method of its own': ['PROPFIND /v1/x HTTP/1.1\r\nhost: x\r\n\r\n'],
  'the last request': [],
  'HTTP/1.0': ['GET /v1/x HTTP/1.0\r\nhost: x\r\nconnection: keep-alive\r\n\r\n'],
  'no host': ['GET /v1/x HTTP/1.1\r\n\r\n'],
  'two hosts': ['GET /v1/x HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n'],
  'an expectation': ['POST /v1/x HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 0\r\n\r\n'],
  'a header said twice': ['GET /v1/x HTTP/1.1\r\nhost: x\r\nx: 1\r\nx: 2\r\n\r\n'],
  'a folded line': ['GET /v1/x HTTP/1.1\r\nhost: x\r\nx: 1\r\n 2\r\n\r\n'],
  'white space before the colon': ['GET /v1/x HTTP/1.1\r\nhost: x\r\nx : 1\r\n\r\n'],
  'a tab and latin1': ['GET /v1/x HTTP/1.1\r\nhost: x\r\nx:\tcaf\xe9\t\r\n\r\n'],
  'bare line ends': ['GET /v1/x HTTP/1.1\nhost: x\n\n'],
  'a control character': ['GET /v1/x HTTP/1.1\r\nhost: x\r\nx: a\x01b\r\n\r\n'],
  'a length and chunks': [
    'POST /v1/x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'
  ],
  'an absolute target': ['GET http://x/v1/x HTTP/1.1\r\nhost: x\r\n\r\n'],
  'a target that others answer': ['GET /own HTTP/1.1\r\nhost: x\r\n\r\n'],
  'an empty line ahead': ['\r\nGET /v1/x HTTP/1.1\r\nhost: x\r\n\r\n'],
  'a head that comes in parts': ['GET /v1/x HTT', 'P/1.1\r\nhost', ': x\r\n\r', '\n'],
  'two requests at once': [PLAIN + PLAIN.replace('/v1/x', '/v1/y')],
  'a request and a part of one': [`${PLAIN}GET /v1/y HT`, 'TP/1.1\r\nhost: x\r\n\r\n'],
  'a long head': [`GET /v1/x HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(20_000)}\r\n\r\n`],
  'a long target': [`GET /${'a'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`],
  noise: ['\x00\x01\x02\r\n\r\n'],
  'TLS where there is none': ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03']
}

t.test('what is not plain is answered as without them', async (t) => {
  const { port, plain } = await startPlain(t)
  const bare = await startListener(t, { handler: say })
  const talk = async (to: number, before: string, parts: readonly string[]) => {
    const { socket, came, send, saw, closed } = await open(t, to)
    if (before !== '') {
      send(before)
      await saw(/\}$/)
    }
    for (const part of parts) {
      send(part)
      await new Promise(setImmediate)
    }
    socket.end(LAST)
    await closed()
    return came.text.replace(/^Date: .*$/gm, 'Date: now')
  }
  for (const [what, parts] of Object.entries(OTHERS)) {
    for (const before of ['', PLAIN]) {
      plain.length = 0
      const expected = await talk(bare.port, before, parts)
      t.match(expected, /^HTTP\/1\.1 [24]\d\d /)
      t.equal(await talk(port, before, parts), expected, `${what}${before === '' ? '' : ', behind a plain request'}`)
      if (before !== '') t.equal(plain[0], true, 'which was taken as one')
      t.notOk(plain.slice(before === '' ? 0 : 1).includes(true), 'and nothing from then on')
    }
  }
})

t.test('an upgrade behind a plain request', async (t) => {
  const { port } = await startPlain(t, say, {
    upgrade(_request, socket, head) {
      socket.end(`HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n${head.toString()}`)
    }
  })
  const { came, send, saw, closed } = await open(t, port)
  send(PLAIN)
  await saw(/\}$/)
  came.text = ''
  send('GET /v1/x HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nfirst')
  await closed()
  t.match(came.text, /^HTTP\/1\.1 101 .*first$/s)
})

/** A handler whose answers are given by the test. */
function held() {
  const waiting: { request: IncomingMessage; response: ServerResponse }[] = []
  const handler: Handler = (request, response) => {
    waiting.push({ request, response })
  }
  const answer = (at: number, body: string) => {
    const { response } = waiting[at]!
    writePairs(response, 200, ['content-length', String(body.length)])
    response.end(body, 'latin1')
  }
  return { waiting, handler, answer }
}

t.test('requests behind one that is under way keep their order', async (t) => {
  const { waiting, handler, answer } = held()
  const { port, plain } = await startPlain(t, handler)
  const { came, send, saw } = await open(t, port)
  send(PLAIN)
  await waitFor(() => waiting.length === 1)
  send(PLAIN.replace('/v1/x', '/v1/second'))
  send('POST /v1/third HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi')
  // A request on another connection is read after these.
  const other = await open(t, port)
  other.send(PLAIN)
  await waitFor(() => waiting.length === 2)
  t.equal(came.text, '')
  answer(0, 'first')
  await waitFor(() => waiting.length === 4)
  t.strictSame(
    waiting.map(({ request }) => request.url),
    ['/v1/x', '/v1/x', '/v1/second', '/v1/third']
  )
  answer(3, 'third')
  answer(2, 'second')
  await saw(/third$/)
  t.match(came.text, /\r\n\r\nfirstHTTP.*\r\n\r\nsecondHTTP.*\r\n\r\nthird$/s)
  t.strictSame(plain, [true, true, false, false])
  answer(1, 'other')
  await other.saw(/other$/)
})

t.test('what comes behind a request that is under way is bounded', async (t) => {
  const { waiting, handler, answer } = held()
  const { port } = await startPlain(t, handler)
  const { socket, send, saw, came } = await open(t, port)
  send(PLAIN)
  await waitFor(() => waiting.length === 1)
  const many = 4_000
  const flood = Readable.from(Array.from({ length: many }, (_, i) => PLAIN.replace('/v1/x', `/v1/${i}`).repeat(1_000)))
  flood.pipe(socket)
  // Nobody reads it any more: it stays with its sender.
  await waitFor(() => socket.writableLength > 0)
  const other = await open(t, port)
  other.send(PLAIN)
  // What there was to read of the flood would have been read before.
  await waitFor(() => waiting.length === 2)
  answer(1, 'other')
  await other.saw(/other$/)
  const { bytesRead } = waiting[0]!.request.socket
  t.ok(bytesRead <= PLAIN.length + (16 + 64) * 1024, 'it takes 16 KiB, and what the last read brought', { bytesRead })
  answer(0, 'first')
  await saw(/first$/)
  await waitFor(() => waiting.length > 2)
  t.equal(waiting[2]!.request.url, '/v1/0')
  t.notOk(isPlain(waiting[2]!.request))
  flood.destroy()
  t.match(came.text, /first$/)
})

t.test('a client that leaves', async (t) => {
  for (const how of ['reset', 'end'] as const) {
    const { waiting, handler, answer } = held()
    const { port, listener } = await startPlain(t, handler)
    const { socket, send, closed, came } = await open(t, port)
    send(PLAIN)
    await waitFor(() => waiting.length === 1)
    const { response } = waiting[0]!
    const gone = once(response, 'close')
    if (how === 'reset') socket.resetAndDestroy()
    else socket.end()
    await gone
    t.match(response, { destroyed: true, closed: true, writableFinished: false, socket: null }, how)
    answer(0, 'nobody')
    await closed()
    t.equal(came.text, '')
    await waitFor(async () => (await connections(listener.server)) === 0)
  }
})

function connections(server: { getConnections(done: (error: Error | null, count: number) => void): unknown }) {
  return new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count)))
}

t.test('a handler that throws ends its connection and nothing else', async (t) => {
  const faults: string[] = []
  let calls = 0
  const { port } = await startPlain(
    t,
    (request, response) => {
      calls++
      if (request.url === '/v1/late') writePairs(response, 200, ['content-length', '5'])
      if (request.url !== '/v1/x') throw new Error('of a test')
      say(request, response)
    },
    { onFault: (at) => faults.push(at) }
  )
  const early = await open(t, port)
  early.send(PLAIN.replace('/v1/x', '/v1/early'))
  await early.closed()
  t.match(early.came.text, /^HTTP\/1\.1 500 .*connection: close\r\n/s)
  const late = await open(t, port)
  late.send(PLAIN.replace('/v1/x', '/v1/late'))
  await late.closed()
  t.equal(late.came.text, '')
  const fine = await open(t, port)
  fine.send(PLAIN)
  await fine.saw(/\}$/)
  t.strictSame(faults, ['request', 'request'])
  t.equal(calls, 3)
})

t.test('a gateway that leaves', async (t) => {
  const { waiting, handler, answer } = held()
  const { port, listener } = await startPlain(t, handler)
  const idle = await open(t, port)
  idle.send(PLAIN)
  await waitFor(() => waiting.length === 1)
  answer(0, 'idle')
  await idle.saw(/idle$/)
  const busy = await open(t, port)
  busy.send(PLAIN)
  await waitFor(() => waiting.length === 2)
  const left = listener.close()
  await idle.closed()
  t.notOk(busy.came.closed)
  answer(1, 'busy')
  await busy.saw(/busy$/)
  await busy.closed()
  await left
})

t.test('a gateway that leaves and still answers', async (t) => {
  let draining = false
  const { port, listener, plain } = await startPlain(t, say, {
    draining: () => draining,
    env: { IDLE_KEPT_MS: '1000' }
  })
  const { came, send, saw, closed } = await open(t, port)
  send(PLAIN)
  await saw(/\}$/)
  draining = true
  const left = listener.close()
  came.text = ''
  send(PLAIN)
  await saw(/\}$/)
  t.strictSame(plain, [true, true])
  await closed()
  await left
})

t.test('connections that are idle end', async (t) => {
  const { port } = await startPlain(t, say, { env: { KEEP_ALIVE_TIMEOUT_MS: '1000', HEADERS_TIMEOUT_MS: '500' } })
  const { came, send, saw, closed } = await open(t, port)
  send(PLAIN)
  await saw(/\}$/)
  t.match(came.text, /\r\nKeep-Alive: timeout=1\r\n/)
  await closed()
  const slow = await open(t, port)
  slow.send(PLAIN)
  await slow.saw(/\}$/)
  slow.came.text = ''
  slow.send('GET /v1/x HT')
  await slow.closed()
  t.match(slow.came.text, /^HTTP\/1\.1 408 /)
})

/** What answers are made of, by the path that asks for it. */
const ANSWERS: Record<string, (response: ServerResponse) => void> = {
  '/sized': (response) => {
    writePairs(response, 200, ['content-length', '5'])
    response.write('he')
    response.end(Buffer.from('llo'))
  },
  '/text': (response) => {
    writePairs(response, 200, ['content-length', '5'])
    response.end('caf\u00e9')
  },
  '/chunks': (response) => {
    writePairs(response, 200, ['content-type', 'text/plain'])
    response.write('one')
    response.write('')
    response.write(Buffer.from('two'))
    response.end('three')
  },
  '/flushed': (response) => {
    writePairs(response, 200, ['content-type', 'text/event-stream', 'x-latin', 'caf\xe9'])
    response.flushHeaders()
    response.end()
  },
  '/flushed-sized': (response) => {
    writePairs(response, 200, ['content-length', '1', 'x-latin', 'caf\xe9'])
    response.flushHeaders()
    response.end('x')
  },
  '/empty': (response) => {
    writePairs(response, 200, ['content-length', '0'])
    response.end()
  },
  '/204': (response) => {
    writePairs(response, 204, ['etag', '"1"'])
    response.end('none')
  },
  '/304': (response) => {
    writePairs(response, 304, ['etag', '"1"', 'content-length', '5'])
    response.end('none')
  },
  '/said': (response) => {
    // Services say what means nothing in an answer.
    writePairs(response, 200, ['expect', '100-continue', 'upgrade', 'x', 'te', 'y', 'content-length', '1'])
    response.end('x')
  },
  '/last': (response) => {
    writePairs(response, 200, ['connection', 'close', 'content-length', '1'])
    response.end('x')
  },
  '/last-in-chunks': (response) => {
    writePairs(response, 200, ['connection', 'close'])
    response.end('x')
  }
}

t.test("answers are what Node's would be, byte for byte", async (t) => {
  const handler: Handler = (request, response) => ANSWERS[request.url!]!(response)
  const { port, plain } = await startPlain(t, handler)
  const bare = await startListener(t, { handler })
  const talk = async (to: number, text: string) => {
    const { came, send, closed } = await open(t, to)
    send(text)
    await waitFor(() => came.text !== '' && /\r\n\r\n/.test(came.text))
    await new Promise(setImmediate)
    send(LAST)
    await closed()
    return undated(came.text)
  }
  for (const path of Object.keys(ANSWERS)) {
    for (const method of ['GET', 'HEAD']) {
      const text = PLAIN.replace('GET /v1/x', `${method} ${path}`)
      const expected = await talk(bare.port, text)
      t.match(expected, /^HTTP\/1\.1 [23]0\d /)
      t.notMatch(expected.split('\r\n\r\n')[0], /\xc3/, 'no header becomes UTF-8')
      plain.length = 0
      t.equal(unchunked(await talk(port, text)), unchunked(expected), `${method} ${path}`)
      t.equal(plain[0], true)
    }
  }
})

function undated(text: string): string {
  return text.replace(/^Date: .*$/gm, 'Date: now')
}

/** Node puts parts of one turn of the event loop into one chunk. */
function unchunked(text: string): string {
  return text.replace(/[0-9a-f]+\r\n([a-z]+)\r\n/g, '$1')
}

t.test('bodies that their clients do not read wait', async (t) => {
  const { waiting, handler } = held()
  const { port } = await startPlain(t, handler)
  const { socket, came, send, saw } = await open(t, port)
  socket.pause()
  send(PLAIN)
  await waitFor(() => waiting.length === 1)
  const { response } = waiting[0]!
  writePairs(response, 200, ['content-type', 'text/plain'])
  const part = Buffer.alloc(1024 * 1024, 'x')
  let written = 0
  do response.write(part, () => undefined)
  while (++written < 100 && response.writableLength === 0)
  t.ok(response.writableLength > 0)
  t.ok(response.writableNeedDrain)
  let finished = false
  response.once('finish', () => {
    finished = true
  })
  const drained = once(response, 'drain')
  socket.resume()
  await drained
  t.equal(response.writableLength, 0)
  response.end('end', () => undefined)
  await waitFor(() => finished)
  t.ok(response.writableFinished)
  await saw(/0\r\n\r\n$/)
  t.equal(
    came.text.match(/x/g)?.length,
    written * part.length + (came.text.split('\r\n\r\n')[0]!.match(/x/g)?.length ?? 0)
  )
})

t.test('whole answers that their client does not read stay as they are', async (t) => {
  const answers: ServerResponse[] = []
  const body = Buffer.alloc(15_996)
  const { port, plain } = await startPlain(t, (request, response) => {
    const name = request.url!.slice('/v1/'.length)
    writePairs(response, 200, ['content-length', String(body.length)])
    // The memory of a body is its owner's again when the call returns.
    endWhole(response, body.fill(name))
    body.fill('?')
    answers.push(response)
  })
  const slow = await open(t, port)
  slow.socket.pause()
  let asked = 0
  const ask = async ({ send }: typeof slow, name: string) => {
    send(PLAIN.replace('x HTTP', `${name} HTTP`))
    await waitFor(() => answers.length === asked + 1)
    return answers[asked++]!
  }
  // Until the kernel takes no more.
  while ((await ask(slow, `slow${asked % 10}-`)).writableFinished);
  const unread = asked
  const other = await open(t, port)
  for (let i = 0; i < 20; i++) {
    other.came.text = ''
    await ask(other, 'other-')
    await waitFor(() => other.came.text.length > body.length)
  }
  slow.socket.resume()
  await waitFor(
    () => slow.came.text.split('HTTP/1.1 200 OK').length === unread + 1 && answers[unread - 1]!.writableFinished
  )
  const bodies = () => slow.came.text.split('HTTP/1.1 200 OK').slice(1)
  await waitFor(() => bodies().at(-1)!.endsWith('-'))
  const wrong = bodies().filter((text, i) => {
    const expected = Buffer.alloc(body.length)
      .fill(`slow${i % 10}-`)
      .toString('latin1')
    return text.slice(text.indexOf('\r\n\r\n') + 4) !== expected
  })
  t.equal(wrong.length, 0)
  t.notOk(plain.includes(false))
})

t.test('what the answer to a plain request does not do', async (t) => {
  const errors: unknown[] = []
  const { port } = await startPlain(t, (_request, response) => {
    const attempt = (work: () => void) => {
      try {
        work()
      } catch (error) {
        errors.push(error)
      }
    }
    attempt(() => response.write('x'))
    attempt(() => response.end('x'))
    attempt(() => writePairs(response, 200, ['transfer-encoding', 'chunked']))
    attempt(() => writePairs(response, 200, ['connection', 'upgrade']))
    attempt(() => writePairs(response, 200, ['x', 'a\r\nb: c']))
    writePairs(response, 200, ['content-length', '1'])
    attempt(() => writePairs(response, 200, ['content-length', '1']))
    response.end('y')
    response.end('z')
    attempt(() => response.write('z'))
  })
  const { came, send, saw } = await open(t, port)
  send(PLAIN)
  await saw(/\r\n\r\ny$/)
  t.match(errors, [
    /body before its head/,
    /without a head/,
    /how its connection is used/,
    /how its connection is used/,
    { code: 'ERR_INVALID_CHAR' },
    /written before/
  ])
  came.text = ''
  send(PLAIN)
  await saw(/\r\n\r\ny$/)
})
