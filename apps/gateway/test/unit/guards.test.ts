import { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { SkerryError } from '@skerry/contracts'
import Fastify from 'fastify'
import t from 'tap'
import { corsHeadersFor, registerCors } from '../../src/door/cors.ts'
import type { Door } from '../../src/door/door.ts'
import { bodyRefusal, guardMessage, hasBodyWithoutMeaning } from '../../src/door/message-guard.ts'
import { ownDoor } from '../../src/door/own-door.ts'
import { guardPath } from '../../src/door/path-guard.ts'
import { publicRequestId } from '../../src/door/request-id.ts'
import { type Incoming, Visit } from '../../src/door/visit.ts'

function message(headers: Record<string, string> = {}, rest: Partial<Incoming> = {}): Incoming {
  return {
    ...{ method: 'GET', url: '/', headers, rawHeaders: Object.entries({ host: 'a', ...headers }).flat() },
    ...{ httpVersionMajor: 1, httpVersionMinor: 1, socket: {} },
    ...rest
  }
}
function refusal(work: () => unknown): SkerryError | undefined {
  try {
    work()
  } catch (error) {
    return error as SkerryError
  }
  return undefined
}

t.test('messages that another server could read in another way', async (t) => {
  const doubtful = (raw: Incoming, detail: string) => {
    const error = refusal(() => guardMessage(raw))
    t.match(error, { code: 'BAD_REQUEST', detail, headers: { connection: 'close' } }, detail)
  }
  const fine = (raw: Incoming, about: string) =>
    t.equal(
      refusal(() => guardMessage(raw)),
      undefined,
      about
    )
  const post = { method: 'POST' }
  fine(message(), 'nothing special')
  fine(message({ host: 'a' }), 'one host')
  fine(message({ host: '' }), 'that of an address without one')
  doubtful(message({}, { rawHeaders: [] }), 'There must be a Host.')
  doubtful(message({}, { rawHeaders: ['x', 'host', 'Hosts', 'c'] }), 'There must be a Host.')
  fine(message({}, { rawHeaders: [], httpVersionMinor: 0 }), 'HTTP/1.0 knows no host')
  fine(message({}, { rawHeaders: [], httpVersionMajor: 2, httpVersionMinor: 0 }), 'HTTP/2 has another field for it')
  doubtful(message({}, { rawHeaders: ['Host', 'a', 'X', 'y', 'hOST', 'b'] }), 'There can only be one Host.')
  fine(message({}, { rawHeaders: ['x', 'host', 'y', 'host', 'Host', 'd'] }), 'values are no names')
  fine(message({}, { rawHeaders: ['Most', 'a', 'Lost', 'b', 'Hosts', 'c', 'Host', 'd'] }), 'other names')
  fine(message({ 'transfer-encoding': 'chunked' }, post), 'a chunked body')
  fine(message({ 'transfer-encoding': 'Chunked' }, post), 'however it is spelt')
  for (const coding of ['gzip, chunked', 'identity', 'chunked, chunked', ''])
    doubtful(message({ 'transfer-encoding': coding }, post), 'Transfer-Encoding can only be chunked.')
  const old = { ...post, httpVersionMinor: 0 }
  doubtful(message({ 'transfer-encoding': 'chunked' }, old), 'Transfer-Encoding can only be chunked.')
  fine(message({}, old), 'HTTP/1.0')
  fine(message({ expect: '100-Continue' }, post), 'an expectation that is met')
  doubtful(message({ expect: '200-ok' }, post), 'Only 100-continue can be expected.')
  const two = { httpVersionMajor: 2, httpVersionMinor: 0, rawHeaders: ['host', 'a', 'host', 'b'] }
  fine(message({ expect: 'x' }, { ...two, ...post }), 'HTTP/2 delimits in another way')
  const claimed = Object.assign(new IncomingMessage(new Socket()), { httpVersionMajor: 2, httpVersionMinor: 0 })
  doubtful(claimed, 'This is not HTTP/1.')
})

t.test('a body where there is none', async (t) => {
  for (const method of ['GET', 'HEAD']) {
    const of = (headers: Record<string, string>) => hasBodyWithoutMeaning(message(headers, { method }))
    for (const headers of [{ 'transfer-encoding': 'chunked' }, { 'content-length': '1' }, { 'content-length': '00' }])
      t.equal(of(headers as never), true)
    t.equal(of({ 'content-length': '0' }), false)
    t.equal(of({}), false)
    const error = bodyRefusal(method)
    t.match(error, { code: 'BAD_REQUEST', detail: `A ${method} request has no body.` })
    t.equal(error.headers, undefined, 'it ends where it says, so the connection stays')
    t.match(bodyRefusal(method, ['POST', 'PUT']), { code: 'METHOD_NOT_ALLOWED', headers: { allow: 'POST, PUT' } })
  }
  t.equal(hasBodyWithoutMeaning(message({ 'content-length': '5' }, { method: 'DELETE' })), false)
})

t.test('why a path is refused', async (t) => {
  const why = (url: string) => refusal(() => guardPath(url, 20))?.detail
  const cases: [string, string | undefined][] = [
    ['/a?q=%zz&x=//', undefined],
    ['/a?q="', undefined],
    ['/a? ', 'The query holds characters that must be percent-encoded.'],
    ['/a?~!', undefined],
    ['/a?\u007f', 'The query holds characters that must be percent-encoded.'],
    ['/a//b', 'The path has an empty segment.'],
    ['/a/./b', 'The path has a dot segment.'],
    ['/a/..', 'The path has a dot segment.'],
    ['/.', 'The path has a dot segment.'],
    ['/.a', undefined],
    ['/..a', undefined],
    ['/...', undefined],
    ['/a./b../c', undefined],
    ['a', 'The path holds a character that does not belong there.'],
    ['', 'The path holds a character that does not belong there.'],
    ['/a b', 'The path holds a character that does not belong there.'],
    ['/a;b', 'The path holds a character that does not belong there.'],
    ['%2fa', 'The path holds a character that does not belong there.'],
    ['/a%2', 'The path has a broken percent-encoding.'],
    ['/a%g0', 'The path has a broken percent-encoding.'],
    ['/a%0g', 'The path has a broken percent-encoding.'],
    ['/a%fF', 'The path is not UTF-8.'],
    ['/a%2E', 'The path encodes a character that must not be encoded.'],
    ['/a%3b', 'The path encodes a character that must not be encoded.'],
    ['/a%1F', 'The path encodes a character that must not be encoded.'],
    ['/a%7F', 'The path encodes a character that must not be encoded.'],
    ['/%EF%BC%8E', 'The path has what may be read as a dot segment.'],
    ['/a%ef%bc%8e', undefined]
  ]
  for (const [url, detail] of cases) t.equal(why(url), detail, JSON.stringify(url))
  const needless = [...'0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz']
  const encoded = (char: string) => `%${char.charCodeAt(0).toString(16).padStart(2, '0')}`
  for (const char of needless)
    t.equal(why(`/x${encoded(char)}`), 'The path encodes a character that must not be encoded.', encoded(char))
  for (const char of [...' !"#$&\'()*+,-:<=>?@[]^_`{|}~'])
    t.equal(guardPath(`/x${encoded(char)}`, 20), `/x${char}`, `${encoded(char)} may be encoded`)
  t.equal(guardPath(`/${'x'.repeat(19)}`, 20).length, 20, 'as long as one may be')
  t.match(
    refusal(() => guardPath(`/${'x'.repeat(20)}`, 20)),
    { code: 'URI_TOO_LONG' }
  )
  t.match(
    refusal(() => guardPath('/x;', 20)),
    { code: 'BAD_REQUEST', status: 400 }
  )
})

t.test('the id of a request', async (t) => {
  for (const id of ['abcdefgh', 'A-b_9'.repeat(12), 'x'.repeat(64)]) t.equal(publicRequestId(id), id)
  for (const bad of [
    undefined,
    '',
    'abcdefg',
    'x'.repeat(65),
    'abcdefgh ',
    ' abcdefgh',
    'abcdefgh\n',
    'abc.defgh',
    ['abcdefgh']
  ]) {
    const id = publicRequestId(bad)
    t.match(id, /^[\w.-]{8,64}$/)
    t.not(id, bad)
  }
  t.not(publicRequestId(undefined), publicRequestId(undefined))
})

t.test('a visit, before anything is known of it', async (t) => {
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
  const visit = new Visit(message({ 'x-request-id': 'my-request', traceparent }, { method: 'PUT' }), 7)
  t.match(visit, { method: 'PUT', startedAt: 7, id: 'my-request', own: false, path: '', address: '', protocol: 'http' })
  t.match(visit, { route: undefined, caller: undefined, verdict: undefined, priority: 'normal' })
  t.strictSame(visit.params, {})
  t.match(visit.trace, { traceId: 'a'.repeat(32), parentId: 'b'.repeat(16) })
  t.equal(visit.trace, visit.trace, 'one trace a request')
  t.equal(new Visit(message({}, { method: undefined }), 0).method, '')
})

t.test('cross-origin requests', async (t) => {
  const of = async (origins: string, ask: (headers: ReturnType<typeof corsHeadersFor>) => unknown) => {
    const app = Fastify()
    t.teardown(() => app.close())
    registerCors(app, origins)
    await app.ready()
    await ask(corsHeadersFor(origins))
    return app
  }
  const got = (headers: ReturnType<typeof corsHeadersFor>, origin: string | undefined) => {
    const added: Record<string, string> = {}
    headers(origin, added)
    return added
  }
  const exposed = /^[A-Za-z-]+(, [A-Za-z-]+)*$/
  const named = await of('https://a.example, https://b.example', (headers) => {
    t.match(got(headers, 'https://b.example'), {
      ...{ vary: 'origin', 'access-control-allow-origin': 'https://b.example' },
      'access-control-expose-headers': exposed
    })
    t.strictSame(got(headers, 'https://c.example'), { vary: 'origin' })
    t.strictSame(got(headers, undefined), { vary: 'origin' })
  })
  const preflight = async (app: typeof named, origin: string) =>
    (
      await app.inject({
        method: 'OPTIONS',
        url: '/v1/any',
        headers: {
          origin,
          'access-control-request-method': 'PATCH',
          'access-control-request-headers': 'baggage, cache-control'
        }
      })
    ).headers
  const answer = await preflight(named, 'https://a.example')
  t.match(answer, {
    'access-control-allow-origin': 'https://a.example',
    'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
    'access-control-max-age': '7200'
  })
  t.equal(answer['access-control-allow-headers'], 'baggage, cache-control', 'what is asked for')
  t.notMatch(await preflight(named, 'https://c.example'), { 'access-control-allow-origin': 'https://c.example' })
  const open = await of('https://a.example,*', (headers) => {
    t.match(got(headers, 'https://c.example'), { 'access-control-allow-origin': '*' })
    t.notOk('vary' in got(headers, 'https://c.example'), 'the same for all')
    t.strictSame(got(headers, undefined), {})
  })
  t.match(await preflight(open, 'https://c.example'), { 'access-control-allow-origin': '*' })
  const bare = await open.inject({ method: 'OPTIONS', url: '/v1/any' })
  t.equal(bare.statusCode, 204, 'OPTIONS that no browser sent')
  const get = Fastify()
  t.teardown(() => get.close())
  registerCors(get, '*')
  get.get('/x', async () => 'x')
  t.notOk('access-control-allow-origin' in (await get.inject('/x')).headers, 'only preflights are answered by it')
})

t.test("the gateway's own routes are behind the door", async (t) => {
  const caller = { userId: 'ada' }
  const seen: Visit[] = []
  const door: Door = (visit, done) => {
    seen.push(visit)
    visit.caller = caller as never
    done(visit.raw.url === '/shut' ? Object.assign(new Error('shut'), { statusCode: 403 }) : undefined)
  }
  const app = Fastify()
  t.teardown(() => app.close())
  app.decorateRequest('visit')
  app.decorateRequest('caller')
  app.addHook('onRequest', (request, _reply, done) => ownDoor(door)(request, done))
  app.get('/open', async (request) => ({ same: request.visit === seen[0], caller: request.caller }))
  app.get('/shut', async () => t.fail('the door was shut'))
  t.strictSame((await app.inject('/open')).json(), { same: true, caller })
  t.match(seen[0], { own: true, method: 'GET' })
  t.ok(seen[0]!.startedAt > 0)
  t.equal((await app.inject('/shut')).statusCode, 403)
})
