import type { RouteRules } from '@skerry/contracts'
import type { Instance } from '@skerry/service'
import t from 'tap'
import { createRouteTable, UNSEEN } from '../../src/routing/route-table.ts'
import { createRoutes } from '../../src/routing/routes.ts'

const HOLD_MS = 600_000

t.test('a prefix is held for ten minutes after its service was seen last', async (t) => {
  const conflicts: string[] = []
  const table = createRouteTable([], (...words) => conflicts.push(words.join(' ')))
  const [a, b] = [
    { service: 'a', prefixes: ['/p'] },
    { service: 'b', prefixes: ['/p'] }
  ]
  table.update([a], 0)
  table.update([], 1_000)
  table.update([b], 1_000 + HOLD_MS)
  t.equal(table.find('/p'), 'a', 'counted from when it was seen last, to the last moment')
  t.strictSame(conflicts, ['/p a b'])
  table.update([b], 1_001 + HOLD_MS)
  t.equal(table.find('/p'), 'b')
  table.update([], 1_002 + HOLD_MS)
  table.update([a], 1_002 + 2 * HOLD_MS)
  t.equal(table.find('/p'), 'b', 'and the new one holds it as long')
  t.strictSame(conflicts, ['/p a b', '/p b a'])
  table.update([a, { service: 'c', prefixes: ['/p'] }], 1_002 + 2 * HOLD_MS)
  t.strictSame(conflicts, ['/p a b', '/p b a', '/p b c'], 'each claimant is told of')
})

t.test('nobody takes the prefix of a service that has been live for long without a change', async (t) => {
  const claimants = ['a', 'z'].map((service) => ({ service, prefixes: ['/p', '/p/own'] }))
  const holder = { service: 'm', prefixes: ['/p'] }
  for (const claimant of claimants) {
    const conflicts: string[] = []
    const table = createRouteTable([], (...words) => conflicts.push(words.join(' ')))
    const name = `claimed by ${claimant.service}`
    const all = [holder, claimant].sort((x, y) => (x.service < y.service ? -1 : 1))
    table.update([holder], 0)
    table.update(all, 10 * HOLD_MS)
    t.equal(table.find('/p'), 'm', `${name} beside it`)
    t.equal(table.find('/p/own'), claimant.service, 'what is free it gets')
    table.update([claimant], 20 * HOLD_MS)
    table.update([claimant], 21 * HOLD_MS)
    t.equal(table.find('/p'), 'm', `${name} after it has gone: it was there until then`)
    table.update(all, 21 * HOLD_MS)
    table.update([claimant], 30 * HOLD_MS)
    table.update([claimant], 31 * HOLD_MS + 1)
    t.equal(table.find('/p'), claimant.service, 'in the end it does')
    t.strictSame(conflicts, [`/p m ${claimant.service}`])
  }
  const conflicts: string[] = []
  const table = createRouteTable([], (...words) => conflicts.push(words.join(' ')))
  table.update([holder], 0)
  table.update([{ service: 'm', prefixes: [] }], 1_000)
  table.update([{ service: 'm', prefixes: [] }, claimants[1]!], 1_001 + HOLD_MS)
  t.equal(table.find('/p'), 'z', 'who is live and announces it no more has let go of it')
})

t.test('what may be a prefix', async (t) => {
  const conflicts: string[] = []
  const table = createRouteTable(['/v1/known'], (prefix) => conflicts.push(prefix))
  const good = ['/a', '/A.b_c~d-9/x', '/v2/deep/er/still']
  const bad = ['', '/', 'b', 'x/b', '/b/', '/c d', '/c%20', '/:id', '/*', '/d//e', '/é', '/f?x', '/b#']
  table.update([{ service: 's', prefixes: [...good, ...bad] }], 0)
  for (const prefix of good) t.equal(table.find(prefix), 's', prefix)
  for (const prefix of bad) t.equal(table.find(prefix === '' ? '/none' : prefix), undefined, prefix)
  t.equal(table.find('/v2/deep/er/still/below'), 's')
  t.equal(table.find('/v2/deep/er'), undefined, 'above a prefix is nothing')
  t.equal(table.find('/v1/known/x/y/z'), UNSEEN)
  t.equal(table.find('/v1'), undefined)
  t.strictSame(conflicts, [])
})

t.test('a path is looked at as deep as the deepest prefix, and no deeper', async (t) => {
  const table = createRouteTable(['/a'], () => {})
  t.equal(table.find('/a/b/c'), UNSEEN)
  table.update([{ service: 's', prefixes: ['/a/b/c'] }], 0)
  t.equal(table.find('/a/b/c'), 's')
  t.equal(table.find('/a/b/c/d/e'), 's', 'what was announced later is deeper')
  t.equal(table.find('/a/b'), UNSEEN)
  t.equal(createRouteTable([], () => {}).find('/a'), undefined, 'nothing is known at first')
})

const instance = { version: '1', instance: '1', url: 'http://127.0.0.1:1', weight: 1 }
const live = (service: string, prefixes: string[], routes?: readonly RouteRules[], version = '1'): Instance =>
  ({ service, ...instance, version, prefixes, ...(routes === undefined ? {} : { routes }) }) as Instance

function table(known: readonly RouteRules[] = [], expected: readonly string[] = []) {
  const bad: string[] = []
  const conflicts: string[] = []
  const routes = createRoutes({
    expected,
    known,
    timeoutMs: 1_000,
    onConflict: (...words) => conflicts.push(words.join(' ')),
    onBadRule: (service, { method, path }, reason) => bad.push(`${service} ${method} ${path}: ${reason}`)
  })
  const of = (method: string, path: string) => routes.find(method, path)?.route
  return { routes, of, bad, conflicts }
}

t.test('rules that cannot be read or used close what no rule names', async (t) => {
  const { routes, of, bad } = table()
  const named: RouteRules = { method: 'GET', path: '/x/named', auth: 'none' }
  const closed = { ...live('x', ['/x'], [named]), unreadRules: true }
  routes.update([live('x', ['/x'], [named]), live('y', ['/y'])], 0)
  t.equal(of('GET', '/x/other')?.needsToken, false)
  routes.update([live('x', ['/x'], [named], '2'), closed, live('y', ['/y'])], 0)
  t.match(of('GET', '/x/other'), { needsToken: true, ignoresToken: false })
  t.equal(of('POST', '/x/named')?.needsToken, true)
  t.match(of('GET', '/x/named'), { needsToken: false, ignoresToken: true }, 'what a rule names is as it says')
  t.equal(of('GET', '/y/other')?.needsToken, false, 'nor does it close anything of another service')
  routes.update([live('y', ['/y'])], 0)
  t.equal(of('GET', '/x/other')?.needsToken, true, 'also while it is away')
  routes.update([live('x', ['/x'], [named]), live('y', ['/y'])], 0)
  t.equal(of('GET', '/x/other')?.needsToken, false, 'until it says what can be read')

  t.strictSame(bad, [])
  routes.update([live('x', ['/x'], [{ method: 'GET', path: '/x/(a|b)', auth: 'required' }])], 0)
  t.strictSame(bad, ['x GET /x/(a|b): parentheses in a path'])
  t.equal(of('GET', '/x/a')?.needsToken, true)
  routes.update([live('x', ['/x'], [{ method: 'GET', path: '/x/(a|b)', auth: 'none' }])], 0)
  t.equal(of('GET', '/x/a')?.needsToken, false)
})

t.test('what a rule says, and what holds where it says nothing', async (t) => {
  const { routes, of } = table()
  const rules: RouteRules[] = [
    { method: 'GET', path: '/x/all', auth: 'required', stream: true, priority: 'low', timeoutMs: 5 },
    { method: 'POST', path: '/x/all', auth: 'optional', ends: ['x:{caller}'] },
    { method: 'GET', path: '/x/none', auth: 'none' },
    { method: 'DELETE', path: '/x/none', auth: 'none' },
    { method: 'GET', path: '/x/kept', auth: 'none', cache: { scope: 'public', ttl: 5 } }
  ]
  routes.update([live('x', ['/x'], rules)], 0)
  t.match(of('GET', '/x/all'), {
    ...{ service: 'x', method: 'GET', path: '/x/all', rules: rules[0], needsToken: true, ignoresToken: false },
    ...{ stream: true, priority: 'low', timeoutMs: 5, cached: undefined, endsOf: undefined }
  })
  const ending = of('POST', '/x/all')
  t.match(ending, { needsToken: false, ignoresToken: false, stream: false, priority: 'high', timeoutMs: 1_000 })
  t.strictSame(ending?.endsOf?.('/x/all', 'ada'), ['x:ada'], 'tags of the caller, too')
  t.match(of('GET', '/x/none'), { needsToken: false, ignoresToken: true, priority: 'normal' })
  t.match(of('DELETE', '/x/none'), { method: 'DELETE', priority: 'high' })
  t.match(of('GET', '/x/kept')?.cached, { shared: true, ttlMs: 5_000 })
  t.strictSame([...routes.announced()], rules)
  t.equal(of('HEAD', '/x/kept'), of('GET', '/x/kept'), 'HEAD is as GET')
  t.equal(routes.holder('/x/anything'), 'x')
  t.equal(routes.holder('/y'), undefined)
})

t.test('a path of a service that no rule describes', async (t) => {
  const { routes, of } = table()
  routes.update([live('x', ['/x'], [{ method: 'GET', path: '/x/:id', auth: 'required' }])], 0)
  const plain = {
    ...{ service: 'x', method: '*', path: '*', rules: undefined, needsToken: false, ignoresToken: false },
    ...{ stream: false, timeoutMs: 1_000, cached: undefined, endsOf: undefined }
  }
  t.match(of('GET', '/x/a/b'), { ...plain, priority: 'normal' })
  t.match(of('HEAD', '/x/a/b'), { ...plain, priority: 'normal' })
  t.match(of('POST', '/x/a'), { ...plain, priority: 'high' })
  t.match(of('TRACE', '/x/a'), { ...plain, priority: 'high' })
  t.equal(of('POST', '/x/a'), of('PUT', '/x/b'), 'one for all, whose latencies are counted together')
  t.not(of('POST', '/x/a')?.latencies, of('GET', '/x/a/b')?.latencies)
  t.strictSame(routes.find('GET', '/x/a/b')?.params, {})
  t.equal(of('GET', '/X/a'), undefined, 'case counts')
  routes.update([live('x', ['/x'], [{ method: 'GET', path: '/x/fixed', auth: 'required' }])], 1)
  t.match(of('GET', '/x/fixed'), { path: '/x/fixed' })
  t.match(of('GET', '/x/other'), { path: '*', needsToken: false })
  routes.update([live('x', ['/x'], [{ method: 'GET', path: '/x/:id', auth: 'required' }])], 2)
  t.strictSame({ ...routes.find('GET', `/x/${'y'.repeat(8_192)}`)?.params }, { id: 'y'.repeat(8_192) })
})

t.test('a path that may be taken for one that a rule names is as closed as that', async (t) => {
  const { routes, of } = table()
  routes.update(
    [
      live(
        'x',
        ['/x'],
        [
          { method: 'GET', path: '/x/me', auth: 'required', cache: { scope: 'private', ttl: 5 } },
          { method: 'GET', path: '/x/:id', auth: 'none' },
          { method: 'GET', path: '/x/ME.txt', auth: 'none' },
          { method: 'GET', path: '/x/Users/:id/Mail', auth: 'required' },
          { method: 'POST', path: '/x/login', auth: 'none', limit: 'sign-in' },
          { method: 'GET', path: '/x/open/me', auth: 'none' }
        ]
      ),
      live('y', ['/x/y'], [{ method: 'GET', path: '/x/y/z', auth: 'optional' }])
    ],
    0
  )
  const closed = ['/x/me/', '/x/ME', '/x/Me/', '/x/me.json', '/x/ME.', '/x/me ', '/x/m\uff45', '/x/me/.', '/x/\u2133E']
  closed.push('/x/me.longer-than-8', '/x/me.tar_gz', '/x/me.json.json', '/x/me.a.b.c', '/x/me/.json', '/x/me.json/')
  for (const path of closed) t.match(of('GET', path), { service: 'x', needsToken: true, cached: undefined }, path)
  t.equal(of('HEAD', '/x/ME')?.needsToken, true)
  for (const path of ['/x/users/1/mail', '/x/USERS/ada/mail/', '/x/Users/1/mail'])
    t.equal(of('GET', path)?.needsToken, true, path)
  for (const path of ['/x/LOGIN', '/x/login/', '/x/Login'])
    t.match(of('POST', path), { rules: { limit: 'sign-in' }, needsToken: false, ignoresToken: false }, path)
  t.match(of('GET', '/x/ME.txt'), { path: '/x/ME.txt', needsToken: false }, 'unless a rule names it literally')
  for (const path of ['/x/you', '/x/YOU', '/x/You/', '/x/open/ME', '/x/y/ME', '/x/y/Z'])
    t.equal(of('GET', path)?.needsToken, false, path)
  t.equal(of('POST', '/x/ME')?.needsToken, false, 'another method has no rule')
  t.equal(of('GET', '/x/ME'), of('GET', '/x/me/'), 'one route for all')
  t.not(of('GET', '/x/me'), of('GET', '/x/me/'))
})

t.test('all below a path, and what no rule names', async (t) => {
  for (const unnamed of ['required', 'optional', 'none'] as const) {
    const routes = createRoutes({
      ...{ expected: [], known: [], timeoutMs: 1_000, unnamed, onConflict: () => {} },
      onBadRule: (_service, _rule, reason) => t.fail(reason)
    })
    routes.update(
      [
        live(
          'x',
          ['/x'],
          [
            { method: 'GET', path: '/x/admin/*', auth: 'required' },
            { method: 'GET', path: '/x/admin/login', auth: 'none' },
            { method: 'GET', path: '/x/docs/*', auth: 'none' },
            { method: 'GET', path: '/x/docs', auth: 'optional' }
          ]
        )
      ],
      0
    )
    const of = (path: string) => routes.find('GET', path)?.route
    for (const path of ['/x/admin', '/x/admin/', '/x/admin/a/b', '/x/ADMIN', '/x/Admin/a', '/x/admin/LOGIN/x'])
      t.equal(of(path)?.needsToken, true, path)
    t.match(of('/x/admin/login'), { needsToken: false, ignoresToken: true })
    t.match(of('/x/docs/a/b'), { needsToken: false, ignoresToken: true })
    t.match(of('/x/docs'), { needsToken: false, ignoresToken: false })
    t.match(of('/x/a'), { needsToken: unnamed === 'required', ignoresToken: unnamed === 'none' })
    t.match(of('/x'), { needsToken: unnamed === 'required', ignoresToken: unnamed === 'none' })
  }
})

t.test('rules that cannot be used are left out, or what of them cannot, and said', async (t) => {
  const { routes, of, bad } = table()
  const get = (path: string, rest: Partial<RouteRules> = {}): RouteRules => ({
    method: 'GET',
    path,
    auth: 'none',
    ...rest
  })
  routes.update(
    [
      live(
        'x',
        ['/x'],
        [
          get('/x/(a)'),
          get('/x/a)'),
          get('/x/wrong', { cache: { scope: 'private', ttl: 5 } }),
          get('/x/mine', { auth: 'required', cache: { scope: 'private', ttl: 1e9 }, ends: ['x'.repeat(200)] }),
          get('/x/fine'),
          get('/x/fine', { timeoutMs: 7 }),
          get('/x/trace', { method: 'TRACE' as never }),
          get('/y/elsewhere')
        ]
      )
    ],
    0
  )
  t.strictSame(bad, [
    'x GET /x/(a): parentheses in a path',
    'x GET /x/a): parentheses in a path',
    'x GET /x/wrong: the cache policy of GET /x/wrong: private answers need a token',
    'x GET /x/mine: the cache policy of GET /x/mine: times are 0 to 604800 seconds'
  ])
  t.match(of('GET', '/x/wrong'), { path: '/x/wrong', cached: undefined })
  t.match(of('GET', '/x/mine'), { needsToken: true, cached: undefined, endsOf: undefined }, 'nobody comes in by it')
  t.match(of('GET', '/x/fine'), { timeoutMs: 1_000 }, 'the first of two counts')
  t.match(of('TRACE', '/x/trace'), { path: '*' }, 'a method that no contract has')
  t.equal(of('GET', '/y/elsewhere'), undefined)
  t.strictSame(
    [...routes.announced()].map(({ path, cache }) => [path, cache]),
    [
      ['/x/wrong', undefined],
      ['/x/mine', undefined],
      ['/x/fine', undefined]
    ],
    'only what is used is told on'
  )
})

t.test('a rule counts below a prefix of its service only, with parameters and wildcards', async (t) => {
  const { routes, of, conflicts } = table()
  const rule = (path: string): RouteRules => ({ method: 'GET', path, auth: 'required' })
  const [a, b] = [
    live('a', ['/a'], [rule('/a/:id'), rule('/a/files/*'), rule('/a/:id/x/:other'), rule('/b/:id')]),
    live('b', ['/b', '/a'], [rule('/b/:id/x'), rule('/a/mine')])
  ]
  routes.update([a, b], 0)
  t.match(of('GET', '/a/1'), { service: 'a', path: '/a/:id' })
  t.match(of('GET', '/a/files/x/y'), { service: 'a', path: '/a/files/*' })
  t.match(of('GET', '/a/1/x/2'), { service: 'a', path: '/a/:id/x/:other' })
  t.match(of('GET', '/b/1'), { service: 'b', path: '*' }, 'a does not speak for b')
  t.match(of('GET', '/b/1/x'), { service: 'b', path: '/b/:id/x' })
  t.match(of('GET', '/a/mine'), { service: 'a', path: '/a/:id' }, 'nor b for a')
  t.strictSame(conflicts, ['/a a b'])
  routes.update([b], 1)
  routes.update([b], HOLD_MS + 2)
  t.match(of('GET', '/a/mine'), { service: 'b', path: '/a/mine' }, 'a new holder speaks for the prefix')
  t.match(of('GET', '/a/1'), { service: 'b', path: '*' }, 'and the rules of the old one are over')
})

t.test('a rule of the prefix above says nothing below the prefix of another', async (t) => {
  const { routes, of } = table()
  const rules: RouteRules[] = [
    { method: 'GET', path: '/a/:id', auth: 'none' },
    { method: 'POST', path: '/a/*', auth: 'none' }
  ]
  routes.update([live('a', ['/a'], rules), live('b', ['/a/b'])], 0)
  t.match(of('GET', '/a/c'), { service: 'a', ignoresToken: true })
  t.match(of('GET', '/a/b'), { service: 'b', path: '*', ignoresToken: false })
  t.match(of('POST', '/a/c/x'), { service: 'a', path: '/a/*' })
  t.match(of('POST', '/a/b/x'), { service: 'b', path: '*', ignoresToken: false })
  t.strictSame(routes.find('GET', '/a/b')?.params, {})
})

t.test('the router is built anew for what is new, and for nothing else', async (t) => {
  const { routes, of } = table()
  const rule: RouteRules = { method: 'GET', path: '/x/:id', auth: 'required' }
  const now = live('x', ['/x'], [rule])
  routes.update([now], 0)
  const before = of('GET', '/x/1')
  routes.update([{ ...now, instance: '2', url: 'http://127.0.0.1:2' } as Instance], 1)
  t.equal(of('GET', '/x/1'), before, 'a heartbeat is nothing new')
  routes.update([live('x', ['/x'], [{ ...rule, auth: 'none' }])], 2)
  t.match(of('GET', '/x/1'), { needsToken: false, ignoresToken: true })
  t.equal(of('GET', '/x/1')?.latencies, before?.latencies)
  routes.update([live('x', ['/x', '/y'], [rule, { ...rule, path: '/y/:id' }])], 3)
  t.match(of('GET', '/y/1'), { path: '/y/:id', needsToken: true })
  t.not(of('GET', '/y/1')?.latencies, before?.latencies, 'each route has its own')
})

t.test('versions side by side speak together; who is away keeps its rules', async (t) => {
  const { routes, of } = table()
  const rule = (path: string): RouteRules => ({ method: 'GET', path, auth: 'required' })
  const [one, two] = [live('x', ['/x'], [rule('/x/old')]), live('x', ['/x'], [rule('/x/new')], '2')]
  routes.update([one, two, live('y', ['/y'], [rule('/y/1')])], 0)
  t.match(of('GET', '/x/old'), { path: '/x/old' })
  t.match(of('GET', '/x/new'), { path: '/x/new' })
  routes.update([two], 1)
  t.match(of('GET', '/x/old'), { path: '*' }, 'gone with its version')
  t.match(of('GET', '/y/1'), { service: 'y', needsToken: true }, 'nobody comes in because a service is away')
  routes.update([two, live('y', ['/y'])], 2)
  t.match(of('GET', '/y/1'), { path: '*' }, 'a service that is there says what holds')
})

t.test('a rule that is known beforehand belongs to who comes, once for each', async (t) => {
  const known: RouteRules[] = [{ method: 'GET', path: '/k/:id', auth: 'required', timeoutMs: 9 }]
  const { routes, of } = table(known, ['/k'])
  t.match(of('GET', '/k/1'), { service: UNSEEN, timeoutMs: 9, needsToken: true })
  t.strictSame([...routes.announced()], known)
  t.equal(of('GET', '/k/1'), of('GET', '/k/2'))
  const unseen = of('GET', '/k/1')
  routes.update([live('k', ['/k'])], 0)
  const own = of('GET', '/k/1')
  t.match(own, { service: 'k', timeoutMs: 9 })
  t.not(own?.latencies, unseen?.latencies)
  t.equal(of('GET', '/k/2'), own)
  t.strictSame({ ...routes.find('GET', '/k/7')?.params }, { id: '7' })
  routes.update([live('k', ['/k'], [{ ...known[0]!, timeoutMs: 3 }])], 1)
  t.match(of('GET', '/k/1'), { service: 'k', timeoutMs: 3 }, 'what is announced outranks what was known')
})
