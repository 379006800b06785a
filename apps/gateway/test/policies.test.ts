import { once } from 'node:events'
import { glob, readFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { type BatchAnswer, SkerryError } from '@skerry/contracts'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import type { Visit } from '../src/door/visit.ts'
import { hooksOf } from '../src/policies/hooks.ts'
import { POLICIES } from '../src/policies/list.ts'
import { definePolicy } from '../src/policies/policy.ts'
import { denyList } from './fixtures/policies/deny-list.ts'
import { maintenance } from './fixtures/policies/maintenance.ts'
import { teamHeader } from './fixtures/policies/team-header.ts'
import { ask, getters, openSession, talk } from './helpers/clients.ts'
import { startGateway } from './helpers/gateway.ts'
import { startUpstream } from './helpers/upstream.ts'

const TRUSTED = { TRUSTED_PROXIES: '127.0.0.1' }
const DENIED = { 'x-forwarded-for': '203.0.113.9' }
const ROUTES = [
  {
    method: 'GET' as const,
    path: '/v1/posts/kept',
    auth: 'none' as const,
    cache: { scope: 'public' as const, ttl: 60 }
  },
  { method: 'PUT' as const, path: '/v1/posts/passing', auth: 'none' as const, body: 'stream' as const, bodyLimit: 9 }
]

t.test('a header is in the head of every answer, whoever gives it', async (t) => {
  const g = await startGateway(t, { env: { URL_LIMIT: '2000', BATCH_ANSWER_LIMIT: '4000' }, policies: [teamHeader] })
  const posts = await startUpstream(t, g.nc, {
    routes: ROUTES,
    answer(request, response) {
      response.setHeader('x-team', 'another')
      response.setHeader('content-type', 'application/json')
      if (request.url === '/v1/posts/broken') request.socket.destroy()
      else if (request.url === '/v1/posts/text') response.setHeader('content-type', 'text/plain').end('x')
      else if (request.url === '/v1/posts/long') response.end(JSON.stringify('a'.repeat(5_000)))
      else if (request.url === '/v1/posts/streamed') {
        response.write(JSON.stringify('b'.repeat(5_000)))
        response.end()
      } else response.setHeader('etag', '"1"').end('{}')
    }
  })
  const sockets = new WebSocketServer({ noServer: true })
  t.teardown(() => sockets.close())
  posts.server.on('upgrade', (request, socket, head) => {
    if (request.url?.includes('refuse')) socket.end('HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n')
    else sockets.handleUpgrade(request, socket, head, () => undefined)
  })
  await g.live('content', 1)

  const cases: [about: string, status: number, path: string, init?: RequestInit][] = [
    ['passed on', 200, '/v1/posts'],
    ['passed on to HEAD', 200, '/v1/posts', { method: 'HEAD' }],
    ['encoded as a whole', 200, '/v1/posts/long', { headers: { 'accept-encoding': 'gzip' } }],
    ['encoded as it comes', 200, '/v1/posts/streamed', { headers: { 'accept-encoding': 'gzip' } }],
    ['loaded for the cache', 200, '/v1/posts/kept'],
    ['from the cache', 200, '/v1/posts/kept'],
    ['not modified', 304, '/v1/posts/kept', { headers: { 'if-none-match': '"1"' } }],
    ['whose bodies pass through', 200, '/v1/posts/passing', { method: 'PUT', body: 'some' }],
    ['too large to pass through', 413, '/v1/posts/passing', { method: 'PUT', body: 'more than 9 bytes' }],
    ['refused by the door', 404, '/v1/nothing'],
    ['of a service that is away', 503, '/v1/feed'],
    ['of the gateway itself', 200, '/livez'],
    ['a document', 200, '/openapi.json'],
    ['a path of its own that is not there', 404, '/docs/nothing'],
    ['a path that Fastify would refuse', 400, '/docs/%zz'],
    ['a method that nobody takes', 405, '/livez', { method: 'DELETE' }],
    ['a preflight', 204, '/v1/posts', { method: 'OPTIONS', headers: { origin: 'https://a.example' } }],
    [
      'a batch',
      400,
      '/v1/batch',
      { method: 'POST', headers: { 'content-type': 'application/json', ...g.issuer.bearer() }, body: '{}' }
    ]
  ]
  for (const [about, status, path, init] of cases) {
    const answer = await fetch(g.url + path, init)
    await answer.arrayBuffer()
    t.equal(answer.status, status, about)
    t.equal(answer.headers.get('x-team'), 'platform', `${about}: x-team`)
    t.equal(answer.headers.get('x-content-type-options'), 'nosniff', `${about}: what all answers say`)
  }
  const members: [about: string, status: number, path: string, headers?: Record<string, string>][] = [
    ['passed on', 200, '/v1/posts'],
    ['refused by the door', 404, '/v1/nothing'],
    ['a path that not all read in one way', 400, '/v1/posts//a'],
    ['a batch', 400, '/v1/batch'],
    ['a header of the batch', 400, '/v1/posts', { 'x-forwarded-for': '192.0.2.1' }],
    ['a value that is none', 400, '/v1/posts', { accept: 'a\r\nb: c' }],
    ['too large', 502, '/v1/posts/long'],
    ['no JSON', 502, '/v1/posts/text'],
    ['broken off', 502, '/v1/posts/broken']
  ]
  const batch = await fetch(`${g.url}/v1/batch`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...g.issuer.bearer() },
    body: JSON.stringify({ requests: members.map(([, , path, headers]) => ({ method: 'GET', path, headers })) })
  })
  const { responses } = (await batch.json()) as { responses: BatchAnswer[] }
  for (const [i, [about, status]] of members.entries()) {
    const { headers, body, status: found } = responses[i]!
    t.equal(found, status, `in a batch, ${about}`)
    t.match(headers, { 'x-team': 'platform', 'x-content-type-options': 'nosniff', 'x-request-id': /./ }, about)
    if (status === 200) continue
    t.match(headers, { 'content-type': 'application/problem+json; charset=utf-8', 'cache-control': 'no-store' }, about)
    const requestId = headers['x-request-id']
    t.match(body, { status, requestId }, about)
    const logged = g.lines.filter((line) => line.msg === 'request completed' && line.requestId === requestId)
    t.ok(logged.length <= 1, `${about}: once at most`)
    if (status === 400) t.match(logged, [{ method: 'GET', status }], `${about}: its log has the same id`)
  }
  const raw: [about: string, status: number, request: string][] = [
    ['no HTTP', 400, 'GET / HTTP/1.1\r\nbad header\r\n\r\n'],
    ['a head that is too long', 431, `GET / HTTP/1.1\r\nhost: x\r\nx-long: ${'a'.repeat(20_000)}\r\n\r\n`],
    ['an address that is too long', 414, `GET /${'a'.repeat(100_000)} HTTP/1.1\r\nhost: x\r\n\r\n`],
    ['no host', 400, 'GET /v1/posts HTTP/1.1\r\n\r\n'],
    ['no host, and an expectation', 400, 'GET /v1/posts HTTP/1.1\r\nexpect: 100-continue\r\n\r\n'],
    [
      'a WebSocket without host',
      400,
      'GET /v1/posts/live HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n' +
        'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
    ],
    ['two hosts', 400, 'GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n'],
    ['a body that is too large', 413, 'POST /v1/posts HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999\r\n\r\n']
  ]
  for (const [about, status, request] of raw) {
    const answer = await talk(g.port, request)
    t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), about)
    t.match(answer, /\r\nx-team: platform\r\n/, `${about}: x-team`)
    t.match(answer, /\r\nx-content-type-options: nosniff\r\n/, `${about}: what all answers say`)
    t.match(answer, /\r\ncontent-type: application\/problem\+json.*"code":"[A-Z_]+"/s, `${about}: a problem`)
  }
  t.match(await talk(g.port, 'GET /v1/posts HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 /, 'HTTP/1.0 knows no host')
  const session = openSession(t, g.url)
  t.match(await ask(session, { ':path': '/v1/posts' }), { status: 200, headers: { 'x-team': 'platform' } }, 'HTTP/2')
  const twoHosts = await ask(session, { ':authority': 'a.example', host: 'b.example' })
  t.match(twoHosts, { status: 400, headers: { 'x-team': 'platform' } }, 'HTTP/2 that is refused before it is a request')

  const open = new WebSocket(`${g.url.replace('http', 'ws')}/v1/posts/live`)
  const [accepted] = (await once(open, 'upgrade')) as [IncomingMessage]
  t.equal(accepted.headers['x-team'], 'platform', 'a WebSocket')
  open.on('error', () => {}).terminate()
  const shut = new WebSocket(`${g.url.replace('http', 'ws')}/v1/posts/refuse`)
  const [, refused] = (await once(shut, 'unexpected-response')) as [unknown, IncomingMessage]
  t.match(refused, { statusCode: 429, headers: { 'x-team': 'platform', 'x-frame-options': 'DENY' } }, 'its refusal')
  shut.on('error', () => {}).terminate()
})

t.test('a list of addresses that get nothing, whatever they ask', async (t) => {
  const g = await startGateway(t, { env: TRUSTED, policies: [denyList] })
  const posts = await startUpstream(t, g.nc, {})
  await g.live('content', 1)
  const asks: [about: string, path: string, init?: RequestInit][] = [
    ['a service', '/v1/posts'],
    ['a service that a token may write to', '/v1/posts', { method: 'POST', headers: g.issuer.bearer() }],
    ['nobody', '/v1/nothing'],
    ['a document of the gateway', '/openapi.json'],
    ['what is not there', '/docs/nothing'],
    ['a preflight', '/v1/posts', { method: 'OPTIONS', headers: { origin: 'https://a.example' } }],
    ['OPTIONS that no browser sent', '/v1/posts', { method: 'OPTIONS' }],
    ['a path of its own that not all read in one way', '/docs/a//b'],
    ['such a path of a service', '/v1/posts//b']
  ]
  for (const [about, path, init] of asks) {
    const answer = await fetch(g.url + path, { ...init, headers: { ...init?.headers, ...DENIED } })
    t.equal(answer.status, 403, about)
    t.match(await answer.json(), { code: 'FORBIDDEN', detail: 'This network is not served.' }, about)
  }
  const socket = new WebSocket(`${g.url.replace('http', 'ws')}/v1/posts`, { headers: DENIED })
  const [, refused] = (await once(socket, 'unexpected-response')) as [unknown, IncomingMessage]
  t.equal(refused.statusCode, 403, 'a WebSocket')
  socket.on('error', () => {}).terminate()
  for (const [protocol, get] of Object.entries(getters(t, g.url)))
    for (const [method, path] of [
      ['TRACE', '/v1/posts'],
      ['PURGE', '/livez']
    ] as const)
      t.equal((await get(path, DENIED, method)).status, 403, `${method} over ${protocol}`)
  t.equal(posts.requests.length, 0)
  const other = { headers: { 'x-forwarded-for': '203.0.114.9' } }
  t.equal((await fetch(`${g.url}/v1/posts`, other)).status, 200, 'others are not concerned')
  t.equal((await fetch(`${g.url}/livez`, { headers: DENIED })).status, 200, 'load balancers are not asked')
  t.match(
    await g.metrics.text(),
    new RegExp(`skerry_gateway_refused_total\\{policy="deny-list"[^}]*\\} ${asks.length + 5}\n`)
  )
  t.match(
    g.lines.find(({ msg }) => msg === 'refused by a policy'),
    { policy: 'deny-list', code: 'FORBIDDEN' }
  )
})

t.test('what a policy does to the headers of a request is done to no other of its connection', async (t) => {
  const forgets = (name: string, visit: Visit | undefined) => {
    if (visit !== undefined) delete visit.raw.headers[name]
  }
  const early = definePolicy({
    name: 'early',
    onRequest(visit) {
      forgets('x-early', visit)
      return undefined
    }
  })
  const late = definePolicy({ name: 'late', onHead: (_head, visit) => forgets('x-late', visit) })
  for (const policies of [[early], [late], [early, late]]) {
    const g = await startGateway(t, { policies })
    const posts = await startUpstream(t, g.nc, {})
    await g.live('content', 1)
    const headers = { 'x-early': '1', 'x-late': '1' }
    for (let i = 0; i < 4; i++) await (await fetch(`${g.url}/v1/posts`, { headers })).text()
    const came = posts.requests.map((request) => [request.headers['x-early'], request.headers['x-late']])
    const expected = [policies.includes(early) ? undefined : '1', '1']
    t.strictSame(came, Array(4).fill(expected), policies.map(({ name }) => name).join())
    await posts.leave()
  }
})

t.test('nothing but the checks of load balancers passes beside the door', async (t) => {
  const env = { LIMIT_ADDRESS_BURST: '4', LIMIT_ADDRESS_PER_SECOND: '0.01', ...TRUSTED }
  const g = await startGateway(t, { env })
  const preflight = { origin: 'https://a.example', 'access-control-request-method': 'PATCH' }
  const asks: [about: string, status: number, method: string, path: string, headers?: Record<string, string>][] = [
    ['preflights', 204, 'OPTIONS', '/v1/posts', preflight],
    ['OPTIONS', 204, 'OPTIONS', '/v1/posts'],
    ['what the gateway does not have', 404, 'GET', '/docs/nothing'],
    ['a method that its own path does not take', 405, 'PUT', '/openapi.json'],
    ['its documents', 200, 'GET', '/docs/events'],
    ['a method that nobody takes', 405, 'TRACE', '/v1/posts'],
    ['such a method for a check', 405, 'PURGE', '/livez'],
    ['a method that a check does not take', 405, 'PUT', '/livez'],
    ['a path of its own that not all read in one way', 400, 'GET', '/docs/a//b'],
    ['another', 400, 'GET', '/docs/a;b'],
    ['such a path of a service', 400, 'GET', '/v1/posts//b']
  ]
  const { 'HTTP/1.1': get } = getters(t, g.url)
  for (const [i, [about, status, method, path, headers]] of asks.entries()) {
    const from = { 'x-forwarded-for': `198.51.100.${i}` }
    const found: number[] = []
    for (let n = 0; n < 6; n++) {
      found.push((await get(path, { ...headers, ...from }, method)).status)
    }
    t.strictSame(found, [status, status, status, status, 429, 429], about)
  }
  const ofAll = 'OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'
  t.match(await talk(g.port, ofAll), /^HTTP\/1\.1 204 /, 'what asks for no path')
  t.match(await talk(g.port, ofAll.replace('*', '/a/../b')), /^HTTP\/1\.1 400 /, 'a path that not all read in one way')
  for (let n = 0; n < 6; n++) t.equal((await fetch(`${g.url}/readyz`)).status, 200, 'the checks have no limit')
})

t.test('maintenance of one service', async (t) => {
  const g = await startGateway(t, { policies: [maintenance, denyList, teamHeader] })
  const posts = await startUpstream(t, g.nc, {})
  await startUpstream(t, g.nc, { service: 'other', prefixes: ['/v1/other'] })
  await g.live('content', 1)
  await g.live('other', 1)
  const write = await fetch(`${g.url}/v1/posts`, { method: 'POST' })
  t.equal(write.status, 503)
  t.equal(write.headers.get('retry-after'), '600')
  t.equal(write.headers.get('x-team'), 'platform', 'the head of a refusal passes the policies as well')
  t.match(await write.json(), { code: 'UNAVAILABLE', detail: 'Posts cannot be written until 03:00 UTC.' })
  t.equal(posts.requests.length, 0)
  t.equal((await fetch(`${g.url}/v1/posts`)).status, 200, 'reads go on')
  t.equal((await fetch(`${g.url}/v1/other`, { method: 'POST' })).status, 200, 'so do other services')
})

t.test('the fault of a policy is counted, and harms nobody else', async (t) => {
  const faulty = definePolicy({
    name: 'faulty',
    onRequest({ path }) {
      if (path === '/v1/posts/faulty') throw new Error('not thought of')
      return undefined
    },
    onHead(head, visit) {
      if (visit?.path === '/v1/posts/length') head.set('content-length', '1')
      if (visit?.path === '/v1/posts/split') head.set('x-split', 'a\r\nset-cookie: b')
      if (visit?.path === '/v1/posts/chunked') head.remove('transfer-encoding')
      if (visit?.path === '/v1/posts/upper') head.set('X-Upper', 'a')
      if (visit?.path === '/v1/posts/less') {
        head.set('x-was', `${head.get('set-cookie')} ${head.get('x-none')} ${head.status}`)
        head.remove('set-cookie')
      }
    }
  })
  const g = await startGateway(t, { policies: [faulty, teamHeader] })
  await startUpstream(t, g.nc, {
    answer: (_request, response) => response.setHeader('set-cookie', ['a=1', 'b=2']).end('{}')
  })
  await g.live('content', 1)
  const failed = await fetch(`${g.url}/v1/posts/faulty`)
  t.equal(failed.status, 500)
  t.match(await failed.json(), { code: 'INTERNAL' })
  for (const name of ['length', 'split', 'chunked', 'upper']) {
    const answer = await fetch(`${g.url}/v1/posts/${name}`)
    t.equal(answer.status, 200, name)
    t.equal(await answer.text(), '{}', `${name}: the answer is as it was`)
    t.notOk(answer.headers.has('x-split') || answer.headers.has('x-upper'))
    t.equal(answer.headers.get('x-team'), 'platform', `${name}: the other policies are asked all the same`)
  }
  const less = await fetch(`${g.url}/v1/posts/less`)
  t.equal(less.headers.get('x-was'), 'a=1, b=2 undefined 200')
  t.notOk(less.headers.has('set-cookie'))
  t.match(await g.metrics.text(), /skerry_faults_total\{at="policy faulty"[^}]*\} 5\n/)
})

t.test('names', async (t) => {
  const deps = { log: { debug: () => undefined }, onRefused: () => undefined, onFault: () => undefined }
  t.strictSame(hooksOf(POLICIES, deps), { onRequest: undefined, onHead: undefined }, 'without policies nobody is asked')
  t.match(hooksOf([teamHeader], deps), { onRequest: undefined, onHead: Function })
  t.match(hooksOf([denyList], deps), { onRequest: Function, onHead: undefined })
  t.throws(() => hooksOf([denyList, denyList], deps), { message: 'policy deny-list is there twice' })
  t.throws(() => hooksOf([{ name: 'Deny list' }], deps), { message: /^policy "Deny list": a name is/ })
  const refusal = new SkerryError('FORBIDDEN')
  const first = hooksOf(
    [
      { name: 'a', onRequest: () => undefined },
      { name: 'b', onRequest: () => refusal }
    ],
    deps
  )
  t.equal(first.onRequest!({ id: 'x' } as never), refusal, 'the first that answers')
})

t.test('nothing but the one place writes a head', async (t) => {
  const src = join(import.meta.dirname, '../src')
  // What takes heads in Node's place.
  const others = ['listen/http1/plain-response.ts', 'listen/http2-response.ts']
  for await (const file of glob('**/*.ts', { cwd: src })) {
    if (file.startsWith('head/') || others.includes(file)) continue
    const text = await readFile(join(src, file), 'utf8')
    t.notMatch(
      text,
      /\.writeHead\(|\bwritePairs\(|'HTTP\/1\.1 |\bsetHeader\(|addHook\('onSend'|\bproblem\('|'application\/problem/,
      file
    )
  }
})

t.test('the documentation shows these policies', async (t) => {
  const docs = await readFile(join(import.meta.dirname, '../../../docs/gateway.md'), 'utf8')
  for (const name of ['team-header', 'deny-list', 'maintenance']) {
    const source = await readFile(join(import.meta.dirname, `fixtures/policies/${name}.ts`), 'utf8')
    const shown = source
      .replaceAll(`'../../../src/policies/policy.ts'`, `'./policy.ts'`)
      .replaceAll(`'../../../src/`, `'../`)
    t.ok(docs.includes(`\`\`\`ts\n// apps/gateway/src/policies/${name}.ts\n${shown}\`\`\``), name)
  }
})
