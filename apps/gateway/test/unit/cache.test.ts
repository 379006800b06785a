import t from 'tap'
import { answerCodec, judgeAnswer, type StoredAnswer } from '../../src/cache/answer.ts'
import {
  BY_EVENTS,
  type CachedRoute,
  compileCachedRoute,
  headersToLoad,
  keyOf,
  learnVary
} from '../../src/cache/cached-route.ts'
import { BYPASS, cachedHeaders, isNotModified, lastingHeaders, passingHeaders } from '../../src/cache/client-headers.ts'
import { AnswerTooLargeError, type LoadAnswer, type Served } from '../../src/cache/response-cache.ts'
import { compileEndedTags, compileTags } from '../../src/cache/tags.ts'
import { answer, ask, bodyOf, get, heldBack, never, routeWith, rulesWith, withClock } from '../helpers/cache.ts'

const open = (rest = {}) => routeWith({ scope: 'public', ttl: 60, ...rest })
const byUser = (rest = {}) => routeWith({ scope: 'private', ttl: 60, ...rest })
const judge = (
  headers: readonly string[] = [],
  { status = 200, body = '{}', route = open(), max = 1_000 } = {}
): StoredAnswer =>
  judgeAnswer(answer(body, headers, status), route, keyOf(route, get('/a', {}, 'u1'))!, get('/a', {}, 'u1'), max)

t.test('each status is for all, for who waited, or for who asked', async (t) => {
  const keep = [200, 203, 204, 301, 308, 404, 410]
  const caller = [
    ...[199, 206, 304, 401, 403, 407, 408, 412, 417, 421, 425, 428, 429, 431],
    ...[201, 202, 205, 300, 302, 303, 307, 400, 405, 406, 409, 411, 413, 414, 415, 422, 451, 499]
  ]
  const share = [500, 503, 599]
  for (const [use, list] of Object.entries({ keep, caller, share }))
    for (const status of list) t.equal(judge([], { status }).use, use, String(status))
  for (const status of [201, 302, 400, 499])
    t.equal(judge([], { status, route: byUser() }).use, 'caller', `private ${status}`)
  for (const status of [500, 599]) t.equal(judge([], { status, route: byUser() }).use, 'share', `private ${status}`)
})

t.test('what an answer says of itself', async (t) => {
  t.equal(judge(['content-encoding', 'identity']).use, 'keep')
  t.equal(judge(['vary', 'x-a, *']).use, 'caller')
  t.equal(judge(['vary', '*']).vary, '*')
  t.equal(judge(['cache-control', 'no-storex']).use, 'keep')
  t.equal(judge(['cache-control', ' , No-Store ,']).use, 'caller')
  t.equal(judge(['cache-control', 'x="a, no-store"']).use, 'keep', 'within quotes it is a name')
  t.equal(judge(['cache-control', 'private="x", max-age=5']).use, 'caller')
  t.equal(judge([], { max: 2 }).use, 'keep', 'as large as one may be')
  t.equal(judge([], { max: 1 }).use, 'share')
  const aged = (control: string, age?: string) =>
    judge(['cache-control', control, ...(age === undefined ? [] : ['age', age])])
  t.match(aged('s-maxage=10', '9'), { use: 'keep', ttlMs: 1_000, cameAgedSeconds: 9 })
  t.match(aged('s-maxage=10', '10'), { use: 'share', ttlMs: 0, cameAgedSeconds: 10 })
  t.match(aged('s-maxage=10', '11'), { use: 'share', ttlMs: 0 })
  t.match(aged('s-maxage=5, s-maxage=50'), { ttlMs: 5_000 }, 'the first of two')
  for (const odd of ['x', '-5', '5.5', '"', '5s', 's5', '1'.repeat(16), ''])
    t.match(aged(`s-maxage=${odd}`), { use: 'share' }, `${odd} seconds are none`)
  t.match(aged(`s-maxage=${'1'.repeat(15)}`), { use: 'keep', ttlMs: 60_000 })
  t.match(aged('x', '9'.repeat(15)), { cameAgedSeconds: 2_147_483_648 }, 'the age that RFC 9111 takes for endless')
  t.match(aged('x', 'soon'), { cameAgedSeconds: 0 })
  const mine = judge(['cache-control', 's-maxage=1'], { route: byUser() })
  t.match(mine, { use: 'keep', ttlMs: 60_000 }, 's-maxage is for shared caches')
})

t.test('what of an answer is kept', async (t) => {
  const dropped = [
    ...['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'],
    ...['proxy-authenticate', 'proxy-authentication-info', 'authentication-info', 'server', 'x-powered-by'],
    ...['x-request-id', 'traceparent', 'tracestate', 'server-timing', 'ratelimit', 'ratelimit-policy', 'date'],
    ...['content-length', 'etag', 'age', 'cache-status', 'warning', 'access-control-x', 'x-skerry-x'],
    ...['cache-control', 'expires', 'pragma']
  ]
  t.strictSame(judge(dropped.flatMap((name) => [name, 'x'])).headers, ['content-type', 'application/json'])
  const named = [
    'connection',
    'X-A , x-b',
    'x-a',
    '1',
    'x-b',
    '2',
    'x-c',
    '3',
    'access-contro',
    '4',
    'my-x-skerry-',
    '5'
  ]
  t.strictSame(judge(named).headers.slice(2), ['x-c', '3', 'access-contro', '4', 'my-x-skerry-', '5'])
  const shared = judge(['cache-control', 'no-store', 'expires', '0', 'pragma', 'x'])
  t.strictSame(
    shared.headers.slice(2),
    ['cache-control', 'no-store', 'expires', '0', 'pragma', 'x'],
    'its own words stay'
  )
  t.match(judge([], { status: 404 }), { etag: undefined })
  t.match(judge(['etag', '"x"'], { status: 404 }), { etag: '"x"' })
  t.match(judge(['cache-control', 'no-store']), { etag: undefined })
  t.match(judge([]).etag, /^"[\w-]{27}"$/)
  t.match(judge([]), { key: '/a', status: 200 })
  t.equal(judge([], { route: byUser() }).key, '2 u1 /a', 'its key is that of who asked')
  const chunk = Buffer.allocUnsafeSlow(125)
  const body = (length: number) =>
    judgeAnswer({ status: 200, headers: [], body: chunk.subarray(0, length) }, open(), '/a', get('/a'), 1_000).body
  t.equal(body(100).buffer, chunk.buffer, 'a buffer that is little larger than the body is kept')
  t.not(body(99).buffer, chunk.buffer)
  t.equal(body(99).length, 99)
})

t.test('an answer that differs by too much is for who asked', async (t) => {
  const many = Array.from({ length: 9 }, (_, i) => `x-${i}`)
  t.equal(judge(['vary', many.join()]).use, 'caller')
  const route = open()
  t.equal(judge(['vary', many.slice(1).join()], { route }).use, 'share', 'the first that teaches is not kept')
  t.equal(judge(['vary', many.slice(1).join()], { route }).key.split('\n').length, 9)
  const long = judgeAnswer(answer('', ['vary', 'x-a']), open(), '/a', get('/a', { 'x-a': 'y'.repeat(2_048) }), 10)
  t.match(long, { key: '', use: 'share' })
  t.equal(judge(['vary', 'x-a'], { route: open({ vary: ['x-a'] }) }).key, '/a\nx-a=', 'what was known already')
})

t.test('in Redis', async (t) => {
  const kept = judge(['etag', '"x"'])
  const text = Buffer.from(answerCodec.encode(kept)).toString()
  t.match(JSON.parse(text.split('\n')[0]!), { format: 1, key: '/a', use: 'keep' })
  t.notOk('variants' in JSON.parse(text.split('\n')[0]!) || 'body' in JSON.parse(text.split('\n')[0]!))
  t.ok(text.endsWith('\n{}'))
  t.throws(() => answerCodec.decode(Buffer.from(text.replace('"format":1', '"format":2'))), {
    message: 'an answer of format 2'
  })
  const size = (one: Partial<StoredAnswer>) =>
    answerCodec.sizeOf({ ...kept, headers: [], key: '', body: Buffer.alloc(0), variants: new Map(), ...one })
  t.equal(size({}), 2_048)
  t.equal(size({ key: 'abc' }), 2_054)
  t.equal(size({ headers: ['ab', 'c'] }), 2_051)
  t.equal(size({ body: Buffer.alloc(5) }), 2_053)
  t.equal(size({ variants: new Map([['br', Buffer.alloc(7)]]) }), 2_055)
})

t.test('policies at their bounds', async (t) => {
  const compiled = (cache: object, rest = {}) =>
    compileCachedRoute(rulesWith({ scope: 'public', ttl: 1, ...cache }, rest))
  const week = 604_800
  for (const name of ['ttl', 'staleWhileRevalidate', 'staleIfError']) {
    t.ok(compiled({ [name]: 0 }))
    t.ok(compiled({ [name]: week }))
    for (const bad of [week + 1, -1])
      t.throws(() => compiled({ [name]: bad }), {
        message: 'the cache policy of GET /v1/users/:id: times are 0 to 604800 seconds'
      })
  }
  t.ok(compiled({ tags: Array(32).fill('a') }))
  t.throws(() => compiled({ tags: Array(33).fill('a') }), { message: /: at most 32 tags$/ })
  const names = (count: number) => Array.from({ length: count }, (_, i) => `x-${i}`)
  t.ok(compiled({ vary: names(8) }))
  for (const vary of [names(9), ['x_y'], [''], ['x'.repeat(65)], ['fine', 'X'], [' x'], ['x ']])
    t.throws(() => compiled({ vary }), { message: /: vary names at most 8 headers in lower case$/ })
  t.ok(compiled({ vary: ['x'.repeat(64)] }))
  t.throws(() => compiled({ scope: 'private' }, { auth: 'none' }), { message: /: private answers need a token$/ })
  t.ok(compiled({ scope: 'private' }, { auth: 'optional' }))
  t.match(compiled({ ttl: 2, staleWhileRevalidate: 3, staleIfError: 4 }), {
    ...{ shared: true, guarded: false, ttlMs: 2_000, staleMs: 3_000, errorMs: 4_000, vary: [] }
  })
  t.match(compiled({}), { staleMs: 0, errorMs: 0 })
  t.match(compiled({ scope: 'private' }, { auth: 'required' }), { shared: false, guarded: true })
  t.match(compiled({}, { auth: 'optional' }), { shared: true, guarded: true })
  t.strictSame(compiled({ vary: ['x-b', 'x-a', 'x-b', 'authorization', 'accept-encoding'] })?.vary, ['x-a', 'x-b'])
  t.equal(compiled({}, { method: 'HEAD' as never }), undefined)
  t.ok(compiled({}, { stream: false }))
})

t.test('tags of a route are apart from the tags of the cache', async (t) => {
  const of = (cache: object) => routeWith({ scope: 'public', ttl: 1, ...cache }).tagsOf('/v1/users/u1', 'me')
  t.strictSame(of({}), [])
  t.strictSame(of({ tags: ['a:{id}', 'by-events', 'mine:{caller}'] }), ['=a:u1', '=by-events'])
  t.strictSame(of({ tags: ['a'], endedBy: { 'a.b.c': ['a'] } }), ['=a', BY_EVENTS])
  t.strictSame(byUser({ tags: ['mine:{caller}'] }).tagsOf('/v1/users/u1', 'me'), ['=mine:me'])
  t.equal(
    routeWith({ scope: 'public', ttl: 1, tags: ['{id}'], endedBy: { 'a.b.c': ['a'] } }).tagsOf('/v1/users/%ff', 'me'),
    undefined
  )
})

t.test('keys', async (t) => {
  const key = (route: CachedRoute, target: string, headers = {}, userId?: string, version?: string) =>
    keyOf(route, { ...get(target, headers, userId), version })
  t.equal(key(byUser(), '/a', {}, 'ada'), '3 ada /a')
  t.equal(key(open(), '/a', {}, 'ada'), '/a', 'the same for all')
  t.equal(key(open(), '/a', {}, undefined, '2.1'), '/a\n@2.1', 'versions apart')
  t.equal(key(open({ vary: ['x-a', 'x-b'] }), '/a', { 'x-b': '1' }, undefined, '2'), '/a\n@2\nx-a=\nx-b=1')
  t.equal(key(open(), `/${'a'.repeat(2_047)}`)?.length, 2_048)
  t.equal(key(open(), `/${'a'.repeat(2_048)}`), undefined)
  t.equal(key(open(), '/a', { 'cache-control': 'max-age=0' }), '/a')
  t.equal(key(open(), '/a', { 'cache-control': 'max-age=0, no-store' }), undefined)
  t.equal(key(byUser(), '/a'), undefined)
  const route = open({ vary: ['x-a'] })
  const before = route.vary
  t.ok(learnVary(route, ['x-a', 'accept-encoding']))
  t.equal(route.vary, before, 'nothing new')
  t.ok(learnVary(route, ['b', 'c', 'd', 'e', 'f', 'g', 'h']))
  t.strictSame(route.vary, ['b', 'c', 'd', 'e', 'f', 'g', 'h', 'x-a'])
  t.notOk(learnVary(route, ['i']), 'eight at most')
  const came = Object.fromEntries(
    ['if-none-match', 'if-modified-since', 'if-range', 'range', 'cache-control', 'pragma', 'connection', 'x'].map(
      (n) => [n, '1']
    )
  )
  t.strictSame(headersToLoad(open(), came), { x: '1', 'accept-encoding': 'identity' })
})

t.test('what clients are told', async (t) => {
  const kept = judge(['etag', '"x"'])
  const served = (rest: Partial<Served> = {}): Served => ({
    ...{ answer: kept, source: 'memory', stale: false, ageSeconds: 3, ttlSeconds: 7 },
    ...rest
  })
  t.equal(BYPASS, 'skerry; fwd=bypass')
  const route = open({ staleWhileRevalidate: 2.5, staleIfError: 3.5 })
  t.strictSame(lastingHeaders(kept, route), [
    ...['vary', 'accept-encoding', 'etag', '"x"', 'cache-control'],
    'public, max-age=0, s-maxage=60, stale-while-revalidate=2, stale-if-error=3'
  ])
  t.strictSame(lastingHeaders({ ...kept, etag: undefined, use: 'share' }, route), ['vary', 'accept-encoding'])
  t.equal(lastingHeaders({ ...kept, ttlMs: 1_999 }, open()).at(-1), 'public, max-age=0, s-maxage=1')
  t.strictSame(passingHeaders(served()), ['cache-status', 'skerry; hit; ttl=7', 'age', '3'])
  t.strictSame(passingHeaders(served({ source: 'redis' })), ['cache-status', 'skerry; hit; ttl=7', 'age', '3'])
  t.strictSame(passingHeaders(served({ source: 'load' })), ['cache-status', 'skerry; fwd=miss; stored'])
  const old = { ...kept, cameAgedSeconds: 1 }
  t.strictSame(passingHeaders(served({ source: 'load', answer: old })).slice(2), ['age', '3'])
  const passing = { ...kept, use: 'share' } as const
  t.strictSame(passingHeaders(served({ source: 'load', answer: passing })), ['cache-status', 'skerry; fwd=miss'])
  t.strictSame(passingHeaders(served({ source: 'coalesced', answer: passing })), [
    'cache-status',
    'skerry; fwd=miss; collapsed'
  ])
  t.strictSame(passingHeaders(served({ source: 'load', answer: { ...kept, ttlMs: 0 } })), [
    'cache-status',
    'skerry; fwd=miss'
  ])
  t.equal(cachedHeaders(served(), route).length, 10)
  t.ok(isNotModified('*', kept))
  t.notOk(isNotModified('*', { ...kept, etag: undefined }))
})

t.test('tags, at their bounds', async (t) => {
  const tagsOf = compileTags(['{id}', 'q:{q}'], '/v1/:id', true)
  const longest = 'x'.repeat(128)
  t.strictSame(tagsOf(`/v1/${longest}?q=${longest}`, undefined), [longest, `q:${longest}`])
  t.equal(tagsOf(`/v1/a?q=${longest}x`, undefined), undefined)
  t.strictSame(compileTags([longest], '/', true)('/', undefined), [longest])
  t.throws(() => compileTags([`${longest}x`], '/', true), { message: 'a tag of more than 128 characters' })
  t.strictSame(tagsOf('/v1/a?q=', undefined), ['a', 'q:'])
  t.strictSame(tagsOf('/v1/a', undefined), ['a'])
  t.strictSame(tagsOf('/v1/a?x=1', undefined), ['a'])
  t.strictSame(tagsOf('/v1/%41?q=%42', undefined), ['A', 'q:B'])
  t.strictSame(compileTags(['{b}-{a}!'], '/:a/x/:b', true)('/1/x/2?b=3', undefined), ['2-1!'])
  t.strictSame(
    compileTags(['c:{caller}'], '/:caller', true)('/path', 'me'),
    ['c:path'],
    'a parameter that is called so'
  )
  t.equal(compileTags(['c:{caller}'], '/', true)('/', `${longest}x`), undefined)
  t.strictSame(compileTags(['{q}'], '/:id', true)('/%ff?q=1', undefined), ['1'], 'what no tag needs is not read')
  const ended = compileEndedTags(['{a}', 'x:{b}:{a}'])
  t.strictSame(ended({ a: longest, b: 0 }), [longest, `x:0:${longest}`])
  t.strictSame(ended({ a: `${longest}x`, b: 1 }), [])
  t.strictSame(ended({ b: 1 }), [])
})

const POLICY = { scope: 'public', ttl: 10, staleWhileRevalidate: 5, staleIfError: 100, tags: ['p:{id}'] } as const
const REQUEST = get('/v1/users/u1')

t.test('fresh to the last moment, and then stale', async (t) => {
  const { cache, pass } = withClock()
  const route = routeWith(POLICY)
  const key = keyOf(route, REQUEST)!
  t.match(await ask(cache, route, REQUEST, async () => answer('v1')), { source: 'load', ageSeconds: 0, ttlSeconds: 10 })
  pass(9.999)
  t.match(cache.find(key), { stale: false, ageSeconds: 9, ttlSeconds: 0 })
  pass(0.001)
  t.match(cache.find(key), { stale: true, ageSeconds: 10, ttlSeconds: 0 })
  await cache.end(['p:u2'])
  t.ok(cache.find(key), 'another tag')
  await cache.end(['p:u1'])
  t.equal(cache.find(key), undefined)
})

t.test('what is too large goes past the cache for a minute', async (t) => {
  const { cache, pass } = withClock()
  const route = routeWith(POLICY)
  let asked = 0
  const large: LoadAnswer = () => {
    asked++
    return Promise.reject(new AnswerTooLargeError())
  }
  t.equal(await ask(cache, route, REQUEST, large), undefined)
  t.equal(await ask(cache, route, REQUEST, never), undefined, 'not asked through the cache')
  pass(59.999)
  t.equal(await ask(cache, route, REQUEST, never), undefined)
  pass(0.001)
  t.equal(bodyOf(await ask(cache, route, REQUEST, async () => answer('small'))), 'small')
  t.equal(asked, 1)
  t.match(new AnswerTooLargeError(), { name: 'AnswerTooLargeError', message: 'the answer is too large to be kept' })
})

t.test('a body above the bound is given once, then goes past', async (t) => {
  const { cache, pass } = withClock()
  const route = routeWith(POLICY)
  const body = 'x'.repeat(1_001)
  t.equal((await ask(cache, route, REQUEST, async () => answer(body)))?.answer.body.length, 1_001)
  pass(59.999)
  t.equal(await ask(cache, route, REQUEST, never), undefined)
  pass(0.001)
  t.equal((await ask(cache, route, REQUEST, async () => answer('x'.repeat(1_000))))?.answer.use, 'keep')
})

t.test('what is for one caller goes past for ten seconds, a refusal does not', async (t) => {
  const { cache, pass } = withClock()
  const route = routeWith(POLICY)
  const mine = await ask(cache, route, REQUEST, async () => answer('x', ['set-cookie', 'a=1']))
  t.match(mine, { source: 'load', answer: { use: 'caller' } })
  pass(9.999)
  t.equal(await ask(cache, route, REQUEST, never), undefined)
  pass(0.001)
  t.match(await ask(cache, route, REQUEST, async () => answer('', [], 403)), { answer: { status: 403 } })
  t.match(await ask(cache, route, REQUEST, async () => answer('', [], 400)), { answer: { status: 400 } })
  t.equal(bodyOf(await ask(cache, route, REQUEST, async () => answer('v1'))), 'v1')
})

t.test('who joined in on an answer that is for one caller asks for themselves', async (t) => {
  const { cache } = withClock()
  const route = routeWith(POLICY)
  const gate = heldBack()
  const both = [ask(cache, route, REQUEST, gate.load), ask(cache, route, REQUEST, gate.load)]
  gate.resolve(answer('x', ['set-cookie', 'a=1']))
  t.match(await both[0], { source: 'load' })
  t.equal(await both[1], undefined)
})

t.test('who joined in on an answer that differs by a header asks for theirs', async (t) => {
  const { cache } = withClock()
  const route = routeWith(POLICY)
  const of = (language: string) => get('/v1/users/u1', { 'accept-language': language })
  const gate = heldBack()
  const [de, same, en] = [of('de'), of('de'), of('en')].map((request, i) =>
    ask(
      cache,
      route,
      request,
      i === 2
        ? async () => gate.load(undefined as never).then(() => answer('english', ['vary', 'accept-language']))
        : gate.load
    )
  )
  gate.resolve(answer('deutsch', ['vary', 'accept-language']))
  t.match(await de, { source: 'load' })
  t.match(await same, { source: 'coalesced' })
  t.equal(bodyOf(await same), 'deutsch')
  t.equal(bodyOf(await en), 'english')
})

t.test('variants are counted, and tags that cannot be told keep an answer out', async (t) => {
  const { cache } = withClock()
  const route = routeWith(POLICY)
  const { answer: kept } = (await ask(cache, route, REQUEST, async () => answer('v1')))!
  const before = cache.stats().bytes
  cache.addVariant(kept, 'br', Buffer.alloc(500))
  t.equal(cache.stats().bytes - before, 500)
  t.equal(kept.variants.get('br')?.length, 500)
  const untold = get('/v1/users/%ff')
  t.equal(await ask(cache, route, untold, never), undefined)
  cache.refresh(keyOf(route, untold)!, route, untold, never)
})

t.test('closing aborts what is being asked', async (t) => {
  const { cache } = withClock()
  const route = routeWith(POLICY)
  let signal: AbortSignal | undefined
  const gate = heldBack()
  const asked = ask(cache, route, REQUEST, (given) => {
    signal = given
    return gate.load(given)
  })
  await gate.wasAsked()
  t.equal(signal?.aborted, false)
  await cache.close()
  t.equal(signal?.aborted, true)
  gate.resolve(answer('late'))
  t.equal(bodyOf(await asked), 'late')
})
