import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import t from 'tap'
import { route } from '../src/index.ts'
import { MapStore } from './support/map-store.ts'
import { createServer, createTokens, widget, widgetRoutes } from './support/server.ts'

const tokens = await createTokens()
const authorization = `Bearer ${await tokens.sign()}`

/** A listening server whose handlers must not run. */
async function listening(t: Parameters<typeof createServer>[0]) {
  const server = createServer(t, { identity: tokens.identity, idempotency: new MapStore() })
  const { app } = server
  let handled = 0
  const count = async () => {
    handled++
    return widget
  }
  route(app, widgetRoutes.get, count)
  route(app, widgetRoutes.create, count)
  route(app, widgetRoutes.update, count)
  route(app, widgetRoutes.list, async () => ({ items: [await count()], nextCursor: null }))
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  return { ...server, url, port: (app.server.address() as AddressInfo).port, handled: () => handled }
}

t.test('every bad request is a 4xx problem that names what is wrong, and reaches no handler', async (t) => {
  const { url, handled, lines } = await listening(t)
  const json = { 'content-type': 'application/json' }
  const post = (body: string | Buffer, headers: Record<string, string> = json) => ({
    method: 'POST',
    body: new Uint8Array(Buffer.from(body as string)),
    headers
  })
  const cases: Array<[name: string, path: string, init: RequestInit, status: number, expect: object]> = [
    ['malformed JSON', '/v1/widgets', post('{"name":'), 400, { code: 'BAD_JSON' }],
    ['no JSON', '/v1/widgets', post('<xml/>'), 400, { code: 'BAD_JSON' }],
    ['not UTF-8', '/v1/widgets', post(Buffer.from([0x7b, 0xff])), 400, { code: 'BAD_JSON' }],
    ['no body', '/v1/widgets', { method: 'POST' }, 400, { errors: [{ path: 'body', code: 'required' }] }],
    ['empty body', '/v1/widgets', post(''), 400, { errors: [{ path: 'body', code: 'required' }] }],
    ['wrong type', '/v1/widgets', post('{"name":5}'), 400, { errors: [{ path: 'body.name', code: 'type' }] }],
    [
      'over-long',
      '/v1/widgets',
      post(`{"name":"${'x'.repeat(21)}"}`),
      400,
      { errors: [{ path: 'body.name', code: 'too_long' }] }
    ],
    [
      'unknown member',
      '/v1/widgets',
      post('{"name":"a","isAdmin":true}'),
      400,
      { errors: [{ path: 'body.isAdmin', code: 'unknown' }] }
    ],
    [
      '__proto__',
      '/v1/widgets',
      post('{"name":"a","__proto__":{"x":1}}'),
      400,
      { errors: [{ path: 'body.__proto__' }] }
    ],
    ['NUL', '/v1/widgets', post('{"name":"a\\u0000b"}'), 400, { errors: [{ path: 'body.name', code: 'text' }] }],
    [
      'lone surrogate',
      '/v1/widgets',
      post('{"name":"\\ud83d"}'),
      400,
      { errors: [{ path: 'body.name', code: 'text' }] }
    ],
    [
      'deep nesting',
      '/v1/widgets',
      post(`{"name":${'['.repeat(400_000)}${']'.repeat(400_000)}}`),
      400,
      { errors: [{ code: 'too_deep' }] }
    ],
    [
      'many members',
      '/v1/widgets',
      post(`{"name":[${'1,'.repeat(400_000)}1]}`),
      400,
      { errors: [{ code: 'too_many' }] }
    ],
    ['10 MB', '/v1/widgets', post(`{"name":"${'x'.repeat(10_000_000)}"}`), 413, { code: 'BODY_TOO_LARGE' }],
    [
      'wrong content type',
      '/v1/widgets',
      post('name=a', { 'content-type': 'application/x-www-form-urlencoded' }),
      415,
      { code: 'UNSUPPORTED_MEDIA_TYPE' }
    ],
    // As `curl -d ''` sends it: a body that is wanted is missing, not of the wrong type.
    ['an empty form', '/v1/widgets', post('', { 'content-type': 'application/x-www-form-urlencoded' }), 400, {}],
    ['text', '/v1/widgets', post('{"name":"a"}', { 'content-type': 'text/plain' }), 415, {}],
    ['no content type', '/v1/widgets', post('{"name":"a"}', {}), 415, {}],
    ['broken content type', '/v1/widgets', post('{"name":"a"}', { 'content-type': ';;' }), 415, {}],
    ['wrong method', '/v1/widgets', { method: 'DELETE' }, 405, { code: 'METHOD_NOT_ALLOWED' }],
    ['wrong method with a broken body', '/v1/widgets/w1', post('{', json), 405, {}],
    ['unknown method', '/v1/widgets', { method: 'PROPFIND' }, 405, {}],
    ['no such path', '/v1/nothing', {}, 404, { code: 'NOT_FOUND' }],
    ['no such path with a huge body', '/v1/nothing', post('x'.repeat(2_000_000)), 404, {}],
    ['bad id', '/v1/widgets/NOT-AN-ID', {}, 400, { errors: [{ path: 'params.id', code: 'pattern' }] }],
    ['very long id', `/v1/widgets/${'a'.repeat(1500)}`, {}, 400, { errors: [{ path: 'params.id' }] }],
    ['id beyond all bounds', `/v1/widgets/${'a'.repeat(5000)}`, {}, 414, { code: 'URI_TOO_LONG' }],
    ['NUL in the path', '/v1/widgets/a%00b', {}, 400, { errors: [{ path: 'params.id', code: 'text' }] }],
    ['broken escape in the path', '/v1/widgets/%zz', {}, 400, { code: 'BAD_REQUEST' }],
    ['surrogate in the path', '/v1/widgets/%ed%a0%80', {}, 400, {}],
    ['NUL in the query', '/v1/widgets?q=%00', {}, 400, { errors: [{ path: 'query.q', code: 'text' }] }],
    ['unknown query', '/v1/widgets?x=1', {}, 400, { errors: [{ path: 'query.x', code: 'unknown' }] }],
    ['__proto__ in the query', '/v1/widgets?__proto__=1', {}, 400, { errors: [{ path: 'query.__proto__' }] }],
    ['repeated query', '/v1/widgets?limit=1&limit=2', {}, 400, { errors: [{ path: 'query.limit', code: 'type' }] }],
    ['bad number', '/v1/widgets?limit=ten', {}, 400, { errors: [{ path: 'query.limit', code: 'type' }] }],
    ['bad fields', '/v1/widgets?fields=,', {}, 400, { errors: [{ path: 'query.fields', code: 'pattern' }] }]
  ]
  for (const [name, path, init, status, expected] of cases) {
    const answer = await fetch(url + path, { ...init, headers: { authorization, ...init.headers } })
    const text = await answer.text()
    t.equal(answer.status, status, name, { text: text.slice(0, 200) })
    t.equal(answer.headers.get('content-type'), 'application/problem+json; charset=utf-8', name)
    const body = JSON.parse(text) as Record<string, unknown>
    t.match(
      body,
      {
        status,
        type: /^urn:skerry:error:/,
        title: String,
        code: String,
        requestId: answer.headers.get('x-request-id')
      },
      name
    )
    t.match(body, expected, name)
    t.notMatch(text, /at .*\.ts|node_modules|FST_|SyntaxError/, `${name}: no internals`)
    t.ok(text.length < 2000, `${name}: bounded`)
    if (status === 405) t.match(answer.headers.get('allow'), /GET/, name)
  }
  t.equal(handled(), 0)
  t.notOk(
    lines.some((line) => Number(line.level) >= 50),
    'none of it is an error of ours'
  )
  t.equal((await fetch(`${url}/v1/widgets`)).status, 200, 'and the server lives')
})

t.test('the connection outlives a refused body', async (t) => {
  const { port } = await listening(t)
  const socket = connect(port, '127.0.0.1')
  const big = 'x'.repeat(3_000_000)
  socket.write(
    `POST /v1/widgets HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${big.length}\r\n\r\n${big}`
  )
  socket.write('GET /v1/widgets HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  await once(socket, 'close')
  t.match(text, /^HTTP\/1\.1 413 /)
  t.match(text, /HTTP\/1\.1 200 OK/)
})

t.test('what is not HTTP gets a problem too', async (t) => {
  const { port } = await listening(t)
  const raw = async (bytes: string) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('error', () => socket.destroy())
    socket.write(bytes)
    await once(socket, 'close')
    return text
  }
  t.match(await raw('hello\r\n\r\n'), /^HTTP\/1\.1 400 [\s\S]*application\/problem\+json[\s\S]*"code":"BAD_REQUEST"/)
  t.match(
    await raw(`GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`),
    /^HTTP\/1\.1 431 [\s\S]*HEADERS_TOO_LARGE/
  )
  t.match(await raw('POST /v1/widgets HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n'), /^HTTP\/1\.1 400 /)
  t.match(await raw('GET /v1/widgets HTTP/1.1\r\n\r\n'), /^HTTP\/1\.1 400 /, 'no host')
})

t.test('an empty body is none, however it says that it is empty', async (t) => {
  const { app } = createServer(t, { identity: tokens.identity, idempotency: new MapStore() })
  route(app, widgetRoutes.remove, async () => undefined)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const token = await tokens.sign()
  const remove = async (rest: string) => {
    const socket = connect(port, '127.0.0.1')
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.write(
      `DELETE /v1/widgets/w1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer ${token}\r\n${rest}`
    )
    await once(socket, 'close')
    return text.slice(0, 12)
  }
  const form = 'content-type: application/x-www-form-urlencoded\r\n'
  const chunked = `${form}transfer-encoding: chunked\r\n\r\n`
  t.equal(await remove(`${form}content-length: 0\r\n\r\n`), 'HTTP/1.1 204')
  t.equal(await remove(`${form}content-length: 00\r\n\r\n`), 'HTTP/1.1 204')
  t.equal(await remove(`${chunked}0\r\n\r\n`), 'HTTP/1.1 204', 'as `curl -T - </dev/null` sends it')
  t.equal(await remove('transfer-encoding: chunked\r\n\r\n0\r\n\r\n'), 'HTTP/1.1 204', 'without a type')
  for (const type of ['undefined', 'null', 'text', ';;']) {
    t.equal(await remove(`content-type: ${type}\r\ncontent-length: 0\r\n\r\n`), 'HTTP/1.1 204', `the type ${type}`)
    t.equal(await remove(`content-type: ${type}\r\ncontent-length: 1\r\n\r\na`), 'HTTP/1.1 415', `the type ${type}`)
  }
  t.equal(await remove(`${chunked}1\r\na\r\n0\r\n\r\n`), 'HTTP/1.1 415')
  t.equal(await remove(`${form}content-length: 1\r\n\r\na`), 'HTTP/1.1 415')
})

t.test('a body that never ends is cut off', async (t) => {
  const { app } = createServer(t, {
    config: { REQUEST_TIMEOUT_MS: '1000' },
    identity: tokens.identity,
    idempotency: new MapStore()
  })
  route(app, widgetRoutes.create, async () => widget)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.write(
    'POST /v1/widgets HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"na'
  )
  await once(socket, 'close')
  t.match(text, /^HTTP\/1\.1 408 [\s\S]*REQUEST_TIMEOUT/)
})
