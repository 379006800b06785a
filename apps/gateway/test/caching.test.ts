import type { RequestListener } from 'node:http'
import type { RouteRules } from '@skerry/contracts'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startGateway } from './helpers/gateway.ts'
import { startUpstream } from './helpers/upstream.ts'

const NO_LIMIT = { LIMIT_ADDRESS_BURST: '1000000', LIMIT_ADDRESS_PER_SECOND: '1000000' }
const ROUTES: RouteRules[] = [
  {
    method: 'GET',
    path: '/v1/things/:id',
    auth: 'none',
    cache: {
      scope: 'public',
      ttl: 60,
      staleIfError: 600,
      tags: ['thing:{id}'],
      endedBy: { 'things.thing.updated': ['thing:{thingId}'] }
    }
  },
  { method: 'GET', path: '/v1/things', auth: 'none', cache: { scope: 'public', ttl: 0, staleIfError: 600 } },
  {
    method: 'GET',
    path: '/v1/old/:id',
    auth: 'none',
    cache: { scope: 'public', ttl: 0.05, staleWhileRevalidate: 60 }
  },
  { method: 'PATCH', path: '/v1/things/:id', auth: 'none', ends: ['thing:{id}'] },
  { method: 'GET', path: '/v1/mine', auth: 'required', cache: { scope: 'private', ttl: 60, tags: ['mine:{caller}'] } },
  { method: 'POST', path: '/v1/mine', auth: 'required', ends: ['mine:{caller}'] }
]

/** A service of things with a version each, which a PATCH moves on. */
function things() {
  const versions = new Map<string, number>()
  let well = true
  const held: (() => void)[] = []
  let hold = false
  const answer: RequestListener = (req, res) => {
    const id = req.url ?? ''
    if (!well) return void res.writeHead(500, { 'content-type': 'application/json' }).end('{"broken":true}')
    if (req.method !== 'GET') {
      const changed = id === '/v1/mine' ? 'mine' : id
      versions.set(changed, (versions.get(changed) ?? 1) + 1)
      return void res.end('{}')
    }
    const body = JSON.stringify({ id, who: req.headers.authorization, version: versions.get(id.slice(0)) ?? 1 })
    const send = () => {
      res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
      res.end(body)
    }
    if (hold) held.push(send)
    else send()
  }
  return {
    answer,
    fail: () => {
      well = false
    },
    holdAnswers: () => {
      hold = true
    },
    held,
    moveOn: (id: string) => versions.set(id, (versions.get(id) ?? 1) + 1)
  }
}

t.test('answers that are kept', async (t) => {
  const g = await startGateway(t, { env: NO_LIMIT, redis: true })
  const service = things()
  const upstream = await startUpstream(t, g.nc, {
    service: 'things',
    prefixes: ['/v1/things', '/v1/mine', '/v1/old'],
    routes: ROUTES,
    answer: service.answer
  })
  await g.live('things', 1)
  const get = (path: string, headers: Record<string, string> = {}) => fetch(`${g.url}${path}`, { headers })
  // What was kept before the gateway heard events it ends once it does: only then does an answer stay.
  await get('/v1/things/warm')
  service.moveOn('/v1/things/warm')
  await waitFor(async () => {
    g.nc.publish('things.thing.updated.v1', JSON.stringify({ thingId: 'warm' }))
    return ((await (await get('/v1/things/warm')).json()) as { version: number }).version === 2
  })
  upstream.requests.length = 0

  t.test('once asked, once loaded, and said so', async (t) => {
    const first = await get('/v1/things/1')
    t.equal(first.headers.get('cache-status'), 'skerry; fwd=miss; stored')
    t.equal(first.headers.get('cache-control'), 'public, max-age=0, s-maxage=60, stale-if-error=600')
    const body = await first.json()
    const again = await get('/v1/things/1')
    t.match(again.headers.get('cache-status'), /^skerry; hit; ttl=\d+$/)
    t.match(again.headers.get('age'), /^\d+$/)
    t.not(again.headers.get('x-request-id'), first.headers.get('x-request-id'), 'each its own id')
    t.equal(again.headers.get('strict-transport-security'), first.headers.get('strict-transport-security'))
    t.strictSame(await again.json(), body)
    t.equal(upstream.requests.length, 1)

    const etag = again.headers.get('etag') ?? ''
    const known = await get('/v1/things/1', { 'if-none-match': etag })
    t.equal(known.status, 304)
    t.equal(known.headers.get('etag'), etag)
    t.equal(await known.text(), '')
    const head = await fetch(`${g.url}/v1/things/1`, { method: 'HEAD' })
    t.equal(head.headers.get('content-length'), again.headers.get('content-length'))
    t.equal(upstream.requests.length, 1)
  })

  t.test('a HEAD of a stale answer leaves the body of its GET alone', async (t) => {
    const body = await (await get('/v1/old/1')).text()
    await waitFor(async () => {
      const head = await fetch(`${g.url}/v1/old/1`, { method: 'HEAD' })
      return /ttl=-|ttl=0/.test(head.headers.get('cache-status') ?? '')
    })
    for (let i = 0; i < 20; i++) {
      await fetch(`${g.url}/v1/old/1`, { method: 'HEAD' })
      t.equal(await (await get('/v1/old/1')).text(), body)
    }
    t.ok(upstream.requests.every((one) => one.method !== 'HEAD'))
  })

  t.test('who changed it reads what it wrote', async (t) => {
    t.match(await (await get('/v1/things/2')).json(), { version: 1 })
    for (let version = 2; version < 12; version++) {
      t.equal((await fetch(`${g.url}/v1/things/2`, { method: 'PATCH' })).status, 200)
      t.match(await (await get('/v1/things/2')).json(), { version })
    }
  })

  t.test('an event ends it', async (t) => {
    t.match(await (await get('/v1/things/3')).json(), { version: 1 })
    service.moveOn('/v1/things/3')
    t.match(await (await get('/v1/things/3')).json(), { version: 1 }, 'kept')
    g.nc.publish('things.thing.updated.v1', JSON.stringify({ thingId: '3' }))
    await waitFor(async () => ((await (await get('/v1/things/3')).json()) as { version: number }).version === 2)
    t.match(await (await get('/v1/things/1')).json(), { version: 1 }, 'others stay')
  })

  t.test('private answers stay with their user', async (t) => {
    const ada = g.issuer.bearer()
    const bob = g.issuer.bearer()
    const before = upstream.requests.length
    const mine = async (headers: Record<string, string>) => (await get('/v1/mine', headers)).json()
    for (let i = 0; i < 3; i++) {
      t.match(await mine(ada), { who: ada.authorization })
      t.match(await mine(bob), { who: bob.authorization })
    }
    t.equal(upstream.requests.length - before, 2)
    const answer = await get('/v1/mine', ada)
    t.equal(answer.headers.get('cache-control'), 'private, no-cache')
    t.match(answer.headers.get('vary'), /authorization/)
    await fetch(`${g.url}/v1/mine`, { method: 'POST', headers: ada })
    await mine(ada)
    await mine(bob)
    t.equal(upstream.requests.length - before, 4, "one write, one load: the other user's answer stays")
    t.equal((await get('/v1/mine')).status, 401, 'and nobody else')
  })

  t.test('1,000 simultaneous misses are one request', async (t) => {
    service.holdAnswers()
    const before = upstream.requests.length
    const asked = Array.from({ length: 1_000 }, () => get('/v1/things/many'))
    const connections = () =>
      new Promise<number>((resolve) => g.gateway.app.server.getConnections((_error, count) => resolve(count)))
    await waitFor(async () => service.held.length === 1 && (await connections()) >= 1_000)
    for (const send of service.held) send()
    const answers = await Promise.all(asked)
    t.ok(answers.every(({ status }) => status === 200))
    t.equal(upstream.requests.length - before, 1)
    await Promise.all(answers.map((answer) => answer.text()))
  })
})

t.test('a stale answer is served while the service is away, and says so', async (t) => {
  const g = await startGateway(t, { env: NO_LIMIT })
  const service = things()
  const upstream = await startUpstream(t, g.nc, {
    service: 'things',
    prefixes: ['/v1/things'],
    routes: ROUTES,
    answer: service.answer
  })
  await g.live('things', 1)
  const get = (path: string) => fetch(`${g.url}${path}`)
  t.equal((await get('/v1/things')).status, 200)
  service.fail()
  const stale = await get('/v1/things')
  t.equal(stale.status, 200)
  t.match(stale.headers.get('cache-status'), /detail=stale-if-error/)
  await upstream.close()
  await g.live('things', 0)
  t.equal((await get('/v1/things')).status, 200, 'also when there is nobody to ask')
  t.equal((await get('/v1/things/7')).status, 503, 'what is not known is not made up')
})
