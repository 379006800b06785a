import type { RequestListener, ServerResponse } from 'node:http'
import type { RouteRules } from '@skerry/contracts'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startGateway, type TestGateway } from './helpers/gateway.ts'
import { startUpstream } from './helpers/upstream.ts'

// Who gets whose answer, when several wait for one, and when a write ends what was kept.

const NO_LIMIT = { LIMIT_EXEMPT: '127.0.0.1' }
const shared = { scope: 'public', ttl: 60 } as const
const ROUTES: RouteRules[] = [
  { method: 'GET', path: '/v1/open/:id', auth: 'none', cache: { ...shared, tags: ['open:{id}'] } },
  { method: 'GET', path: '/v1/perhaps/:id', auth: 'optional', cache: shared },
  { method: 'GET', path: '/v1/known/:id', auth: 'required', cache: shared },
  { method: 'PATCH', path: '/v1/open/:id', auth: 'none', ends: ['open:{id}'], timeoutMs: 2_000 }
]
const PREFIXES = ['/v1/open', '/v1/perhaps', '/v1/known']

async function start(g: TestGateway, t: Parameters<typeof startUpstream>[0], answer: RequestListener) {
  const upstream = await startUpstream(t, g.nc, { service: 'things', prefixes: PREFIXES, routes: ROUTES, answer })
  await g.live('things', 1)
  const get = (path: string, headers: Record<string, string> = {}) =>
    fetch(`${g.url}${path}`, { headers, redirect: 'manual' })
  return { upstream, get }
}

t.test('what is loaded for all says nothing of who asked first', async (t) => {
  const g = await startGateway(t, { env: NO_LIMIT })
  const { get, upstream } = await start(g, t, (req, res) =>
    res
      .setHeader('content-type', 'application/json')
      .end(JSON.stringify({ who: req.headers.authorization, cookie: req.headers.cookie }))
  )
  const ada = { ...g.issuer.bearer(), cookie: 'a=1' }
  const bob = g.issuer.bearer()
  for (const path of ['/v1/open/1', '/v1/perhaps/1']) {
    t.strictSame(await (await get(path, ada)).json(), {}, path)
    t.strictSame(await (await get(path, bob)).json(), {})
    t.strictSame(await (await get(path)).json(), {})
  }
  t.equal(upstream.requests.length, 2)
  // Its service answers nobody without one.
  t.strictSame(await (await get('/v1/known/1', ada)).json(), { who: ada.authorization })
})

t.test('what is said to one is for nobody who waits with them', async (t) => {
  const g = await startGateway(t, { env: NO_LIMIT })
  const held: (() => void)[] = []
  let hold = true
  const { get, upstream } = await start(g, t, (req, res) => {
    const send = () => {
      const odd = req.headers['x-odd'] !== undefined
      const status = odd ? Number(req.url!.split('-')[1]) : 200
      const headers = odd && status === 200 ? { 'cache-control': 'no-store' } : {}
      res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify({ odd }))
    }
    if (hold) held.push(send)
    else send()
  })
  for (const status of [200, 400, 406, 302, 405]) {
    hold = true
    const path = `/v1/open/s-${status}`
    const before = upstream.requests.length
    const first = get(path, { 'x-odd': '1' })
    await waitFor(() => held.length === 1)
    const others = Array.from({ length: 5 }, () => get(path))
    // They wait for the same: nothing comes meanwhile.
    await get('/v1/nowhere')
    await waitFor(() => upstream.requests.length === before + 1)
    hold = false
    for (const send of held.splice(0)) send()
    t.equal((await first).status, status)
    for (const other of others) {
      const answer = await other
      t.equal(answer.status, 200, `${status} is not shared`)
      t.strictSame(await answer.json(), { odd: false })
    }
  }
})

t.test('a crawler that is refused fails nobody else', async (t) => {
  const g = await startGateway(t, {
    env: {
      ...NO_LIMIT,
      CONCURRENCY_INITIAL: '3',
      CONCURRENCY_IDLE: '3',
      CONCURRENCY_MIN: '3',
      CONCURRENCY_MAX: '3',
      CONCURRENCY_WAIT_MS: '1000'
    }
  })
  const held: ServerResponse[] = []
  const { get } = await start(g, t, (req, res) => {
    if (req.url === '/v1/open/held?x') held.push(res)
    else res.setHeader('content-type', 'application/json').end('{}')
  })
  // One of three places is taken, which is as many as crawlers may have.
  const slow = get('/v1/open/held?x')
  await waitFor(() => held.length === 1)
  const crawler = get('/v1/open/1', { 'user-agent': 'somebot/1.0' })
  const waiting = async () => /skerry_gateway_waiting\{[^}]*\} 1/.test(await g.metrics.text())
  await waitFor(waiting)
  const person = get('/v1/open/1')
  t.equal((await crawler).status, 503)
  t.equal((await person).status, 200, 'who waited for the same is answered')
  held[0]!.end('{}')
  await slow
  const told = g.lines.filter(({ code }) => code === 'UNAVAILABLE')
  t.ok(told.length > 0 && told.every(({ level }) => level === 20), 'what is shed is counted, not logged for each')
})

t.test('a redirect to https answers nobody who is there', async (t) => {
  const g = await startGateway(t, { env: { ...NO_LIMIT, TRUSTED_PROXIES: '127.0.0.1' } })
  const { get, upstream } = await start(g, t, (req, res) => {
    if (req.headers['x-forwarded-proto'] === 'https') res.end('{}')
    else res.writeHead(308, { location: `https://example.org${req.url}` }).end()
  })
  const https = { 'x-forwarded-proto': 'https' }
  for (let i = 0; i < 3; i++) {
    t.equal((await get('/v1/open/1')).status, 308)
    t.equal((await get('/v1/open/1', https)).status, 200)
  }
  t.equal(upstream.requests.length, 2, 'both are kept')
})

t.test('a write ends what was kept, whatever becomes of its caller and its answer', async (t) => {
  const g = await startGateway(t, { env: NO_LIMIT })
  let version = 1
  let how = ''
  const writes: ServerResponse[] = []
  const { get } = await start(g, t, (req, res) => {
    if (req.method === 'GET') {
      res.setHeader('content-type', 'application/json').end(JSON.stringify({ version }))
      return
    }
    if (how === 'leave') writes.push(res)
    else {
      version++
      if (how === 'reset') res.socket?.resetAndDestroy()
      else if (how === '500') res.writeHead(500).end()
      else if (how === 'passed') res.writeHead(503, { 'x-skerry-deadline': 'passed' }).end()
      // Or it is silent until its deadline.
    }
  })
  const read = async () => ((await (await get('/v1/open/1')).json()) as { version: number }).version
  const patch = (signal?: AbortSignal) =>
    fetch(`${g.url}/v1/open/1`, { method: 'PATCH', ...(signal === undefined ? {} : { signal }) })

  t.equal(await read(), 1)
  how = 'leave'
  const stop = new AbortController()
  const asked = patch(stop.signal)
  await waitFor(() => writes.length === 1)
  stop.abort()
  await t.rejects(asked)
  t.equal(await read(), 1, 'it is not done yet')
  version++
  t.notOk(writes[0]!.socket?.destroyed, 'its service can still answer')
  writes[0]!.end('{}')
  await waitFor(async () => (await read()) === 2)
  t.pass('then what was kept ends')

  for (const [kind, status] of [
    ['reset', 502],
    ['500', 500],
    ['passed', 504],
    ['silent', 504]
  ] as const) {
    const before = await read()
    how = kind
    t.equal((await patch()).status, status)
    // One that failed is left alone for a moment.
    await waitFor(async () => (await get('/v1/open/2')).status === 200)
    t.equal(await read(), before + 1, `${kind}: it may have been done`)
  }
  const places = /skerry_gateway_in_flight\{[^}]*upstream="things[^}]*\} (\d+)/.exec(await g.metrics.text())
  t.equal(places?.[1], '0', 'no place is left taken')
})
