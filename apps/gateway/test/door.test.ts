import t from 'tap'
import { startGateway } from './helpers/gateway.ts'
import { rawGet, sendRaw } from './helpers/raw.ts'
import { createIssuer } from './helpers/tokens.ts'
import { startUpstream } from './helpers/upstream.ts'

/** What the SDK, the docs and tracing libraries send, and what somebody will send next. */
const SENT = [
  ...['accept', 'authorization', 'baggage', 'b3', 'cache-control', 'content-type', 'idempotency-key', 'if-match'],
  ...['if-none-match', 'last-event-id', 'sentry-trace', 'traceparent', 'tracestate', 'x-request-id', 'x-skerry-any']
].join(',')
/** Always readable (the Fetch standard), CORS itself, the transport's, and what speaks to browsers only. */
const NOT_FOR_APPS =
  /^(access-control-.*|cache-control|content-(language|length|type)|date|connection|keep-alive|transfer-encoding|content-security-policy|cross-origin-.*|referrer-policy|strict-transport-security|x-content-type-options|x-frame-options)$/

t.test('the door', async (t) => {
  const g = await startGateway(t, { env: { LIMIT_ADDRESS_BURST: '100000', TRUSTED_PROXIES: '' } })
  const posts = await startUpstream(t, g.nc, {
    answer: (_request, response) => {
      response.setHeader('server', 'secret/1.0')
      response.setHeader('x-powered-by', 'secret')
      response.setHeader('x-skerry-shard', '7')
      response.setHeader('x-request-id', 'not-the-clients')
      response.setHeader('access-control-allow-origin', 'https://evil.example')
      response.setHeader('keep-me', 'yes')
      response.end('{}')
    }
  })
  const auth = await startUpstream(t, g.nc, { service: 'auth', prefixes: ['/v1/auth'] })
  await g.live('content', 1)
  await g.live('auth', 1)
  const last = () => posts.requests.at(-1)?.headers ?? {}

  t.test('escapes of the path are refused before anything else', async (t) => {
    const before = posts.requests.length
    for (const path of [
      '/v1/posts/%2e%2e/x',
      '/v1//posts',
      '/v1/posts;x',
      '/v1/posts%00',
      '/v1/%252e',
      '*',
      'http://x/v1/posts'
    ]) {
      const answer = await rawGet(g.port, path)
      t.equal(answer.status, 400, path)
      t.match(answer.head, /application\/problem\+json/)
      t.match(JSON.parse(answer.body), { code: 'BAD_REQUEST', status: 400, requestId: String })
    }
    t.equal((await rawGet(g.port, '/v1/posts/%zz')).status, 400)
    t.equal(posts.requests.length, before)
  })

  t.test('what is too large', async (t) => {
    const long = await rawGet(g.port, `/v1/posts/${'a'.repeat(100_000)}`)
    t.equal(long.status, 414)
    t.equal(JSON.parse(long.body).code, 'URI_TOO_LONG')
    t.equal((await rawGet(g.port, `/v1/posts/${'a'.repeat(9_000)}`)).status, 414)
    t.equal((await rawGet(g.port, '/v1/posts', `x-long: ${'a'.repeat(10_000)}\r\n`)).status, 200, '10,000 bytes fit')
    const headers = await rawGet(g.port, '/v1/posts', `x-long: ${'a'.repeat(20_000)}\r\n`)
    t.equal(headers.status, 431)
    t.equal(JSON.parse(headers.body).code, 'HEADERS_TOO_LARGE')
    t.equal((await sendRaw(g.port, 'nonsense\r\n\r\n')).status, 400)
  })

  t.test('a GET with a body and odd transfer codings are refused', async (t) => {
    const before = posts.requests.length
    const body = await sendRaw(
      g.port,
      'GET /v1/posts HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}'
    )
    t.equal(body.status, 400)
    const coded = await sendRaw(
      g.port,
      'POST /v1/posts HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip, chunked\r\nconnection: close\r\n\r\n0\r\n\r\n'
    )
    t.equal(coded.status, 400)
    const both = await sendRaw(
      g.port,
      'POST /v1/posts HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\nconnection: close\r\n\r\n0\r\n\r\n'
    )
    t.equal(both.status, 400, 'two lengths are a smuggled request')
    t.equal(posts.requests.length, before)
  })

  t.test('a client cannot speak for the gateway', async (t) => {
    await rawGet(
      g.port,
      '/v1/posts',
      `${[
        'x-forwarded-for: 6.6.6.6',
        'x-forwarded-proto: https',
        'x-forwarded-host: evil',
        'forwarded: for=6.6.6.6',
        'x-real-ip: 6.6.6.6',
        'x-user-id: admin',
        'x-skerry-caller: admin',
        'X-Skerry-Anything: 1',
        'te: trailers',
        'keep-alive: timeout=1',
        'proxy-authorization: x',
        'x-hop: 1',
        'connection: x-hop',
        'x-mine: kept'
      ].join('\r\n')}\r\n`
    )
    const got = last()
    for (const name of [
      'x-forwarded-host',
      'forwarded',
      'x-real-ip',
      'x-user-id',
      'x-skerry-caller',
      'x-skerry-anything'
    ]) {
      t.notOk(name in got, name)
    }
    for (const name of ['te', 'proxy-authorization', 'x-hop']) t.notOk(name in got, name)
    t.equal(got['x-forwarded-for'], '127.0.0.1')
    t.equal(got['x-forwarded-proto'], 'http')
    t.equal(got['x-mine'], 'kept')
  })

  t.test('a service cannot speak for the gateway either', async (t) => {
    const answer = await fetch(`${g.url}/v1/posts`, { headers: { origin: 'https://app.example' } })
    for (const name of ['server', 'x-powered-by', 'x-skerry-shard']) t.notOk(answer.headers.has(name), name)
    t.equal(answer.headers.get('access-control-allow-origin'), '*')
    t.not(answer.headers.get('x-request-id'), 'not-the-clients')
    t.equal(answer.headers.get('keep-me'), 'yes')
    t.equal(answer.headers.get('x-content-type-options'), 'nosniff')
    t.match(answer.headers.get('strict-transport-security'), /max-age/)
    t.match(answer.headers.get('server-timing'), /gateway;dur=[\d.]+, upstream;dur=[\d.]+/)
  })

  t.test('request ids and traces', async (t) => {
    const mine = await fetch(`${g.url}/v1/posts`, { headers: { 'x-request-id': 'my-request_01' } })
    t.equal(mine.headers.get('x-request-id'), 'my-request_01')
    t.equal(last()['x-request-id'], 'my-request_01')
    for (const bad of ['short', 'has space in it', 'a'.repeat(65), 'semi;colon1']) {
      const answer = await fetch(`${g.url}/v1/posts`, { headers: { 'x-request-id': bad } })
      t.match(answer.headers.get('x-request-id'), /^[A-Za-z0-9_-]{8,64}$/)
      t.not(answer.headers.get('x-request-id'), bad)
    }
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
    await fetch(`${g.url}/v1/posts`, {
      headers: { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, tracestate: 'a=b' }
    })
    t.match(last().traceparent, new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`))
    t.notMatch(last().traceparent, /00f067aa0ba902b7/, 'the gateway is a span of its own')
    t.equal(last().tracestate, 'a=b')
    await fetch(`${g.url}/v1/posts`, { headers: { traceparent: 'nonsense', tracestate: 'a=b' } })
    t.match(last().traceparent, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
    t.notOk('tracestate' in last(), 'a state without its trace means nothing')
  })

  t.test('tokens', async (t) => {
    const before = posts.requests.length
    const now = Math.floor(Date.now() / 1_000)
    const [head, payload] = g.issuer.token().split('.')
    const none = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${payload}.`
    const bad: [string, string, string][] = [
      ['expired', `Bearer ${g.issuer.token({ exp: now - 1 })}`, 'TOKEN_EXPIRED'],
      ['alg none', `Bearer ${none}`, 'UNAUTHENTICATED'],
      ['signed, of a subject that is no id', `Bearer ${g.issuer.token({ sub: 'no id' })}`, 'UNAUTHENTICATED'],
      ['signed by another', `Bearer ${createIssuer().token()}`, 'UNAUTHENTICATED'],
      ['another key id', `Bearer ${createIssuer('other').token()}`, 'UNAUTHENTICATED'],
      ['another audience', `Bearer ${g.issuer.token({ aud: 'elsewhere' })}`, 'UNAUTHENTICATED'],
      ['no signature', `Bearer ${head}.${payload}.`, 'UNAUTHENTICATED'],
      ['nonsense', 'Bearer nonsense', 'UNAUTHENTICATED'],
      ['another scheme', 'Basic YTpi', 'UNAUTHENTICATED'],
      ['empty', 'Bearer ', 'UNAUTHENTICATED']
    ]
    for (const [what, authorization, code] of bad) {
      const answer = await fetch(`${g.url}/v1/posts`, { headers: { authorization } })
      t.equal(answer.status, 401, what)
      t.match(answer.headers.get('www-authenticate'), /Bearer/)
      t.match(await answer.json(), { code, status: 401 }, what)
    }
    t.equal(posts.requests.length, before, 'none of them reached a service')
    const good = g.issuer.bearer()
    t.equal((await fetch(`${g.url}/v1/posts`, { headers: good })).status, 200)
    t.equal(last().authorization, good.authorization, 'the service checks it again')
    t.equal((await fetch(`${g.url}/v1/posts`)).status, 200, 'without a token it is for the service to say')
  })

  t.test('a route that takes no token ignores a bad one', async (t) => {
    const expired = g.issuer.bearer({ exp: 1 })
    t.equal((await fetch(`${g.url}/v1/auth/refresh`, { method: 'POST', headers: expired })).status, 200)
    t.equal((await fetch(`${g.url}/v1/auth/sessions`, { headers: expired })).status, 401)
    t.equal(auth.requests.length, 1)
    // The gateway's own documents are for everybody; of its own routes only the batch looks at a token.
    const documents = [
      '/openapi.json',
      '/asyncapi.json',
      '/docs',
      '/docs/events',
      '/docs/scalar.js',
      '/livez',
      '/readyz'
    ]
    for (const path of documents)
      for (const headers of [expired, { authorization: 'Bearer nonsense' }, { authorization: 'Basic YTpi' }, {}])
        t.equal((await fetch(g.url + path, { headers })).status, 200, `${path} ${Object.values(headers)}`.slice(0, 40))
    const schema = '/schemas/events/none.such.v1.json'
    t.equal((await fetch(g.url + schema, { headers: expired })).status, 404)
    t.equal((await fetch(`${g.url}/v1/batch`, { method: 'POST', headers: expired })).status, 401)
  })

  t.test('paths that nobody has', async (t) => {
    const unknown = await fetch(`${g.url}/v1/nothing/here`)
    t.equal(unknown.status, 404)
    t.match(await unknown.json(), { code: 'NOT_FOUND', type: 'urn:skerry:error:not-found' })
    t.match(unknown.headers.get('content-type'), /^application\/problem\+json/)
    const away = await fetch(`${g.url}/v1/feed`)
    t.equal(away.status, 503, 'a route of a contract whose service was not seen yet')
    t.match(away.headers.get('retry-after'), /^[1-9]\d*$/)
    const withBody = (path: string) =>
      sendRaw(g.port, `GET ${path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx`)
    t.equal(
      (await withBody('/v1/auth/login')).status,
      405,
      'a path that takes no GET says so before it looks at a body'
    )
    t.equal((await withBody('/v1/batch')).status, 405)
    t.equal((await withBody('/v1/posts')).status, 400)
    t.equal((await sendRaw(g.port, 'TRACE /v1/posts HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')).status, 405)
  })

  t.test('CORS', async (t) => {
    const before = posts.requests.length
    const preflight = await fetch(`${g.url}/v1/posts`, {
      method: 'OPTIONS',
      headers: {
        origin: 'https://app.example',
        'access-control-request-method': 'PATCH',
        'access-control-request-headers': SENT
      }
    })
    t.equal(preflight.status, 204)
    t.equal(preflight.headers.get('content-length'), null, 'a 204 says none (RFC 9110, 8.6)')
    t.match(preflight.headers.get('access-control-allow-methods'), /PATCH/)
    t.equal(preflight.headers.get('access-control-allow-headers'), SENT)
    t.match(preflight.headers.get('vary'), /access-control-request-headers/i)
    t.equal(posts.requests.length, before)
    const answer = await fetch(`${g.url}/v1/posts`, { headers: { origin: 'https://app.example' } })
    for (const name of ['ETag', 'RateLimit', 'Retry-After', 'X-Request-Id']) {
      t.match(answer.headers.get('access-control-expose-headers'), name)
    }
    const refused = await fetch(`${g.url}/v1/nothing`, { headers: { origin: 'https://app.example' } })
    t.equal(refused.headers.get('access-control-allow-origin'), '*', 'a web app may read problems, too')
    const origin = 'origin: https://app.example\r\n'
    const early = {
      414: await rawGet(g.port, `/v1/posts/${'a'.repeat(100_000)}`, origin),
      431: await rawGet(g.port, '/v1/posts', `${origin}x-long: ${'a'.repeat(20_000)}\r\n`),
      400: await rawGet(g.port, '/v1/posts', `${origin}bad header\r\n`),
      405: await sendRaw(g.port, `TRACE /v1/posts HTTP/1.1\r\nhost: x\r\n${origin}connection: close\r\n\r\n`),
      417: await rawGet(g.port, '/v1/posts', `${origin}expect: something\r\n`)
    }
    for (const [status, { status: got, head }] of Object.entries(early)) {
      t.equal(got, status === '417' ? 400 : Number(status))
      t.match(head, 'access-control-allow-origin: *', `${status} before routing`)
      t.match(head, /access-control-expose-headers: .*retry-after.*x-request-id/, `${status} before routing`)
    }
    const shown = new Set(refused.headers.get('access-control-expose-headers')?.toLowerCase().split(', '))
    // `keep-me` is what this upstream made up.
    for (const each of [answer, refused])
      for (const name of each.headers.keys())
        t.ok(name === 'keep-me' || shown.has(name) || NOT_FOR_APPS.test(name), `${name} can be read by a web app`)
  })

  t.test('livez and readyz say no more than they must', async (t) => {
    const live = await fetch(`${g.url}/livez`)
    t.strictSame(await live.json(), { status: 'ok' })
    t.strictSame(await (await fetch(`${g.url}/readyz`)).json(), { status: 'ok' })
    t.equal((await fetch(`${g.url}/metrics`)).status, 404)
  })
})

t.test('behind a trusted proxy', async (t) => {
  const g = await startGateway(t, { env: { TRUSTED_PROXIES: '127.0.0.1,10.0.0.0/8' } })
  const posts = await startUpstream(t, g.nc, {})
  await g.live('content', 1)
  await fetch(`${g.url}/v1/posts`, {
    headers: { 'x-forwarded-for': '6.6.6.6, 203.0.113.9, 10.1.1.1', 'x-forwarded-proto': 'https' }
  })
  const got = posts.requests[0]?.headers
  t.equal(
    got?.['x-forwarded-for'],
    '203.0.113.9',
    'the first hop that is not trusted, not what the client wrote before it'
  )
  t.equal(got?.['x-forwarded-proto'], 'https')
})

t.test('web apps of named origins only', async (t) => {
  const g = await startGateway(t, { env: { CORS_ORIGINS: 'https://app.example, https://b.example' } })
  await startUpstream(t, g.nc, {})
  await g.live('content', 1)
  const allowed = await fetch(`${g.url}/v1/posts`, { headers: { origin: 'https://app.example' } })
  t.equal(allowed.headers.get('access-control-allow-origin'), 'https://app.example')
  t.match(allowed.headers.get('vary'), /origin/i)
  for (const origin of ['https://app.example', 'https://evil.example']) {
    const headers = { origin, 'access-control-request-method': 'PATCH', 'access-control-request-headers': 'x-a' }
    const preflight = await fetch(`${g.url}/v1/posts`, { method: 'OPTIONS', headers })
    const names = (preflight.headers.get('vary') ?? '').toLowerCase().split(/, */).sort()
    t.strictSame(names, ['access-control-request-headers', 'origin'], 'each name once')
  }
  const bare = await fetch(`${g.url}/v1/posts`, { method: 'OPTIONS' })
  t.match(bare.headers.get('vary'), /^(?!.*origin.*origin)/i)
  const other = await fetch(`${g.url}/v1/posts`, { headers: { origin: 'https://evil.example' } })
  t.notOk(other.headers.has('access-control-allow-origin'))
  const large = (origin: string) =>
    rawGet(g.port, '/v1/posts', `origin: ${origin}\r\nx-long: ${'a'.repeat(20_000)}\r\n`)
  t.match((await large('https://b.example')).head, 'access-control-allow-origin: https://b.example\r\n')
  t.notMatch((await large('https://evil.example')).head, 'access-control-allow-origin')
})
