import type { IncomingMessage } from 'node:http'
import t from 'tap'
import { block, END_HEADERS, END_STREAM, frame, GET, openRaw, TYPE } from './helpers/http2-frames.ts'
import { startListener } from './helpers/listener.ts'

type Field = readonly [name: string, value: string]
type Seen = { method: string; url: string; headers: IncomingMessage['headers']; rawHeaders: string[]; body: string }

const POST: readonly Field[] = [[':method', 'POST'], ...GET.slice(1)]
const without = (name: string) => GET.filter(([given]) => given !== name)
const replaced = (name: string, value: string) =>
  GET.map(([given, old]) => [given, given === name ? value : old] as const)
const breaks = ['\r\n', '\n', '\r', '\0', '\r\nx-smuggled: 1', '\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n']
const controls = ['\x01', '\x0b', '\x7f']

/** Lists of header fields that no handler may ever see as a request. */
const refused: [what: string, fields: readonly Field[]][] = [
  ...without(':method').map((_, i) => [`without ${GET[i]![0]}`, without(GET[i]![0])] as [string, Field[]]),
  ...GET.map((field) => [`${field[0]} twice`, [field, ...GET]] as [string, Field[]]),
  ['a pseudo-header after a header', [...without(':path'), ['x-a', 'b'], [':path', '/v1/x']]],
  ['a pseudo-header of answers', [...GET, [':status', '200']]],
  ['an unknown pseudo-header', [...GET, [':smuggled', '1']]],
  [':protocol, which was not offered', [[':method', 'CONNECT'], ...GET.slice(1), [':protocol', 'websocket']]],
  [
    'CONNECT',
    [
      [':method', 'CONNECT'],
      [':authority', 'a.example']
    ]
  ],
  ...['', 'G E T', 'GET /smuggled HTTP/1.1', ...breaks.map((text) => `GET${text}`), 'GET\t', 'G"T'].map(
    (method) => [`method ${JSON.stringify(method)}`, replaced(':method', method)] as [string, Field[]]
  ),
  ...[
    '',
    'v1/x',
    'http://b.example/v1/x',
    '*',
    ' /v1/x',
    '/v1/x HTTP/1.1',
    '/v1/\x7f',
    ...breaks.map((text) => `/v1/x${text}`)
  ].map((path) => [`path ${JSON.stringify(path)}`, replaced(':path', path)] as [string, Field[]]),
  ...['', 'a@b.example', 'a.example b', 'a.example/x', ...breaks.map((text) => `a.example${text}`)].map(
    (authority) => [`authority ${JSON.stringify(authority)}`, replaced(':authority', authority)] as [string, Field[]]
  ),
  ...['', 'ht tp', 'http\r\nx: y'].map(
    (scheme) => [`scheme ${JSON.stringify(scheme)}`, replaced(':scheme', scheme)] as [string, Field[]]
  ),
  ['another host', [...GET, ['host', 'b.example']]],
  ['two hosts', [...without(':authority'), ['host', 'a.example'], ['host', 'b.example']]],
  ...['chunked', 'identity', 'Chunked', ''].map(
    (value) => [`transfer-encoding ${value}`, [...POST, ['transfer-encoding', value]]] as [string, Field[]]
  ),
  ...(['connection', 'keep-alive', 'proxy-connection', 'upgrade'] as const).map(
    (name) => [name, [...GET, [name, 'x-mine']]] as [string, Field[]]
  ),
  ['an expectation that nobody meets', [...GET, ['expect', 'the-worst']]],
  ['te: gzip', [...GET, ['te', 'gzip']]],
  ...['X-Upper', 'Content-Length', 'Transfer-Encoding'].map(
    (name) => [`upper case: ${name}`, [...POST, [name, '5']]] as [string, Field[]]
  ),
  ...['-1', '+5', '5 ', ' 5', '5,5', '0x5', '5.0', '', 'x', '99999999999999999999'].map(
    (value) => [`content-length ${JSON.stringify(value)}`, [...POST, ['content-length', value]]] as [string, Field[]]
  ),
  ['two content-lengths', [...POST, ['content-length', '5'], ['content-length', '5']]],
  ['two different content-lengths', [...POST, ['content-length', '5'], ['content-length', '6']]],
  ['a length of a body that does not come', [...POST, ['content-length', '5']]]
]

/** Headers that nghttp2 drops or refuses; a handler must not see anything of them that HTTP/1.1 could not say. */
const odd: Field[] = [
  ...[...breaks, ...controls].map((text) => ['x-mine', `a${text}b`] as const),
  ...[...breaks, ...controls, ' ', ':', '(', '"', 'é'].map((text) => [`x-mine${text}`, 'a'] as const),
  ['', 'a'],
  [' transfer-encoding', 'chunked'],
  ['transfer-encoding ', 'chunked'],
  ['transfer-encoding:', 'chunked'],
  ['transfer_encoding', 'chunked'],
  ['x-mine', ' padded '],
  ['cookie', 'a=b\r\nx-smuggled: 1'],
  ['http2-settings', 'AAMAAABk'],
  ['te', 'trailers'],
  ['expect', '100-continue'],
  ['__proto__', 'x'],
  ['constructor', 'x']
]

t.test('no request that HTTP/1.1 would read in another way', async (t) => {
  const seen: Seen[] = []
  const { port } = await startListener(t, {
    handler: (request, response) => {
      const parts: Buffer[] = []
      request.on('data', (part: Buffer) => parts.push(part))
      request.on('end', () => {
        const { method = '', url = '', headers, rawHeaders } = request
        seen.push({ method, url, headers, rawHeaders, body: Buffer.concat(parts).toString('latin1') })
        response.end('{}')
      })
    }
  })
  /** Sends one request on a connection of its own and waits until something is decided about it. */
  const send = async (fields: readonly Field[], ...data: Buffer[]) => {
    const before = seen.length
    const client = await openRaw(t, port)
    const flags = data.length === 0 ? END_HEADERS | END_STREAM : END_HEADERS
    client.send(frame(TYPE.headers, flags, 1, block(fields)), ...data)
    const decided = ({ type, stream }: { type: number; stream: number }) =>
      type === TYPE.goaway || (stream === 1 && (type === TYPE.reset || type === TYPE.headers))
    await Promise.race([client.next(decided).catch(() => {}), client.closed])
    client.socket.destroy()
    return seen.slice(before)
  }

  t.equal((await send(GET)).length, 1, 'what is right is seen')
  t.match(await send([...POST, ['content-length', '2']], frame(TYPE.data, END_STREAM, 1, 'hi')), [{ body: 'hi' }])
  t.match(await send([...without(':authority'), ['host', 'a.example']]), [{ headers: { host: 'a.example' } }])
  t.match(await send([...GET, ['host', 'a.example']]), [{ headers: { host: 'a.example' } }])

  for (const [what, fields] of refused) t.strictSame(await send(fields), [], what)

  const body = (text: string) => frame(TYPE.data, END_STREAM, 1, text)
  const five: readonly Field[] = [...POST, ['content-length', '5']]
  for (const [what, ...data] of [
    ['a body that is shorter than it says', body('abcd')],
    ['a body that is longer', body('abcdefGET /smuggled HTTP/1.1\r\n\r\n')],
    ['longer, in parts', frame(TYPE.data, 0, 1, 'abcde'), body('f')],
    ['empty', body('')],
    [
      'trailers that are pseudo-headers',
      frame(TYPE.data, 0, 1, 'abcde'),
      frame(TYPE.headers, 5, 1, block([[':path', '/']]))
    ],
    ['a second head', frame(TYPE.data, 0, 1, 'abcde'), frame(TYPE.headers, 5, 1, block(POST))]
  ] as [string, ...Buffer[]][]) {
    t.strictSame(await send(five, ...data), [], what)
  }

  for (const field of odd) {
    const [request] = await send([...GET, field])
    if (request === undefined) continue
    t.match(request, { method: 'GET', url: '/v1/x', body: '' }, JSON.stringify(field))
    const { host, ...headers } = request.headers
    t.equal(host, 'a.example')
    for (const [name, value] of Object.entries(headers)) {
      t.match(name, /^[!#$%&'*+.^_`|~0-9a-z-]+$/, `${JSON.stringify(field)} gives a name of HTTP/1.1`)
      t.match(value, /^[\t\x20-\x7e\x80-\xff]*$/, `${JSON.stringify(field)} gives a value of HTTP/1.1`)
      t.notOk(['transfer-encoding', 'content-length', 'connection', 'upgrade', 'x-smuggled'].includes(name))
    }
    t.notOk(request.rawHeaders.some((text) => /^:|[\r\n\0]/.test(text)))
  }
  t.ok(seen.every(({ url }) => url === '/v1/x'))
})
