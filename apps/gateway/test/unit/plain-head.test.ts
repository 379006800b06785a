import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import { duplexPair } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { waitFor } from '@skerry/testing'
import fc from 'fast-check'
import t from 'tap'
import { type Fields, type PlainHead, readPlainHead } from '../../src/listen/http1/plain-head.ts'
import { PlainRequest } from '../../src/listen/http1/plain-request.ts'
import { splitHeaders } from '../../src/proxy/request-headers.ts'

/** What is read of these bytes, which may lie before others from an earlier read. */
function read(text: string, known?: Fields): PlainHead | undefined {
  const bytes = Buffer.from(text, 'latin1')
  const input = Buffer.alloc(bytes.length + 64, 'GET /old HTTP/1.1\r\nhost: old\r\n\r\n')
  bytes.copy(input)
  return readPlainHead(input, bytes.length, known)
}

const PLAIN = 'GET /v1/x?a=1 HTTP/1.1\r\nHost: x.example\r\nAccept: a, b\r\n\r\n'

t.test('what is plain', (t) => {
  const plain: [string, object][] = [
    [PLAIN, { method: 'GET', target: '/v1/x?a=1', fields: { headers: { host: 'x.example', accept: 'a, b' } } }],
    ['HEAD / HTTP/1.1\r\nhost: x\r\n\r\n', { method: 'HEAD', target: '/' }],
    ['DELETE /v1/%7e HTTP/1.1\r\nhost: x\r\n\r\n', { method: 'DELETE', target: '/v1/%7e' }],
    [
      'GET / HTTP/1.1\r\nhost: x\r\nConnection: Keep-Alive\r\n\r\n',
      { fields: { headers: { connection: 'Keep-Alive' } } }
    ],
    ['GET / HTTP/1.1\r\nhost: x\r\nX-A: :\r\n\r\n', { fields: { raw: ['host', 'x', 'X-A', ':'] } }]
  ]
  for (const [text, head] of plain) t.match(read(text), head, JSON.stringify(text))
  t.end()
})

/** Lines in the place of `accept`, and whole heads, that are for Node's parser: to refuse, or to read in its way. */
export const LINES = [
  'content-length: 0',
  'content-length: 5',
  'transfer-encoding: chunked',
  'te: trailers',
  'trailer: x',
  'expect: 100-continue',
  'upgrade: websocket',
  'http2-settings: x',
  'keep-alive: timeout=5',
  'proxy-connection: close',
  'connection: close',
  'connection: upgrade',
  'connection: keep-alive, x',
  'host: y',
  'HOST: x.example',
  'x: 1\r\nx: 2',
  'x: 1\r\nX: 2',
  'x:1',
  'x:  1',
  'x: 1 ',
  'x: 1\t',
  'x:\t1',
  'x: ',
  'x:',
  'x: a\tb',
  'x: caf\xe9',
  'x: a\x00b',
  'x: a\x7fb',
  'x: a\rb',
  'x: a\nb',
  'x: a\r\n b',
  ' x: 1',
  'x : 1',
  'x_y: 1',
  '__proto__: 1',
  'x.y: 1',
  ': 1',
  'x',
  'x\xe9: 1'
]
const HEADS = [
  'GET / HTTP/1.1\r\n\r\n',
  'GET / HTTP/1.1\r\nx: y\r\n\r\n',
  'GET / HTTP/1.0\r\nhost: x\r\n\r\n',
  'GET / HTTP/1.2\r\nhost: x\r\n\r\n',
  'GET / http/1.1\r\nhost: x\r\n\r\n',
  'get / HTTP/1.1\r\nhost: x\r\n\r\n',
  'POST / HTTP/1.1\r\nhost: x\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n',
  'CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET http://x/ HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET x HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET /#a HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET /;a HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET /\\ HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET /caf\xe9 HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET  / HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET /  HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET / HTTP/1.1 \r\nhost: x\r\n\r\n',
  'GET /\tHTTP/1.1\r\nhost: x\r\n\r\n',
  'GET / x HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET / HTTP/1.1\nhost: x\n\n',
  'GET / HTTP/1.1\r\nhost: x\n\r\n',
  'GET / HTTP/1.1\r\nhost: x\r\n\n',
  'GET / HTTP/1.1\rhost: x\r\r',
  '\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET / HTTP/1.1\r\nhost: x\r\n\r\n\r\n',
  'GET / HTTP/1.1\r\nhost: x\r\n\r\nx',
  `${PLAIN}${PLAIN}`,
  PLAIN.slice(0, -1),
  PLAIN.slice(0, -2),
  PLAIN.slice(0, 10),
  'P',
  '\x16\x03\x01',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  `GET / HTTP/1.1\r\nhost: x\r\n${'x: 1\r\n'.repeat(80)}\r\n`
]

t.test('what is for another parser', (t) => {
  for (const line of LINES) {
    const text = PLAIN.replace('Accept: a, b', line)
    t.equal(read(text), undefined, JSON.stringify(line))
    t.equal(read(text, read(PLAIN)!.fields), undefined, `${JSON.stringify(line)}, when others were known`)
  }
  for (const text of HEADS) t.equal(read(text), undefined, JSON.stringify(text))
  t.end()
})

t.test('the lines of the last head are known', (t) => {
  const { fields } = read(PLAIN)!
  t.equal(read(PLAIN, fields)!.fields, fields)
  const other = read(PLAIN.replace('/v1/x', '/v1/y'), fields)!
  t.match(other, { target: '/v1/y?a=1' })
  t.equal(other.fields, fields)
  const longer = read(PLAIN.replace('a, b', 'a, bc'), fields)!
  t.strictSame({ ...longer.fields.headers }, { host: 'x.example', accept: 'a, bc' })
  for (const text of [`${PLAIN}x`, PLAIN.slice(0, -1), `${PLAIN}${PLAIN}`, PLAIN.replace(' HTTP', '\xe9 HTTP')])
    t.equal(read(text, fields), undefined, JSON.stringify(text))
  t.end()
})

t.test('long heads cost what their bytes do', (t) => {
  // Of what grows by the square 16 KiB would take minutes.
  for (const long of ['a '.repeat(8_000), 'x: '.repeat(5_000), ':'.repeat(16_000)]) {
    t.ok(read(PLAIN.replace('a, b', `${long}a`)), 'one long value')
    t.equal(read(PLAIN.replace('a, b', `${long} `)), undefined, 'with a space behind it')
  }
  for (const line of ['a '.repeat(8_000), 'a'.repeat(16_000), `${'a'.repeat(8_000)}: b`, `x: ${' '.repeat(16_000)}`])
    t.equal(read(PLAIN.replace('Accept: a, b', line)), undefined, 'one long line that is not plain')
  t.end()
})

type Read = { method: string; target: string; headers: object; raw: string[]; body: string }

/** What Node's server reads of bytes that come in two parts; undefined in the place of what it refuses. */
async function readByNode(first: string, second: string): Promise<(Read | undefined)[]> {
  const found: Promise<Read | undefined>[] = []
  const server = createServer({ keepAliveTimeout: 0 }, (request: IncomingMessage, response) => {
    const { method = '', url = '', headers, rawHeaders } = request
    found.push(
      buffer(request).then((body) => ({ method, target: url, headers, raw: rawHeaders, body: body.toString('latin1') }))
    )
    response.end()
  })
  const [client, socket] = duplexPair()
  server.on('clientError', (_error, broken) => {
    found.push(Promise.resolve(undefined))
    broken.destroy()
  })
  server.emit('connection', socket)
  client.resume()
  const over = once(client, 'close')
  client.write(first, 'latin1')
  await new Promise(setImmediate)
  client.end(second, 'latin1')
  await Promise.race([over, waitFor(() => found.length >= 2)])
  client.destroy()
  socket.destroy()
  return Promise.all(found)
}

const NEXT = 'GET /next HTTP/1.1\r\nhost: next\r\n\r\n'
const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,12}$/)
const value = fc.oneof(
  { weight: 12, arbitrary: fc.stringMatching(/^[!-~]([ -~]{0,30}[!-~])?$/) },
  fc.constantFrom('keep-alive', 'close', '0', '5', 'chunked', 'a\tb', ' a', 'a ', '', 'caf\xe9')
)
const name = fc.oneof(
  { weight: 12, arbitrary: token },
  fc.constantFrom(
    'Host',
    'host',
    'Connection',
    'Content-Length',
    'Transfer-Encoding',
    'Cookie',
    'Authorization',
    'constructor',
    'toString',
    'a_b'
  )
)
const head = fc
  .record({
    method: fc.constantFrom('GET', 'GET', 'HEAD', 'DELETE', 'GET', 'POST', 'get'),
    target: fc.oneof(
      { weight: 12, arbitrary: fc.stringMatching(/^\/[\w\-.~!$&'()*+,=:@/%?]{0,30}$/) },
      fc.constantFrom('*', 'http://x/', '/a b', '/#')
    ),
    version: fc.constantFrom(...Array.from({ length: 12 }, () => '1.1'), '1.0'),
    host: fc.constantFrom(true, true, true, false),
    lines: fc.array(fc.tuple(name, value), { maxLength: 8 })
  })
  .map(({ method, target, version, host, lines }) => {
    const all = host ? [['Host', 'x'] as const, ...lines] : lines
    return `${method} ${target} HTTP/${version}\r\n${all.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
  })
/** Bytes that mean something to a parser, put in, put over others, or left out. */
const change = fc.record({
  at: fc.nat(200),
  out: fc.nat(3),
  put: fc.constantFrom(
    '',
    '\r',
    '\n',
    '\r\n',
    ' ',
    '\t',
    ':',
    '\0',
    '\x7f',
    '\x80',
    '\xff',
    '_',
    ';',
    '\x0b',
    'x',
    '\r\n\r\n',
    '\r\n '
  )
})
const changed = fc.tuple(head, fc.array(change, { minLength: 1, maxLength: 3 })).map(([text, changes]) =>
  changes.reduce((now, { at, out, put }) => {
    const from = at % (now.length + 1)
    return now.slice(0, from) + put + now.slice(from + out)
  }, text)
)

t.test("what is read as plain, Node's parser reads the same", async (t) => {
  let plain = 0
  await fc.assert(
    fc.asyncProperty(fc.oneof(head, changed), fc.boolean(), async (text, isKnown) => {
      const first = read(text)
      // Whatever it was before, the same bytes are read the same.
      const found = isKnown && first !== undefined ? read(text, first.fields) : first
      if (found === undefined) return
      plain++
      const { method, target, fields } = found
      const [own, next, ...more] = await readByNode(text, NEXT)
      assert.deepEqual(own, { method, target, headers: { ...fields.headers }, raw: fields.raw, body: '' })
      // And what comes behind it is another request.
      assert.deepEqual([next?.method, next?.target, next?.body, more], ['GET', '/next', '', []])
    }),
    { numRuns: 6_000 }
  )
  t.ok(plain > 500, 'many of them are plain')
})

t.test('the headers of a connection', (t) => {
  const told = {
    address: '1.2.3.4',
    protocol: 'http',
    requestId: 'id',
    traceparent: '00-a-b-01',
    traceContinued: false
  }
  const head = Buffer.from(
    'GET /x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nX-Forwarded-For: 1\r\nIf-None-Match: "a~gzip"\r\nAccept: a\r\n\r\n'
  )
  const again = (known?: Fields) => readPlainHead(head, head.length, known)!
  const { fields } = again()
  const joined = ({ common, headers }: ReturnType<typeof splitHeaders>) => {
    const all = [...(common?.pairs ?? []), ...headers]
    return Object.fromEntries(all.flatMap((name, i) => (i % 2 === 0 ? [[name, all[i + 1]]] : [])))
  }
  const first = splitHeaders(fields, told)
  t.equal(first.common, undefined, 'one request is not worth it')
  const second = splitHeaders(again(fields).fields, told)
  const passed =
    /^authorization: Bearer a\r\nif-none-match: .*\r\naccept: a\r\nx-forwarded-for: 1\.2\.3\.4\r\nx-forwarded-proto: http\r\n$/
  t.match(second.common?.text, passed)
  t.strictSame(joined(second), joined(first))
  t.equal(splitHeaders(fields, { ...told, requestId: 'other' }).common, second.common)
  t.match(joined(splitHeaders(fields, { ...told, requestId: 'other' })), { 'x-request-id': 'other' })
  for (const from of [{ address: '1.2.3.5' }, { protocol: 'https' }, {}]) {
    const other = { ...told, ...from }
    t.strictSame(
      joined(splitHeaders(fields, other)),
      joined(splitHeaders(again().fields, other)),
      'whom they come from'
    )
  }

  const request = new PlainRequest(new Socket(), again(fields))
  request.ownHeaders()
  request.headers.authorization = 'Bearer b'
  request.headers['x-more'] = '1'
  t.match(new PlainRequest(new Socket(), again(fields)).headers, { authorization: 'Bearer a', 'x-more': undefined })

  const traced = Buffer.from('GET /x HTTP/1.1\r\nHost: x\r\nTracestate: a=b\r\n\r\n')
  const state = readPlainHead(traced, traced.length, undefined)!.fields
  for (const traceContinued of [true, false, true]) {
    const told2 = { ...told, traceContinued }
    t.equal(joined(splitHeaders(state, told2)).tracestate, traceContinued ? 'a=b' : undefined)
  }
  t.end()
})
