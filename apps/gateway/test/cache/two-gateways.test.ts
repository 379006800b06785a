import { startRedisServer } from '@skerry/cache/test/redis-server'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { keyOf } from '../../src/cache/cached-route.ts'
import { answer, ask, bodyOf, get, heldBack, never, openGatewayCache, routeWith } from '../helpers/cache.ts'

const POLICY = { scope: 'public', ttl: 600, staleIfError: 600, tags: ['profile:{id}'] } as const
/** So long that a test which has to wait for its end fails by its own time. */
const LONG = 600_000

t.test('two gateways on one Redis', async (t) => {
  const redis = await startRedisServer(t)
  const { cache: here, link } = await openGatewayCache(t, { url: redis.url, lockMs: LONG })
  const { cache: there } = await openGatewayCache(t, { url: redis.url, lockMs: LONG })
  const route = routeWith(POLICY)
  const stored = (key: string) => waitFor(async () => (await link.client.exists(`gateway:cache:v:${key}`)) === 1)

  t.test('1,000 who ask both at once are one request', async (t) => {
    const request = get('/v1/users/crowd')
    const gate = heldBack()
    const answers = Promise.all(
      Array.from({ length: 1_000 }, (_, i) => ask(i % 2 === 0 ? here : there, route, request, gate.load))
    )
    await gate.wasAsked()
    gate.resolve(answer('v1'))
    t.strictSame(new Set((await answers).map(bodyOf)), new Set(['v1']))
    t.equal(gate.asked(), 1)
  })

  t.test('any bytes, and what is said of them, come to the other whole', async (t) => {
    const request = get('/v1/users/bytes')
    const body = Buffer.from(Array.from({ length: 70_000 }, (_, i) => i & 255))
    const came = { status: 200, headers: ['content-type', 'image/png', 'etag', '"7"', 'age', '5'], body }
    const first = await ask(here, route, request, async () => came)
    await stored(request.target)
    const second = await ask(there, route, request, never)
    t.match(second, { source: 'redis', stale: false, answer: { status: 200, etag: '"7"' } })
    t.ok(second!.ageSeconds >= 5 && second!.ttlSeconds <= 600)
    t.strictSame(second!.answer, first!.answer)
    t.match(there.find(request.target), { source: 'memory' })
  })

  t.test('an end reaches both', async (t) => {
    const request = get('/v1/users/ended')
    await ask(here, route, request, async () => answer('v1'))
    await stored(request.target)
    t.equal(bodyOf(await ask(there, route, request, never)), 'v1')
    await there.end(['profile:ended'])
    t.equal(there.find(request.target), undefined, 'at once where it was asked for')
    await waitFor(() => here.find(request.target) === undefined)
    t.equal(bodyOf(await ask(here, route, request, async () => answer('v2'))), 'v2', 'and Redis has heard')
  })

  t.test('a load that began before an end at the other gateway is not kept anywhere', async (t) => {
    const request = get('/v1/users/race')
    const gate = heldBack()
    const early = ask(here, route, request, gate.load)
    await gate.wasAsked()
    await there.end(['profile:race'])
    gate.resolve(answer('old'))
    t.equal(bodyOf(await early), 'old', 'who asked before the end may have it')
    // The first may have answered before it heard; what it then held must go.
    await waitFor(() => here.find(request.target) === undefined)
    t.equal(bodyOf(await ask(there, route, request, async () => answer('new'))), 'new')
    t.equal(bodyOf(await ask(here, route, request, async () => answer('new'))), 'new')
  })

  t.test('private answers stay with their user', async (t) => {
    const byUser = routeWith({ ...POLICY, scope: 'private' })
    const of = (userId: string) => get('/v1/users/me', {}, userId)
    await ask(here, byUser, of('ada'), async () => answer('of ada'))
    await stored(keyOf(byUser, of('ada'))!)
    t.equal(bodyOf(await ask(there, byUser, of('bob'), async () => answer('of bob'))), 'of bob')
    t.match(await ask(there, byUser, of('ada'), never), { source: 'redis' })
    t.equal(bodyOf(there.find(keyOf(byUser, of('ada'))!)), 'of ada')
  })

  t.test('what differs by a header is found by that header only', async (t) => {
    const speaking = (language: string) => get('/v1/users/vary', { 'accept-language': language })
    const inLanguage = (language: string) => async () => answer(language, ['vary', 'accept-language'])
    const ofHere = routeWith(POLICY)
    const ofThere = routeWith(POLICY)
    for (let i = 0; i < 2; i++) await ask(here, ofHere, speaking('de'), inLanguage('de'))
    await stored(keyOf(ofHere, speaking('de'))!)
    t.equal(bodyOf(await ask(there, ofThere, speaking('fr'), inLanguage('fr'))), 'fr', 'also by who has not learned')
    t.match(await ask(there, ofThere, speaking('de'), never), { source: 'redis' })
  })
})

t.test('Redis goes away and comes back', async (t) => {
  const redis = await startRedisServer(t)
  const { cache: here, link } = await openGatewayCache(t, { url: redis.url, lockMs: LONG })
  const { cache: there } = await openGatewayCache(t, { url: redis.url, lockMs: LONG })
  const route = routeWith(POLICY)
  const request = get('/v1/users/u1')
  await ask(here, route, request, async () => answer('v1'))
  await waitFor(async () => (await link.client.exists('gateway:cache:v:/v1/users/u1')) === 1)
  await ask(there, route, request, never)

  await redis.kill()
  await waitFor(() => !link.connected())
  const other = get('/v1/users/u2')
  t.match(await ask(here, route, other, async () => answer('v1')), { source: 'load' })
  t.equal(bodyOf(here.find(other.target)), 'v1', 'memory goes on alone')
  await here.end(['profile:u1'])
  t.equal(here.find(request.target), undefined)
  t.equal(bodyOf(there.find(request.target)), 'v1', 'the other cannot hear of it yet')

  await redis.start()
  await waitFor(() => there.find(request.target) === undefined)
  t.equal(bodyOf(await ask(there, route, request, async () => answer('v2'))), 'v2')
})

t.test('an answer in Redis is served when the service fails, by a gateway that never had it', async (t) => {
  const redis = await startRedisServer(t)
  const { cache: here, link } = await openGatewayCache(t, { url: redis.url })
  const route = routeWith({ scope: 'public', ttl: 0.001, staleIfError: 600 })
  const request = get('/v1/users/u1')
  await ask(here, route, request, async () => answer('v1'))
  await waitFor(async () => (await link.client.exists('gateway:cache:v:/v1/users/u1')) === 1)
  const { cache: there } = await openGatewayCache(t, { url: redis.url })
  await waitFor(async () => (await link.client.pttl('gateway:cache:v:/v1/users/u1')) < 600_000)
  const served = await ask(there, route, request, async () => answer('down', [], 503))
  t.match(served, { source: 'stale-if-error', stale: true })
  t.equal(bodyOf(served), 'v1')
})
