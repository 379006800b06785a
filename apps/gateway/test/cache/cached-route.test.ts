import t from 'tap'
import { compileCachedRoute, headersToLoad, keyOf, learnVary } from '../../src/cache/cached-route.ts'
import { get, routeWith, rulesWith } from '../helpers/cache.ts'

const shared = routeWith({ scope: 'public', ttl: 10 })
const byUser = routeWith({ scope: 'private', ttl: 10 })

t.test('which routes have one', async (t) => {
  t.equal(compileCachedRoute({ method: 'GET', path: '/v1/a', auth: 'none' }), undefined)
  t.equal(compileCachedRoute(rulesWith({ scope: 'public', ttl: 1 }, { method: 'POST' })), undefined)
  t.equal(compileCachedRoute(rulesWith({ scope: 'public', ttl: 1 }, { stream: true })), undefined)
  const bad = (policy: object, message: RegExp, rest = {}) =>
    t.throws(() => compileCachedRoute(rulesWith({ scope: 'public', ttl: 1, ...policy }, rest)), { message })
  bad({ ttl: -1 }, /times/)
  bad({ ttl: Number.NaN }, /times/)
  bad({ staleIfError: 1e9 }, /times/)
  bad({ tags: Array(33).fill('a') }, /32 tags/)
  bad({ vary: ['Accept-Language'] }, /lower case/)
  bad({ vary: ['x-forwarded-for'] }, /vary names x-forwarded-for, which no client can say/)
  bad({ scope: 'private' }, /token/, { auth: 'none' })
})

t.test('a key is the target as it came, by user where answers are', async (t) => {
  t.equal(keyOf(shared, get('/v1/users/a?b=1&a=2', {}, 'u1')), '/v1/users/a?b=1&a=2')
  const keys = [
    keyOf(byUser, get('/v1/users/a', {}, 'u1')),
    keyOf(byUser, get('/v1/users/a', {}, 'u2')),
    keyOf(byUser, get('/v1/users/b', {}, 'u1')),
    // Ids that try to be another one's key.
    keyOf(byUser, get('/a', {}, 'u1 /v1/users')),
    keyOf(byUser, get('/v1/users /a', {}, 'u1'))
  ]
  t.equal(new Set(keys).size, keys.length)
  t.equal(keyOf(byUser, get('/v1/users/a')), undefined, 'nobody has no private answers')
})

t.test('who came by https has answers of their own', async (t) => {
  const keys = (['http', 'https', undefined] as const).map((protocol) => keyOf(shared, { ...get('/a'), protocol }))
  t.strictSame(keys, ['/a', '/a\n!https', '/a'])
})

t.test('requests that go past the cache', async (t) => {
  const headers = [
    { range: 'bytes=0-1' },
    { 'cache-control': 'No-Store' },
    { 'if-match': '"1"' },
    { 'if-unmodified-since': 'x' }
  ]
  for (const one of headers) t.equal(keyOf(shared, get('/v1/users/a', one)), undefined, JSON.stringify(one))
  t.equal(keyOf(shared, get(`/v1/users/${'a'.repeat(2_048)}`)), undefined, 'too long')
  t.ok(keyOf(shared, get('/v1/users/a', { 'cache-control': 'no-cache', 'if-none-match': '"x"' })))
})

t.test('headers that answers differ by', async (t) => {
  const route = routeWith({ scope: 'public', ttl: 10, vary: ['x-b', 'accept-encoding'] })
  const key = (headers: Record<string, string>) => keyOf(route, get('/a', headers))
  t.equal(key({ 'x-b': '1', 'accept-encoding': 'gzip' }), '/a\nx-b=1')
  t.ok(learnVary(route, ['accept-language', 'authorization', 'x-b']))
  t.equal(key({ 'x-b': '1', 'accept-language': 'de' }), '/a\naccept-language=de\nx-b=1')
  t.equal(key({ 'accept-language': 'de' }), '/a\naccept-language=de\nx-b=')
  t.notOk(learnVary(route, ['1', '2', '3', '4', '5', '6', '7']), 'no more than keys can carry')
  t.notOk(learnVary(route, ['x y']))
  for (const name of ['x-forwarded-for', 'x-request-id', 'forwarded', 'x-real-ip', 'x-skerry-deadline', 'traceparent'])
    t.notOk(learnVary(route, [name]), `what clients send as ${name} reaches no service`)
  t.ok(learnVary(route, ['x-forwarded-proto', 'host']), 'the same in all keys, or in each already')
  t.strictSame(route.vary, ['accept-language', 'x-b'])
})

t.test('a load asks for the whole answer for everybody', async (t) => {
  const came = {
    accept: 'application/json',
    cookie: 'a=1',
    range: 'bytes=0-1',
    'if-none-match': '"x"',
    'accept-encoding': 'br',
    'cache-control': 'no-cache',
    authorization: 'Bearer x'
  }
  const asked = { accept: 'application/json', 'accept-encoding': 'identity', authorization: 'Bearer x' }
  const needed = routeWith({ scope: 'public', ttl: 10 }, { auth: 'required' })
  t.strictSame(headersToLoad(needed, came), asked)
  for (const auth of ['none', 'optional'] as const) {
    const { authorization: _, ...anybody } = asked
    t.strictSame(headersToLoad(routeWith({ scope: 'public', ttl: 10 }, { auth }), came), anybody)
  }
  t.strictSame(headersToLoad(byUser, came), { ...asked, cookie: 'a=1' })
})
