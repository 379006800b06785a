import t from 'tap'
import { limitedAddress, parseNetworks } from '../src/door/address.ts'
import { guardPath } from '../src/door/path-guard.ts'
import { gcra } from '../src/limits/gcra.ts'
import { createRouteTable, UNSEEN } from '../src/routing/route-table.ts'
import { createRoutes } from '../src/routing/routes.ts'

t.test('the path guard', (t) => {
  const fine: [string, string][] = [
    ['/v1/posts', '/v1/posts'],
    ['/v1/posts/', '/v1/posts/'],
    ['/.well-known/jwks.json', '/.well-known/jwks.json'],
    ['/v1/posts?x=a//b;c%2F..', '/v1/posts'],
    ['/v1/tags/caf%C3%A9', '/v1/tags/café'],
    ['/v1/tags/a%20b%7E', '/v1/tags/a b~'],
    ['/v1/tags/%ef%bc%a1%e2%80%a6', '/v1/tags/\uff21\u2026'],
    ['/v1/a..b/...', '/v1/a..b/...']
  ]
  for (const [url, path] of fine) t.equal(guardPath(url, 8_192), path, url)
  const bad = [
    '*',
    'http://elsewhere/v1/posts',
    '//elsewhere/v1/posts',
    '/v1//posts',
    '/v1/../posts',
    '/v1/./posts',
    '/v1/posts/..',
    '/v1/%2e%2e/posts',
    '/v1/.%2E/posts',
    '/v1/posts%2fx',
    '/v1/posts%5cx',
    '/v1/posts\\x',
    '/v1/posts;a=b',
    '/v1/posts%3Bx',
    '/v1/%252e%252e/posts',
    '/v1/posts%00',
    '/v1/posts%0d%0ax',
    '/v1/posts%7f',
    '/v1/posts%zz',
    '/v1/posts%',
    '/v1/posts%ff',
    '/v1/auth/log%69n',
    '/%761/posts',
    '/v1/posts/%EF%BC%8E%EF%BC%8E/x',
    '/v1/posts/%e2%80%a5',
    '/v1/posts/x%ef%bc%8f..%ef%bc%8fy',
    '/v1/posts/x%ef%bc%bc..',
    '/v1/po sts',
    '/v1/pösts',
    '/v1/posts#x',
    '/v1/<posts>',
    '/v1/posts?a=é',
    '/v1/posts?a=\u0001'
  ]
  for (const url of bad) t.throws(() => guardPath(url, 8_192), { code: 'BAD_REQUEST' }, JSON.stringify(url))
  t.throws(() => guardPath(`/${'a'.repeat(8_192)}`, 8_192), { code: 'URI_TOO_LONG' })
  t.end()
})

t.test('addresses', (t) => {
  t.equal(limitedAddress('10.1.2.3'), '10.1.2.3')
  t.equal(limitedAddress('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::')
  t.equal(limitedAddress('2001:db8::6'), '2001:db8:0:0::', 'all of one /64 count as one')
  t.equal(limitedAddress('::1'), '0:0:0:0::')
  t.equal(limitedAddress('fe80::1%eth0'), 'fe80:0:0:0::')
  const networks = parseNetworks('10.0.0.0/8, 192.168.1.1,2001:db8::/32', 'X')
  for (const one of ['10.255.0.1', '192.168.1.1', '2001:db8:9::1']) t.ok(networks.has(one), one)
  for (const one of ['11.0.0.1', '192.168.1.2', '2001:db9::1', '', 'nonsense']) t.notOk(networks.has(one), one)
  for (const one of ['10.0.0.0/33', 'x', '10.0.0.0/', '10.0.0.0/-1', '::/129']) {
    t.throws(() => parseNetworks(one, 'LIMIT_EXEMPT'), { message: /LIMIT_EXEMPT/ }, one)
  }
  t.end()
})

t.test('gcra lets a burst and then the rate', (t) => {
  const policy = { burst: 5, intervalMs: 100 }
  let tat = 0
  const take = (now: number, want = 1) => {
    const standing = gcra(policy, tat, now, want)
    tat = standing.tat
    return standing
  }
  const burst = [0, 1, 2, 3, 4].map((i) => take(1_000 + i))
  t.strictSame(
    burst.map(({ granted }) => granted),
    [1, 1, 1, 1, 1]
  )
  const refused = take(1_010)
  t.equal(refused.granted, 0)
  t.equal(refused.retryMs, 90, 'one becomes free 100 ms after the first')
  t.equal(take(1_000 + 100).granted, 1)
  t.equal(take(1_000 + 101).granted, 0)
  t.equal(take(10_000, 10).granted, 5, 'a batch is granted as far as it fits')
  t.end()
})

t.test('rules of routes', (t) => {
  const bad: string[] = []
  const routes = createRoutes({
    expected: ['/v1/x', '/v1/live'],
    known: [
      { method: 'POST', path: '/v1/x/:id/y', auth: 'none' },
      { method: 'GET', path: '/v1/live', auth: 'required', stream: true, timeoutMs: 7 }
    ],
    timeoutMs: 1_000,
    onConflict: () => undefined,
    onBadRule: (service, { path }) => bad.push(`${service} ${path}`)
  })
  const of = (method: string, path: string) => routes.find(method, path)?.route
  t.match(of('POST', '/v1/x/1/y'), { service: UNSEEN, ignoresToken: true, needsToken: false, priority: 'high' })
  t.match(of('POST', '/v1/x/1/2/y'), { path: '*', ignoresToken: false, timeoutMs: 1_000, priority: 'high' })
  t.match(of('GET', '/v1/x/1/y'), { path: '*', priority: 'normal' })
  t.match(of('HEAD', '/v1/live'), { stream: true, needsToken: true, timeoutMs: 7 })
  t.equal(of('GET', '/v1/elsewhere'), undefined)

  const instance = { version: '1', instance: '1', url: 'http://127.0.0.1:1', weight: 1 }
  const rules = [
    { method: 'GET', path: '/v1/x/:id', auth: 'required', priority: 'low' },
    { method: 'GET', path: '/v1/live', auth: 'none' },
    { method: 'GET', path: '/v1/x/:id(', auth: 'none' }
  ] as const
  routes.update([{ service: 'x', ...instance, prefixes: ['/v1/x'], routes: [...rules] }], 0)
  t.match(of('GET', '/v1/x/7'), { service: 'x', needsToken: true, priority: 'low' })
  t.strictSame({ ...routes.find('GET', '/v1/x/7')?.params }, { id: '7' })
  t.match(of('POST', '/v1/x/1/y'), { service: 'x', ignoresToken: true }, 'what was known goes to who holds the prefix')
  t.match(of('GET', '/v1/live'), { needsToken: true }, 'nobody speaks for a prefix of another')
  t.strictSame(bad, ['x /v1/x/:id('])
  const window = of('GET', '/v1/x/7')?.latencies
  routes.update([{ service: 'x', ...instance, version: '2', prefixes: ['/v1/x'], routes: [rules[0]] }], 1)
  t.equal(of('GET', '/v1/x/7')?.latencies, window, 'what is known of latencies outlives a deploy')
  t.end()
})

t.test('the route table', (t) => {
  const conflicts: string[] = []
  const table = createRouteTable(['/v1/feed'], (...words) => conflicts.push(words.join(' ')))
  table.update(
    [
      { service: 'content', prefixes: ['/v1/posts', '/nonsense//x', '', '/'] },
      { service: 'media', prefixes: ['/v1/posts/media', '/.well-known/x.json'] }
    ],
    0
  )
  t.equal(table.find('/v1/posts'), 'content')
  t.equal(table.find('/v1/posts/1/comments'), 'content')
  t.equal(table.find('/v1/posts/media/1'), 'media', 'the longest wins')
  t.equal(table.find('/v1/postscript'), undefined, 'prefixes end with a segment')
  t.equal(table.find('/V1/posts'), undefined)
  t.equal(table.find('/.well-known/x.json'), 'media')
  t.equal(table.find('/'), undefined)
  t.equal(table.find('/v1/feed'), UNSEEN, 'known from a contract, not announced yet')
  t.equal(table.find('/x'.repeat(4_000)), undefined)
  t.equal(table.find(`/v1/posts${'/x'.repeat(4_000)}`), 'content')

  table.update([{ service: 'evil', prefixes: ['/v1/posts', '/v1/feed'] }], 1_000)
  table.update([{ service: 'evil', prefixes: ['/v1/posts', '/v1/feed'] }], 2_000)
  t.equal(table.find('/v1/posts'), 'content', 'a prefix stays with who holds it')
  t.equal(table.find('/v1/feed'), 'evil', 'what nobody held is free')
  t.strictSame(conflicts, ['/v1/posts content evil'], 'told once')
  table.update([{ service: 'evil', prefixes: ['/v1/posts'] }], 11 * 60_000)
  t.equal(table.find('/v1/posts'), 'evil', 'who was away for ten minutes has lost it')
  t.end()
})
