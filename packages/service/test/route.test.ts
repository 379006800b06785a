import { setTimeout as sleep } from 'node:timers/promises'
import { defineRoute, SkerryError } from '@skerry/contracts'
import t from 'tap'
import { inputOf, route } from '../src/index.ts'
import { createServer, createTokens, USER, widget, widgetRoutes } from './support/server.ts'

const tokens = await createTokens()
const { identity } = tokens
const authorization = `Bearer ${await tokens.sign()}`

t.test('the handler gets checked input, the caller and a call context', async (t) => {
  const { app } = createServer(t, { identity })
  const seen: unknown[] = []
  route(app, widgetRoutes.get, async ({ params, query, caller, call }) => {
    seen.push(params, query, caller)
    t.equal(call.userId, caller.userId)
    t.match(call.requestId, /^[\w-]{8,}$/)
    t.match(call.traceparent, /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/)
    t.notMatch(call.traceparent, 'b7ad6b7169203331', 'our own span is the parent of what we call')
    return { ...widget, id: params.id, secret: 'x' }
  })
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const headers = { authorization, traceparent, 'x-request-id': 'request-0001' }
  const answer = await app.inject({ url: '/v1/widgets/w7', headers })
  t.equal(answer.statusCode, 200)
  t.same(answer.json(), { ...widget, id: 'w7' }, 'and nothing that the contract does not declare')
  t.match(answer.headers, {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'private, no-cache',
    vary: 'authorization',
    'x-request-id': 'request-0001',
    'server-timing': /^widgets;dur=\d+(\.\d+)?$/,
    etag: /^"3\.[\w-]+"$/
  })
  t.match(seen, [
    { id: 'w7' },
    {},
    {
      userId: USER,
      sessionId: 's1',
      username: 'ada',
      displayName: 'Ada',
      authenticatedAt: tokens.now,
      expiresAt: tokens.now + 900
    }
  ])
})

t.test('an answer for all does not call itself private', async (t) => {
  const { app } = createServer(t, { identity })
  const shared = defineRoute({ ...widgetRoutes.get, cache: { scope: 'public', ttl: 10 } })
  route(app, shared, async () => widget)
  const answer = await app.inject({ url: '/v1/widgets/w7', headers: { authorization } })
  t.equal(answer.headers['cache-control'], 'public, no-cache')
})

t.test('request ids that are none are replaced', async (t) => {
  const { app } = createServer(t)
  route(app, widgetRoutes.list, async () => ({ items: [], nextCursor: null }))
  const ids = new Set<string>()
  for (const id of ['', 'short', 'x'.repeat(200), 'with spaces in it', 'quote"quote"']) {
    const answer = await app.inject({ url: '/v1/widgets', headers: { 'x-request-id': id } })
    ids.add(String(answer.headers['x-request-id']))
    t.not(answer.headers['x-request-id'], id)
  }
  t.equal(ids.size, 5)
})

t.test('GET: 304, fields and HEAD', async (t) => {
  const { app } = createServer(t, { identity })
  let current = widget
  route(app, widgetRoutes.get, async () => current)
  route(app, widgetRoutes.list, async () => ({ items: [current, current], nextCursor: 'next' }))
  const get = (url: string, headers = {}) => app.inject({ url, headers: { authorization, ...headers } })

  const first = await get('/v1/widgets/w1')
  const etag = String(first.headers.etag)
  const again = await get('/v1/widgets/w1', { 'if-none-match': etag })
  t.equal(again.statusCode, 304)
  t.equal(again.body, '')
  t.match(again.headers, { etag, 'cache-control': 'private, no-cache', vary: 'authorization' })
  t.notOk(again.headers['content-type'])
  t.equal((await get('/v1/widgets/w1', { 'if-none-match': `W/${etag}, "x"` })).statusCode, 304)

  const some = await get('/v1/widgets/w1?fields=id,owner.username')
  t.same(some.json(), { id: 'w1', owner: { username: 'ada' } })
  t.match(some.headers.etag, /^"3\./, 'the version stays usable for If-Match')
  t.not(some.headers.etag, etag)
  t.same((await get('/v1/widgets?fields=id')).json(), { items: [{ id: 'w1' }, { id: 'w1' }], nextCursor: 'next' })
  const unknown = await get('/v1/widgets/w1?fields=id,password')
  t.equal(unknown.statusCode, 400)
  t.match(unknown.json().errors, [{ path: 'query.fields', code: 'unknown' }])

  const head = await app.inject({ method: 'HEAD', url: '/v1/widgets/w1', headers: { authorization } })
  t.equal(head.statusCode, 200)
  t.equal(head.body, '')
  t.match(head.headers, { etag, 'content-length': String(first.rawPayload.length) })

  current = { ...widget, note: 'changed' }
  t.equal((await get('/v1/widgets/w1', { 'if-none-match': etag })).statusCode, 200)
})

t.test('writes: statuses, ETag of the new state, If-Match', async (t) => {
  const { app } = createServer(t, { identity })
  route(app, widgetRoutes.update, async ({ body, ifMatch }) => {
    if (ifMatch !== undefined && ifMatch !== 'any' && !ifMatch.versions.includes(widget.version))
      throw new SkerryError('PRECONDITION_FAILED')
    return { ...widget, ...body, version: 4 }
  })
  route(app, widgetRoutes.remove, async ({ ifMatch }) => {
    t.match(ifMatch, 'any')
  })
  const patch = (ifMatch?: string) =>
    app.inject({
      method: 'PATCH',
      url: '/v1/widgets/w1',
      headers: { authorization, ...(ifMatch === undefined ? {} : { 'if-match': ifMatch }) },
      payload: { name: 'New' }
    })
  const done = await patch('"3.whatever"')
  t.equal(done.statusCode, 200)
  t.match(done.headers, { etag: /^"4\./, 'cache-control': 'no-store' })
  for (const good of [undefined, '*', '"3"', 'W/"3"', '"2", "3"'])
    t.equal((await patch(good)).statusCode, 200, String(good))
  for (const bad of ['"2"', 'W/"2"', 'x', '"abc"']) t.equal((await patch(bad)).statusCode, 412, bad)

  const removed = await app.inject({
    method: 'DELETE',
    url: '/v1/widgets/w1',
    headers: { authorization, 'if-match': '*' }
  })
  t.equal(removed.statusCode, 204)
  t.equal(removed.body, '')
  t.notOk(removed.headers['content-type'])
})

t.test('optional auth: no token is fine, a bad one is not', async (t) => {
  const { app } = createServer(t, { identity })
  const optional = defineRoute({ ...widgetRoutes.list, auth: 'optional' })
  route(app, optional, async ({ caller }) => ({
    items: [{ ...widget, name: caller?.username ?? 'nobody' }],
    nextCursor: null
  }))
  const name = async (headers: Record<string, string>) =>
    (await app.inject({ url: '/v1/widgets', headers })).json().items?.[0].name
  t.equal(await name({}), 'nobody')
  t.equal(await name({ authorization }), 'ada')
  t.equal(await name({ authorization: authorization.replace('Bearer', 'bearer') }), 'ada')
  for (const bad of ['Bearer x', 'Basic YTpi', 'Bearer', '']) {
    t.equal((await app.inject({ url: '/v1/widgets', headers: { authorization: bad } })).statusCode, 401, bad)
  }
})

t.test('a handler that takes too long is answered for with 503', async (t) => {
  const { app, lines } = createServer(t)
  const late = Promise.withResolvers<void>()
  const handler = async () => {
    await late.promise
    return { items: [], nextCursor: null }
  }
  // Of the route alone: a busy machine may take as long to read the request.
  route(app, widgetRoutes.list, handler, { timeoutMs: 100 })
  const answer = await fetch(`${await app.listen({ port: 0 })}/v1/widgets`)
  t.equal(answer.status, 503)
  t.equal(answer.headers.get('retry-after'), '1')
  t.match(await answer.json(), { code: 'UNAVAILABLE' })
  late.resolve()
  while (!lines.some((line) => line.msg === 'answered after the time limit')) await sleep(1)
  t.equal(app.skerry.deadlines.size, 0)
})

t.test('a result that breaks the contract is a 500 where results are checked', async (t) => {
  const { app, lines } = createServer(t)
  route(app, widgetRoutes.list, async () => ({
    items: [{ ...widget, version: 'three' as unknown as number }],
    nextCursor: null
  }))
  const answer = await app.inject('/v1/widgets')
  t.equal(answer.statusCode, 500)
  t.match(
    lines.find((line) => line.level === 50),
    { err: { message: /items\.0\.version/ } }
  )
})

t.test('a stream route: token and input first, then the handler has the reply', async (t) => {
  const { app } = createServer(t, { identity })
  const stream = defineRoute({ ...widgetRoutes.list, auth: 'required', stream: true, response: { 200: null } })
  route(app, stream, async ({ reply, query, request }) => {
    t.equal(inputOf<typeof stream>(request).query.limit, query.limit)
    reply.hijack()
    reply.raw.writeHead(200, { 'content-type': 'text/event-stream' })
    reply.raw.end(`data: ${query.limit}\n\n`)
  })
  const answer = await app.inject({ url: '/v1/widgets?limit=3', headers: { authorization } })
  t.equal(answer.body, 'data: 3\n\n')
  t.equal((await app.inject({ url: '/v1/widgets?limit=x', headers: { authorization } })).statusCode, 400)
  t.equal((await app.inject('/v1/widgets')).statusCode, 401)
  t.equal((await app.inject({ method: 'HEAD', url: '/v1/widgets' })).statusCode, 405)
})

t.test('mistakes in the set-up are found when the route is declared', async (t) => {
  const { app } = createServer(t)
  t.throws(() => route(app, widgetRoutes.get, async () => widget), /needs an identity/)
  const { app: withIdentity } = createServer(t, { identity })
  t.throws(() => route(withIdentity, widgetRoutes.create, async () => widget), /idempotency store/)
  const two = defineRoute({ ...widgetRoutes.list, response: { 200: null, 201: null } })
  t.throws(() => route(app, two, async () => undefined), /one success status/)
})

t.test('durations are counted by route and status', async (t) => {
  const { app, metrics } = createServer(t, { identity })
  route(app, widgetRoutes.get, async () => widget)
  for (const id of ['a', 'b', 'c']) await app.inject({ url: `/v1/widgets/${id}`, headers: { authorization } })
  await app.inject('/v1/widgets/a')
  await app.inject('/nowhere')
  const text = await metrics.text()
  const line = (route: string, status: number) =>
    `skerry_http_request_duration_seconds_count{method="${route === 'none' ? 'none' : 'GET'}",route="${route}",status="${status}",service="widgets",instance="1"}`
  t.ok(text.includes(`${line('/v1/widgets/:id', 200)} 3`), text)
  t.ok(text.includes(`${line('/v1/widgets/:id', 401)} 1`))
  t.ok(text.includes(`${line('none', 404)} 1`))
  t.match(
    text,
    /_bucket\{method="GET",route="\/v1\/widgets\/:id",status="200",le="\+Inf",service="widgets",instance="1"\} 3/
  )
})
