import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { setImmediate as turn } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { authRoutes, rulesOf } from '@skerry/contracts'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startGateway } from './helpers/gateway.ts'
import { startOrigin } from './helpers/origin.ts'
import { sendRaw } from './helpers/raw.ts'
import { startUpstream } from './helpers/upstream.ts'

const MIB = 1024 * 1024

async function textOf(message: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of message) text += chunk
  return text
}

t.test('requests and answers pass as they are', async (t) => {
  const g = await startGateway(t)
  const bodies: string[] = []
  await startUpstream(t, g.nc, {
    answer: async (req, res) => {
      const body = await textOf(req)
      bodies.push(body)
      res.setHeader('set-cookie', ['a=1', 'b=2'])
      res.setHeader('etag', '"7.x"')
      if (req.headers['if-none-match'] === '"7.x"') return res.writeHead(304).end()
      if (req.url?.endsWith('/gzip'))
        return res.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync('squeezed'))
      if (req.url?.endsWith('/empty')) return res.writeHead(204).end()
      if (req.url?.endsWith('/large')) return res.end(Buffer.alloc(20 * MIB, 'x'))
      res
        .writeHead(201, { 'content-type': 'application/json' })
        .end(JSON.stringify({ url: req.url, method: req.method, body }))
    }
  })
  await g.live('content', 1)
  const url = `${g.url}/v1/posts`

  const post = await fetch(`${url}?a=1&a=2&b=%20+%26&c`, {
    method: 'POST',
    headers: { 'content-type': 'application/json; charset=utf-8' },
    body: '{"text": "not even JSON'
  })
  t.equal(post.status, 201)
  t.strictSame(await post.json(), {
    url: '/v1/posts?a=1&a=2&b=%20+%26&c',
    method: 'POST',
    body: '{"text": "not even JSON'
  })
  t.strictSame(post.headers.getSetCookie(), ['a=1', 'b=2'])

  for (const method of ['PUT', 'PATCH', 'DELETE']) {
    t.match(await (await fetch(url, { method, body: 'x' })).json(), { method, body: 'x' })
  }
  t.match(await (await fetch(url, { method: 'DELETE' })).json(), { method: 'DELETE', body: '' })
  t.equal(await (await fetch(`${url}/gzip`)).text(), 'squeezed')
  t.equal((await fetch(`${url}/empty`)).status, 204)
  const unchanged = await fetch(url, { headers: { 'if-none-match': '"7.x"' } })
  t.equal(unchanged.status, 304)
  t.equal(unchanged.headers.get('etag'), '"7.x"')
  const head = await fetch(url, { method: 'HEAD' })
  t.equal(head.status, 201)
  t.equal(await head.text(), '')
  t.match(Number(head.headers.get('content-length')), /\d+/)
  t.equal((await (await fetch(`${url}/large`)).arrayBuffer()).byteLength, 20 * MIB)

  bodies.length = 0
  const full = await fetch(url, { method: 'POST', body: Buffer.alloc(MIB, 'x') })
  t.equal(full.status, 201, 'exactly 1 MiB fits')
  t.equal(bodies[0]?.length, MIB)
})

t.test('a 204 says no length (RFC 9110, 8.6), whatever its service says', async (t) => {
  const g = await startGateway(t)
  await startUpstream(t, g.nc, {
    answer: (_req, res) => {
      res.writeHead(204, { 'content-length': '0', etag: '"1"' }).end()
    }
  })
  await g.live('content', 1)
  const port = Number(new URL(g.url).port)
  const head = 'host: x\r\nconnection: close'
  for (const [what, request] of [
    ['an answer', `GET /v1/posts HTTP/1.1\r\n${head}`],
    ['to HEAD', `HEAD /v1/posts HTTP/1.1\r\n${head}`],
    ['to HTTP/1.0', 'GET /v1/posts HTTP/1.0\r\nhost: x']
  ] as const) {
    const answer = await sendRaw(port, `${request}\r\n\r\n`)
    t.equal(answer.status, 204, what)
    t.match(answer.head, 'etag: "1"')
    t.notMatch(answer.head, /content-length|transfer-encoding/, what)
  }
})

t.test('a body over the limit', async (t) => {
  const g = await startGateway(t)
  const posts = await startUpstream(t, g.nc, {})
  await g.live('content', 1)

  t.test('announced', async (t) => {
    const answer = await fetch(`${g.url}/v1/posts`, { method: 'POST', body: Buffer.alloc(10 * MIB) })
    t.equal(answer.status, 413)
    t.match(await answer.json(), { code: 'BODY_TOO_LARGE' })
  })

  t.test('in chunks that never say how many', async (t) => {
    const asking = request(`${g.url}/v1/posts`, { method: 'POST', headers: { 'transfer-encoding': 'chunked' } })
    asking.on('error', () => asking.destroy())
    const chunk = Buffer.alloc(64 * 1024)
    for (let i = 0; i < 17; i++) asking.write(chunk)
    const [answer] = (await once(asking, 'response')) as [IncomingMessage]
    t.equal(answer.statusCode, 413)
    t.match(JSON.parse(await textOf(answer)), { code: 'BODY_TOO_LARGE', status: 413 })
    asking.destroy()
  })
  t.equal(posts.requests.length, 0, 'nothing reached the service')
})

t.test('a request that never ends', async (t) => {
  const g = await startGateway(t, { env: { REQUEST_TIMEOUT_MS: '300', HEADERS_TIMEOUT_MS: '200' } })
  await startUpstream(t, g.nc, {})
  await g.live('content', 1)
  const slow = await sendRaw(g.port, 'POST /v1/posts HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n123')
  t.equal(slow.status, 408)
  t.equal(JSON.parse(slow.body).code, 'REQUEST_TIMEOUT')
  t.equal((await sendRaw(g.port, 'GET /v1/posts HTTP/1.1\r\nhost')).status, 408)
})

t.test('a 503 of a service is one call, passed on as it is', async (t) => {
  const g = await startGateway(t)
  const bodies = Buffer.alloc(100_000, 'x')
  const busy = {
    answer: (_req: unknown, res: { writeHead(s: number, h: object): { end(b: Buffer): void } }) => {
      res.writeHead(503, { 'retry-after': '5', 'content-type': 'application/problem+json' }).end(bodies)
    }
  }
  const one = await startUpstream(t, g.nc, busy as object)
  await g.live('content', 1)

  const answer = await fetch(`${g.url}/v1/posts`)
  t.equal(answer.status, 503)
  t.equal(answer.headers.get('retry-after'), '5')
  t.equal((await answer.arrayBuffer()).byteLength, 100_000)
  t.equal(one.requests.length, 1, 'never the same instance again')

  const forty = await Promise.all(
    Array.from({ length: 40 }, async () => {
      const each = await fetch(`${g.url}/v1/posts`)
      return [each.status, (await each.arrayBuffer()).byteLength]
    })
  )
  t.ok(forty.every(([status, bytes]) => status === 503 && bytes === 100_000))
  t.equal(one.requests.length, 41)

  const two = await startUpstream(t, g.nc, busy as object)
  await g.live('content', 2)
  const before = one.requests.length
  for (let i = 0; i < 100; i++) t.equal((await fetch(`${g.url}/v1/posts`)).status, 503)
  const calls = one.requests.length - before + two.requests.length
  t.ok(calls <= 100 + 100 * 0.1 + 10, `${calls} calls for 100 requests: retries stay within their budget`)
})

t.test('sessions that a service ends', async (t) => {
  const g = await startGateway(t)
  const revoke = (req: IncomingMessage, res: { setHeader(n: string, v: string): void; end(b: string): void }) => {
    res.setHeader('x-skerry-revoked', String(req.headers['x-sids']))
    res.end('{}')
  }
  const routes = rulesOf([authRoutes.logout])
  await startUpstream(t, g.nc, { service: 'auth', prefixes: ['/v1/auth'], routes, answer: revoke as never })
  await startUpstream(t, g.nc, { answer: revoke as never })
  await g.live('auth', 1)
  await g.live('content', 1)
  const [first, second, third] = ['s1', 's2', 's3'].map((sid) => g.issuer.bearer({ sid }))
  const status = async (headers: object | undefined) =>
    (await fetch(`${g.url}/v1/posts`, { headers: { ...headers, 'x-sids': 'none' } })).status
  t.strictSame(await Promise.all([first, second, third].map(status)), [200, 200, 200])

  const logout = await fetch(`${g.url}/v1/auth/logout`, { method: 'POST', headers: { ...first, 'x-sids': 's1, s2' } })
  t.notOk(logout.headers.has('x-skerry-revoked'))
  t.strictSame(
    await Promise.all([first, second, third].map(status)),
    [401, 401, 200],
    'at once, with no word from NATS'
  )
  t.match(await (await fetch(`${g.url}/v1/posts`, { headers: { ...first } })).json(), { code: 'SESSION_REVOKED' })

  const repeated = await fetch(`${g.url}/v1/auth/logout`, { method: 'POST', headers: { ...first, 'x-sids': 's1' } })
  t.equal(repeated.status, 200, 'logging out again reaches its service')
  t.equal((await fetch(`${g.url}/v1/auth/sessions`, { headers: { ...first } })).status, 401, 'nothing else does')

  await fetch(`${g.url}/v1/posts`, { headers: { 'x-sids': 's3' } })
  t.equal(await status(third), 200, 'only auth may end sessions')
})

t.test('services that misbehave', async (t) => {
  const g = await startGateway(t)
  await startUpstream(t, g.nc, {
    // Nothing else is late, however busy the machine is.
    routes: [{ method: 'GET', path: '/v1/posts/never', auth: 'none', timeoutMs: 200 }],
    answer: (req, res) => {
      if (req.url?.endsWith('/never')) return
      if (req.url?.endsWith('/half')) {
        res.writeHead(200, { 'content-length': '100' })
        res.write('half', () => req.socket.destroy())
      } else if (req.url?.endsWith('/garbage')) req.socket.end('this is not HTTP\r\n\r\n')
      else req.socket.destroy()
    }
  })
  await g.live('content', 1)

  const never = await fetch(`${g.url}/v1/posts/never`)
  t.equal(never.status, 504)
  t.match(await never.json(), { code: 'TIMEOUT' })
  const broken = await fetch(`${g.url}/v1/posts`, { method: 'POST', body: 'x' })
  t.equal(broken.status, 502)
  const text = await broken.text()
  t.match(JSON.parse(text), { code: 'BAD_GATEWAY', requestId: String })
  t.notMatch(text, /127\.0\.0\.1|socket|undici|content/i, 'no internals are named')
  t.equal((await fetch(`${g.url}/v1/posts/garbage`)).status, 502)
  await t.rejects(
    fetch(`${g.url}/v1/posts/half`).then((answer) => answer.text()),
    { name: 'TypeError', message: 'terminated' },
    'half an answer is not taken for a whole one'
  )
})

t.test('a clock that is set takes no prefix from a service that is away', async (t) => {
  const { gateway, url } = await startGateway(t)
  const { url: at } = await startOrigin(t, 'two', (_request, response) => response.end('two'))
  const service = (name: string) => ({
    ...{ service: name, version: '1', instance: '1', url: at, weight: 1, prefixes: ['/v1/mine', `/v1/${name}`] }
  })
  gateway.update([service('one')])
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  Date.now = () => now() + 3_600_000
  gateway.update([service('two')])
  t.equal((await fetch(`${url}/v1/two`)).status, 200)
  t.equal((await fetch(`${url}/v1/mine`)).status, 503)
})

t.test('when a client goes away, so does its request to the service', async (t) => {
  const g = await startGateway(t)
  let gone = 0
  const posts = await startUpstream(t, g.nc, {
    answer: (req, res) => {
      res.once('close', () => gone++)
      if (req.url?.endsWith('/begun')) res.write('some')
    }
  })
  await g.live('content', 1)
  for (const path of ['/waiting', '/begun']) {
    const before = gone
    const seen = posts.requests.length
    const stop = new AbortController()
    const asking = fetch(`${g.url}/v1/posts${path}`, { signal: stop.signal }).then((answer) => answer.text())
    asking.catch(() => turn())
    await waitFor(() => posts.requests.length > seen)
    stop.abort()
    await waitFor(() => gone > before)
    t.pass(path)
  }
})

t.test("a client's deadline counts from the arrival of its request", async (t) => {
  const g = await startGateway(t)
  const upstream = await startUpstream(t, g.nc, { answer: (_req, res) => res.end('{}') })
  await g.live('content', 1)
  const post = (deadline: string) =>
    request(`${g.url}/v1/posts`, { method: 'POST', headers: { 'x-skerry-deadline': deadline, 'content-length': '4' } })
  const arrived = once(g.gateway.app.server, 'request')
  const late = post('40')
  late.write('ab')
  await arrived
  const since = performance.now()
  await waitFor(() => performance.now() - since > 80, { message: 'the body takes longer' })
  late.end('cd')
  const [answer] = (await once(late, 'response')) as [IncomingMessage]
  t.equal(answer.statusCode, 504)
  t.match(JSON.parse(await textOf(answer)), { code: 'TIMEOUT' })
  t.equal(upstream.requests.length, 0, 'nobody works on it')

  const early = post('600000')
  early.end('abcd')
  const [good] = (await once(early, 'response')) as [IncomingMessage]
  t.equal(good.resume().statusCode, 200)
  const told = Number(upstream.requests[0]?.headers['x-skerry-deadline'])
  t.ok(told > 0 && told <= 600_000, `the service has ${told} ms`)
})
