import { createLogger } from '@skerry/service'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { type FixedInstance, type FixedListOptions, openFixedList } from '../src/alone/fixed-list.ts'
import { resolveAll } from '../src/alone/names.ts'
import { parseRoutes } from '../src/alone/routes-text.ts'
import { parseRules } from '../src/alone/rules-text.ts'

const FEED = { method: 'GET', path: '/feed/:id', auth: 'none' }

/** A list whose texts, names and log are the test's. */
async function open(t: Test, routes: string, options: Partial<FixedListOptions> = {}) {
  const state = {
    routes,
    rules: '[]',
    names: {} as Record<string, string[]>,
    resolved: 0,
    live: [] as FixedInstance[],
    changes: 0,
    lines: [] as Array<{ level: number; msg: string }>,
    urls: () => state.live.map(({ url }) => url)
  }
  const log = createLogger(
    { service: 'gateway', instance: '1', level: 'info' },
    { write: (line) => state.lines.push(JSON.parse(line)) }
  )
  const make = () =>
    openFixedList({
      read: async () => {
        if (state.routes === 'gone') throw new Error('ENOENT: no such file')
        return state
      },
      onChange: (live) => {
        state.live = live
        state.changes++
      },
      log,
      refreshMs: 600_000,
      anonymous: false,
      resolve: async (name) => {
        state.resolved++
        if (state.names[name] === undefined) throw new Error(`ENOTFOUND ${name}`)
        return [...state.names[name]]
      },
      ...options
    })
  return { state, make, list: await closing(t, make()) }
}

async function closing<T extends { close(): Promise<void> }>(t: Test, opening: Promise<T>): Promise<T> {
  const opened = await opening
  t.teardown(() => opened.close())
  return opened
}

t.test('routes are read as they are written', async (t) => {
  const text = `
    # the feed has two
    /feed=http://127.0.0.1:9001, http://127.0.0.1:9002/
    /v1/posts/ = https://posts.example:8443;/my-feed=http://localhost:1 # a comment
    /My_Feed=http://[::1]:80`
  t.same(
    parseRoutes(text).map(({ prefix, service, origins }) => [prefix, service, ...origins.map(({ url }) => url.origin)]),
    [
      ['/feed', 'feed', 'http://127.0.0.1:9001', 'http://127.0.0.1:9002'],
      ['/v1/posts', 'v1-posts', 'https://posts.example:8443'],
      ['/my-feed', 'my--feed', 'http://localhost:1'],
      ['/My_Feed', 'route-my-feed-dc8b8baeda30', 'http://[::1]']
    ]
  )
  t.same(
    parseRoutes('/feed=http://a:1*3, http://[::1]:2 * 0.5,https://c*1000,http://d').flatMap(({ origins }) =>
      origins.map(({ url, weight }) => [url.origin, weight])
    ),
    [
      ['http://a:1', 3],
      ['http://[::1]:2', 0.5],
      ['https://c', 1_000],
      ['http://d', 1]
    ],
    'an address may have a weight'
  )
  const prefixes = [
    '/a-b',
    '/a/b',
    '/a--b',
    '/a-/b',
    '/a/-b',
    '/A/b',
    '/a_b',
    '/a.b',
    '/1',
    '/at/1',
    `/${'x'.repeat(80)}`,
    `/${'x'.repeat(81)}`
  ]
  const services = parseRoutes(prefixes.map((prefix) => `${prefix}=http://h`).join(';')).map(({ service }) => service)
  t.equal(new Set(services).size, prefixes.length, 'no two prefixes are one service')
  for (const service of services) t.match(service, /^[a-z][a-z0-9-]{0,63}$/)
})

t.test('a route that does not fit is named, with what would', async (t) => {
  const bad: Array<[string, RegExp]> = [
    ['', /there is no route: give one, as in \/feed=http/],
    ['# nothing', /there is no route/],
    ['/feed', /route "\/feed" has no address: write it as/],
    ['feed=http://a', /does not begin with a path/],
    ['/=http://a', /does not begin with a path/],
    ['/a/../b=http://a', /does not begin with a path/],
    ['/a%2fb=http://a', /does not begin with a path/],
    ['/feed=', /route \/feed has "", which is no address: write it as http:\/\/host:port/],
    ['/feed=http://a,', /has "", which is no address/],
    ['/feed=a:9001', /has "a:9001", which is no address/],
    ['/feed=ftp://a', /which is no address/],
    ['/feed=http:a', /which is no address/],
    ['/feed=http://u:secret@a', /^route \/feed has a user in an address: leave it out/],
    ['/feed=http://a/v1', /has http:\/\/a with a path: leave it out/],
    ['/feed=http://a?x', /with a path/],
    ['/feed=http://a,http://a:80*2', /route \/feed names http:\/\/a twice: give it a weight, as in http:\/\/a\*2/],
    ...['', '0', '0.0', '-1', '1001', 'x', '1e3', '0x1', '3*', '.5', '1.2345', 'NaN', '3/v1'].map(
      (weight): [string, RegExp] => [
        `/feed=http://a*${weight}`,
        /no address: write it as|route \/feed has http:\/\/a with the weight ".*": give a number above 0, up to 1000, as in http:\/\/a\*3/
      ]
    ),
    ['/feed=http://a;/feed=http://b', /route \/feed is there twice: give all its addresses in one/],
    [Array.from({ length: 1_001 }, (_, i) => `/r${i}=http://a`).join('\n'), /1001 routes, and 1000 at most/]
  ]
  for (const [text, message] of bad) t.throws(() => parseRoutes(text), message, text.slice(0, 40))
})

t.test('rules are checked, and the entry that does not fit is named', async (t) => {
  const rules = [
    FEED,
    {
      method: 'GET',
      path: '/feed',
      auth: 'optional',
      cache: { scope: 'public', ttl: 5, tags: ['feed'], vary: ['accept-language'] },
      timeoutMs: 500
    },
    {
      method: 'POST',
      path: '/feed',
      auth: 'required',
      limit: 'sign-in',
      priority: 'high',
      idempotent: true,
      ends: ['feed']
    }
  ]
  t.same(parseRules(JSON.stringify(rules)), rules)
  const bad: Array<[unknown, RegExp]> = [
    [{}, /the rules are no array: write \[\{"method"/],
    [[FEED, { ...FEED, path: 'feed' }], /^rule 2 \(GET feed\): path must match pattern/],
    [[{ ...FEED, auth: 'maybe' }], /^rule 1 \(GET \/feed\/:id\): auth must be one of required, optional, none$/],
    [[{ ...FEED, cash: {} }], /^rule 1 .*: cash is not known here: leave it out/],
    [
      [{ ...FEED, cache: { scope: 'public', ttl: 1, stale: 1 } }],
      /^rule 1 .*: cache.stale is not known here: leave it out$/
    ],
    [
      [{ ...FEED, cache: { scope: 'public', ttl: 1, vary: ['Accept'] } }],
      /^rule 1 .*: cache.vary.0 must match pattern/
    ],
    [[{ ...FEED, path: '/feed/:1' }], /^rule 1 .*: path must match pattern/],
    [[{ ...FEED, cache: { scope: 'public' } }], /^rule 1 .*: cache must have required properties ttl/],
    [[{ ...FEED, method: 'POST', cache: { scope: 'public', ttl: 1 } }], /only answers to GET can be kept/],
    [[{ ...FEED, bodyLimit: 1_000 }], /bodyLimit is of streamed bodies/],
    [[{ ...FEED, body: 'stream', cache: { scope: 'public', ttl: 1 } }], /streamed bodies are not kept/],
    [[null], /^rule 1: must be object/]
  ]
  for (const [value, message] of bad) t.throws(() => parseRules(JSON.stringify(value)), message)
  t.throws(() => parseRules('[{]'), /^the rules are not JSON: /)
})

t.test('each address is an instance with its rules; a name is all its addresses', async (t) => {
  const { state, list } = await open(
    t,
    '/feed=http://127.0.0.1:9001,http://feed.internal:9002;/other=http://[::1]:9003'
  )
  t.same(
    state.urls(),
    ['http://127.0.0.1:9001', 'http://feed.internal:9002', 'http://[::1]:9003'],
    'never resolved yet'
  )
  t.equal(state.resolved, 1, 'an address is not asked for')
  state.names['feed.internal'] = ['10.0.0.2', '10.0.0.1', 'fd00::1']
  state.rules = JSON.stringify([FEED, { method: 'GET', path: '/other', auth: 'none' }])
  t.equal(await list.reload(), true)
  t.same(state.urls(), [
    'http://127.0.0.1:9001',
    'http://10.0.0.1:9002',
    'http://10.0.0.2:9002',
    'http://[fd00::1]:9002',
    'http://[::1]:9003'
  ])
  t.same(state.live[1], {
    service: 'feed',
    version: 'fixed',
    instance: '10-0-0-1_9002',
    url: 'http://10.0.0.1:9002',
    weight: 1,
    prefixes: ['/feed'],
    routes: [FEED]
  })
  t.same(state.live.at(-1)?.routes, [{ method: 'GET', path: '/other', auth: 'none' }])
  t.equal(new Set(state.live.map(({ instance }) => instance)).size, 5)
})

t.test('a weight is that of each address of a name, and changes without a new connection', async (t) => {
  const { state, list } = await open(t, '/feed=http://feed.internal:80*3,http://10.0.0.2,http://10.0.0.3*0.5')
  const weights = () => state.live.map(({ url, weight }) => `${url} ${weight}`)
  state.names['feed.internal'] = ['10.0.0.1', '10.0.0.2']
  t.equal(await list.reload(), true)
  t.same(weights(), ['http://10.0.0.1 3', 'http://10.0.0.2 3', 'http://10.0.0.3 0.5'], 'of two the first')
  state.routes = '/feed=http://10.0.0.1*2'
  t.equal(await list.reload(), true)
  t.same(weights(), ['http://10.0.0.1 2'])
})

t.test('the name of a certificate stays, and so does localhost', async (t) => {
  const { state } = await open(t, '/feed=https://feed.example,http://localhost:9001')
  t.same(state.urls(), ['https://feed.example', 'http://localhost:9001'])
  t.equal(state.resolved, 0)
})

t.test('names are looked at again; while nobody can say, the last answer holds', async (t) => {
  const { state } = await open(t, '/feed=http://feed.internal:80', { refreshMs: 5 })
  const urls = (...expected: string[]) => waitFor(() => JSON.stringify(state.urls()) === JSON.stringify(expected))
  state.names['feed.internal'] = ['10.0.0.1', '10.0.0.2']
  await urls('http://10.0.0.1', 'http://10.0.0.2')
  state.names['feed.internal'] = ['10.0.0.3']
  await urls('http://10.0.0.3')
  for (const away of [undefined, []]) {
    const { changes, resolved } = state
    if (away === undefined) delete state.names['feed.internal']
    else state.names['feed.internal'] = away
    await waitFor(() => state.resolved > resolved + 2)
    t.equal(state.changes, changes)
  }
  t.same(state.urls(), ['http://10.0.0.3'])
  t.equal(
    state.lines.filter(({ msg }) => /does not resolve/.test(msg)).length,
    2,
    'one line each time that it goes away'
  )
  state.names['feed.internal'] = ['10.0.0.4']
  await urls('http://10.0.0.4')
})

t.test('what changes is taken over by itself; what does not fit is refused once, and the old list stays', async (t) => {
  const { state, list } = await open(t, '/feed=http://127.0.0.1:1', { refreshMs: 5 })
  state.routes = '/feed=http://127.0.0.1:1\n/other=http://127.0.0.1:2'
  await waitFor(() => state.live.length === 2)
  const refusals = () => state.lines.filter(({ level }) => level === 50).map(({ msg }) => msg)
  const bad: Array<[string, RegExp]> = [
    ['/feed', /keeping the current ones: route "\/feed" has no address/],
    ['gone', /keeping the current ones: ENOENT/]
  ]
  const good = state.routes
  for (const [routes, message] of bad) {
    const before = refusals().length
    state.routes = routes
    await waitFor(() => refusals().length > before)
    t.match(refusals().slice(before), [message])
    t.equal(await list.reload(), false)
    t.equal(refusals().length, before + 2, 'said once by itself, and to who asks')
    state.routes = good
    t.equal(await list.reload(), true)
  }
  t.same(state.urls(), ['http://127.0.0.1:1', 'http://127.0.0.1:2'])
  state.routes = '/other=http://127.0.0.1:2'
  state.rules = '[{"method":"GET","path":"/feed","auth":"none"}]'
  await waitFor(() => /rule 1 \(GET \/feed\) is below no route: there are \/other/.test(refusals().at(-1) ?? ''))
  t.same(state.urls(), ['http://127.0.0.1:1', 'http://127.0.0.1:2'], 'routes and rules change together or not at all')
  state.rules = '[]'
  await waitFor(() => state.live.length === 1)
})

t.test('rules that need to know who asks are refused where nothing verifies tokens', async (t) => {
  const { state, make, list } = await open(t, '/feed=http://127.0.0.1:1', { anonymous: true })
  state.rules = JSON.stringify([FEED, { method: 'POST', path: '/feed', auth: 'required' }])
  t.equal(await list.reload(), false)
  await t.rejects(
    make(),
    /^rule 2 \(POST \/feed\) says auth "required", but there are no keys.*give JWKS_URL \(--jwks\)/
  )
  state.rules = JSON.stringify([{ ...FEED, auth: 'optional', cache: { scope: 'private', ttl: 5 } }])
  await t.rejects(make(), /says a private cache, but there are no keys/)
  state.rules = JSON.stringify([{ ...FEED, auth: 'optional' }])
  t.equal(await list.reload(), true)
  state.routes = '/feed'
  await t.rejects(make(), /has no address/, 'the first reading is not forgiven')
})

t.test('names of this machine are resolved as it does it', async (t) => {
  const found = await resolveAll('localhost')
  t.ok(found.includes('127.0.0.1') || found.includes('::1'), found.join())
  await t.rejects(resolveAll('nobody.invalid'), { code: /^(ENOTFOUND|EAI_AGAIN)$/, syscall: 'getaddrinfo' })
})
