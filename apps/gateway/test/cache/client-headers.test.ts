import type { CachePolicy, RouteRules } from '@skerry/contracts'
import t from 'tap'
import { keyOf } from '../../src/cache/cached-route.ts'
import { cachedHeaders, isNotModified } from '../../src/cache/client-headers.ts'
import type { Served } from '../../src/cache/response-cache.ts'
import { answer, ask, get, heldBack, routeWith, withClock } from '../helpers/cache.ts'

const POLICY: CachePolicy = { scope: 'public', ttl: 10, staleWhileRevalidate: 5, staleIfError: 100 }
const REQUEST = get('/v1/users/u1', {}, 'ada')

function pairs(list: string[]): Record<string, string> {
  return Object.fromEntries(Array.from({ length: list.length / 2 }, (_, i) => [list[2 * i], list[2 * i + 1]]))
}

async function said(policy: CachePolicy, rest: Partial<RouteRules> = {}, ofService: string[] = [], status = 200) {
  const { cache } = withClock()
  const route = routeWith(policy, rest)
  const served = await ask(cache, route, REQUEST, async () => answer('{}', ofService, status))
  return pairs(cachedHeaders(served as Served, route))
}

t.test('what caches in front may keep', async (t) => {
  const control = async (...args: Parameters<typeof said>) => (await said(...args))['cache-control']
  t.equal(
    await control(POLICY),
    'public, max-age=0, s-maxage=10, stale-while-revalidate=5, stale-if-error=100',
    'what all may have without a token'
  )
  t.equal(await control({ scope: 'public', ttl: 10 }), 'public, max-age=0, s-maxage=10')
  t.equal(
    await control({ scope: 'public', ttl: 10 }, {}, ['cache-control', 's-maxage=3']),
    'public, max-age=0, s-maxage=3'
  )
  t.equal(await control(POLICY, { auth: 'required' }), 'private, no-cache')
  t.equal(await control(POLICY, { auth: 'optional' }), 'private, no-cache')
  t.equal(await control({ ...POLICY, scope: 'private' }), 'private, no-cache')
  t.equal(
    await control(POLICY, {}, ['cache-control', 'no-store']),
    undefined,
    'the service speaks for what is not kept'
  )
})

t.test('what it differs by', async (t) => {
  t.equal((await said(POLICY)).vary, 'accept-encoding')
  t.equal((await said(POLICY, { auth: 'optional' })).vary, 'accept-encoding, authorization')
  t.equal((await said({ ...POLICY, scope: 'private' })).vary, 'accept-encoding, authorization')
  t.equal((await said(POLICY, {}, ['vary', 'Accept-Language'])).vary, 'accept-encoding, accept-language')
})

t.test('where an answer came from, and how old it is', async (t) => {
  const { cache, pass } = withClock()
  const route = routeWith(POLICY)
  const key = keyOf(route, REQUEST)!
  const status = (served: Served | undefined) => {
    const { age, 'cache-status': from } = pairs(cachedHeaders(served!, route))
    return `${from} age=${age}`
  }
  const gate = heldBack()
  const first = ask(cache, route, REQUEST, gate.load)
  const second = ask(cache, route, REQUEST, gate.load)
  gate.resolve(answer('v1', ['etag', '"1.a"']))
  t.equal(status(await first), 'skerry; fwd=miss; stored age=undefined')
  t.equal(status(await second), 'skerry; fwd=miss; collapsed age=0')
  pass(4)
  t.equal(status(cache.find(key)), 'skerry; hit; ttl=6 age=4')
  pass(8)
  t.equal(status(cache.find(key)), 'skerry; hit; ttl=-2 age=12')
  pass(10)
  const down = () => Promise.reject(new Error('down'))
  t.equal(status(await ask(cache, route, REQUEST, down)), 'skerry; hit; ttl=-12; detail=stale-if-error age=22')
  t.equal((await said(POLICY, {}, [], 400))['cache-status'], 'skerry; fwd=miss')
  t.equal((await said(POLICY, {}, ['age', '3'])).age, '3', 'another cache had it')
})

t.test('304', async (t) => {
  const { cache } = withClock()
  const route = routeWith(POLICY)
  const served = await ask(cache, route, REQUEST, async () => answer('v1', ['etag', '"1.a"']))
  const kept = served!.answer
  t.equal(pairs(cachedHeaders(served!, route)).etag, '"1.a"')
  t.ok(isNotModified('"1.a"', kept))
  t.ok(isNotModified('"0.x", W/"1.a"', kept))
  t.notOk(isNotModified('"1.b"', kept))
  t.notOk(isNotModified(undefined, kept))
  t.ok(isNotModified('"1.a-br"', kept, '"1.a-br"'), 'an encoded one may have its own')
  t.equal(pairs(cachedHeaders(served!, route, '"1.a-br"')).etag, '"1.a-br"')
  const missing = await ask(cache, route, get('/v1/users/u2'), async () => answer('', ['etag', '"1.a"'], 404))
  t.notOk(isNotModified('"1.a"', missing!.answer), 'only what would be a 200')
})
