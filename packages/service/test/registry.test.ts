import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { RouteRules } from '@skerry/contracts'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import {
  announce,
  connectNats,
  createLogger,
  ensureBuckets,
  type Instance,
  prefixesOf,
  watchRegistry
} from '../src/index.ts'
import { readInstance } from '../src/instance.ts'
import { widgetRoutes } from './support/server.ts'

const stores = await useStores(t)
// Those that wait for heartbeats to expire do so beside each other, each in an account of its own.
t.jobs = 3
/** Connections to an account that has its buckets and nothing in them. */
const connecting = async () => {
  const nats = await stores.anotherAccount()
  const connect = (name: string) => connectNats({ ...nats, name })
  const first = await connect('first')
  await ensureBuckets(first)
  await first.close()
  return connect
}
const instance = (n: string, more: Partial<Instance> = {}): Instance => ({
  service: 'widgets',
  version: '1.0.0',
  instance: n,
  url: `http://127.0.0.1:${n}000`,
  weight: 1,
  prefixes: ['/v1/widgets'],
  ...more
})

t.test('who announces itself is seen, who leaves is gone at once, who dies is gone after its heartbeats', async (t) => {
  const connect = await connecting()
  const nc = await connect('watcher')
  const dying = await connect('dying')
  t.teardown(() => Promise.all([nc.close(), dying.close()]))
  await ensureBuckets(nc)
  const tables: string[][] = []
  const watch = await watchRegistry(nc, (all) => tables.push(all.map((i) => `${i.service}.${i.instance}`)))
  t.same(tables, [[]], 'told of the empty table at first')

  const one = await announce(nc, instance('1'))
  // Or the next heartbeat of the first, which takes the place of this one, may be delivered behind the second's.
  await waitFor(() => tables.at(-1)?.length === 1)
  await announce(dying, instance('2'))
  await waitFor(() => tables.at(-1)?.length === 2)
  t.same(tables, [[], ['widgets.1'], ['widgets.1', 'widgets.2']])

  const late: Instance[][] = []
  const second = await watchRegistry(nc, (all) => late.push(all))
  t.same(late, [[instance('1'), instance('2')]], 'who watches later begins with all')
  await second.close()

  const before = tables.length
  await dying.close()
  await waitFor(() => tables.length > before)
  t.same(tables.at(-1), ['widgets.1'], 'its last heartbeat has expired')
  t.equal(tables.length, before + 1, 'and heartbeats that repeat tell nothing new')

  await one.drain()
  await one.close()
  await waitFor(() => tables.at(-1)?.length === 0)
  await watch.close()
})

t.test(
  'the last instances of a service stay a while when they fall silent, and go at once when they leave',
  async (t) => {
    const connect = await connecting()
    const nc = await connect('watcher')
    const dying = await connect('dying')
    t.teardown(() => nc.close())
    await ensureBuckets(nc)
    const names = (all: Instance[]) => all.map(({ instance }) => instance)
    const [patient, hasty]: string[][][] = [[], []]
    const watches = [
      await watchRegistry(nc, (all) => patient!.push(names(all)), { lingerMs: 600_000 }),
      await watchRegistry(nc, (all) => hasty!.push(names(all)), { lingerMs: 1 })
    ]
    t.teardown(() => Promise.all(watches.map((watch) => watch.close())))
    await announce(dying, instance('3'))
    await waitFor(() => patient!.at(-1)?.[0] === '3' && hasty!.at(-1)?.[0] === '3')
    await dying.close()
    await waitFor(() => hasty!.at(-1)?.length === 0, { message: 'its time is over' })
    t.same(patient!.at(-1), ['3'], 'it may still answer')
    const next = await announce(nc, instance('4'))
    await waitFor(() => patient!.at(-1)?.[0] === '4')
    t.same(patient!.at(-1), ['4'], 'not beside one that says that it is there')
    await next.drain()
    await waitFor(() => patient!.at(-1)?.[0] !== '4')
    t.same(patient!.at(-1), ['3'], 'who leaves is gone at once')
  }
)

t.test('who falls silent without a word of it, because the bucket was purged, is gone as well', async (t) => {
  const connect = await connecting()
  const nc = await connect('watcher')
  const dying = await connect('dying')
  t.teardown(() => nc.close())
  await ensureBuckets(nc)
  const tables: string[][] = []
  const watch = await watchRegistry(nc, (all) => tables.push(all.map((i) => `${i.service}.${i.instance}`)), {
    lingerMs: 1
  })
  t.teardown(() => watch.close())
  const staying = await announce(nc, instance('1', { service: 'others' }))
  await announce(dying, instance('2'))
  await waitFor(() => tables.at(-1)?.length === 2)
  await dying.close()
  await (await jetstreamManager(nc)).streams.purge('KV_registry')
  const before = tables.length
  await waitFor(() => tables.length > before)
  t.same(tables.slice(before), [['others.1']])
  await staying.close()
})

t.test('an instance that comes back elsewhere replaces itself', async (t) => {
  const connect = await connecting()
  const nc = await connect('moving')
  t.teardown(() => nc.close())
  let seen: Instance[] = []
  const watch = await watchRegistry(nc, (all) => {
    seen = all
  })
  const first = await announce(nc, instance('7'))
  await first.close()
  const second = await announce(nc, instance('7', { url: 'http://127.0.0.1:9999', weight: 3 }))
  await waitFor(() => seen[0]?.url === 'http://127.0.0.1:9999')
  t.match(seen, [{ weight: 3 }])
  await second.close()
  await watch.close()
})

t.test('who leaves takes nothing from the process that has taken over its name', async (t) => {
  const connect = await connecting()
  const nc = await connect('taking over')
  t.teardown(() => nc.close())
  const leaving = await announce(nc, instance('8'))
  const staying = await announce(nc, instance('8', { url: 'http://127.0.0.1:8888' }))
  await leaving.drain()
  let seen: Instance[] = []
  const watch = await watchRegistry(nc, (all) => {
    seen = all
  })
  t.match(seen, [{ instance: '8', url: 'http://127.0.0.1:8888' }])
  await staying.close()
  await watch.close()
})

t.test('what does not fit is neither announced nor believed', async (t) => {
  const connect = await connecting()
  const nc = await connect('wrong')
  t.teardown(() => nc.close())
  await t.rejects(announce(nc, instance('1', { url: 'nowhere' })), /cannot announce/)
  await t.rejects(announce(nc, instance('a.b')), /cannot announce/)
  let seen: Instance[] = []
  const watch = await watchRegistry(nc, (all) => {
    seen = all
  })
  const js = jetstream(nc)
  await js.publish('$KV.registry.widgets.8', 'no JSON')
  await js.publish('$KV.registry.widgets.9', JSON.stringify(instance('9', { service: 'auth' })))
  const good = await announce(nc, instance('5'))
  await waitFor(() => seen.length > 0)
  t.same(
    seen.map((i) => i.instance),
    ['5'],
    'nobody speaks for another service'
  )
  await good.close()
  await watch.close()
})

t.test('what is said besides is optional, may be of another release, and is not believed blindly', async (t) => {
  const connect = await connecting()
  const nc = await connect('wider')
  t.teardown(() => nc.close())
  const lines: { dropped?: string[] }[] = []
  const warnings = () => lines.filter((line) => line.dropped !== undefined)
  const log = createLogger(
    { service: 'x', instance: '1', level: 'warn' },
    { write: (line: string) => lines.push(JSON.parse(line)) }
  )
  let seen: Instance[] = []
  const watch = await watchRegistry(
    nc,
    (all) => {
      seen = all
    },
    { log }
  )
  const cache = {
    scope: 'public' as const,
    ttl: 10,
    tags: ['profile:{id}'],
    endedBy: { 'users.profile.updated': ['profile:{userId}'] }
  }
  const routes: RouteRules[] = [
    { method: 'GET', path: '/v1/widgets/:id', auth: 'required', cache, limit: 'wide', priority: 'low', timeoutMs: 500 },
    { method: 'PUT', path: '/v1/widgets/:id', auth: 'optional', ends: ['profile:{caller}'], idempotent: true }
  ]
  const more = {
    zone: 'north-1',
    ops: 'http://127.0.0.1:9000',
    routes,
    contract: 'ab'.repeat(32),
    events: 'cd'.repeat(32)
  }
  const said = { ...instance('1', more), newer: { any: 'thing' } } as Instance
  const full = await announce(nc, said)
  await waitFor(() => seen.length === 1)
  t.same(seen, [said], 'and members that are not known are let through')
  t.same(warnings(), [])
  await full.close()

  const odd: object[] = [
    { method: 'GET', path: '/v1/(a+)+$', auth: 'none' },
    { method: 'GET', path: '/v1/a/../b/:x-y', auth: 'none' },
    { method: 'BREW', path: '/v1/a', auth: 'none' },
    { method: 'GET', path: '/v1/a', auth: 'sometimes' },
    { method: 'GET', path: '/v1/a', auth: 'none', limit: 'No Class' },
    { method: 'GET', path: '/v1/a', auth: 'none', timeoutMs: 0 },
    { method: 'GET', path: '/v1/a', auth: 'none', priority: 'utmost' },
    { method: 'GET', path: '/v1/a', auth: 'none', cache: { scope: 'public', ttl: -1 } },
    { method: 'GET', path: '/v1/a', auth: 'none', cache: { scope: 'public', ttl: 1, tags: ['a b'] } },
    { method: 'GET', path: '/v1/a', auth: 'none', cache: { scope: 'public', ttl: 1, endedBy: { '*': ['a'] } } },
    { method: 'GET', path: '/v1/a', auth: 'none', ends: 'all' }
  ]
  for (const rules of odd) await t.rejects(announce(nc, instance('1', { routes: [rules as RouteRules] })), /routes\/0/)
  await t.rejects(announce(nc, instance('1', { routes: Array.from({ length: 201 }, () => routes[0]!) })), /routes/)
  for (const wrong of [{ zone: 'a b' }, { ops: 'ftp://x' }, { contract: 'xyz' }, { events: 'xyz' }])
    await t.rejects(announce(nc, instance('1', wrong)), new RegExp(Object.keys(wrong)[0]!))

  const later = instance('2', {
    zone: 'a b',
    ops: 'ftp://x',
    contract: 'xyz',
    events: 'xyz',
    routes: [...odd, ...routes] as RouteRules[]
  })
  await jetstream(nc).publish('$KV.registry.widgets.2', JSON.stringify(later))
  await jetstream(nc).publish('$KV.registry.widgets.3', JSON.stringify(instance('3', { routes: 'all' as never })))
  await waitFor(() => seen.length === 2)
  const open = { method: 'GET', path: '/v1/a', auth: 'none' } as const
  const read: RouteRules[] = [{ ...open, auth: 'required' }, ...Array.from({ length: 7 }, () => open), ...routes]
  t.same(
    seen,
    [instance('2', { routes: read }), instance('3', { unreadRules: true })],
    'it takes traffic, without what is not understood'
  )
  const left = ['auth', 'limit', 'timeoutMs', 'priority', 'cache', 'cache', 'cache', 'ends'].map(
    (name) => `${name} of GET /v1/a`
  )
  t.match(warnings(), [
    { key: 'widgets.2', dropped: ['zone', 'ops', ...left, '3 of routes', 'contract', 'events'] },
    { key: 'widgets.3', dropped: ['routes'] }
  ])
  await watch.close()
})

t.test('what is not understood of a rule opens no route', (t) => {
  const read = (routes: unknown) => readInstance(instance('1', { routes: routes as never }))!.instance
  const rule = { method: 'POST', path: '/v1/a', auth: 'required' }
  t.same(read([{ ...rule, auth: 'admin' }]).routes, [rule])
  t.same(read([{ method: 'POST', path: '/v1/a' }]).routes, [rule], 'nor what it does not say')
  const odd = {
    endedSession: 'yes',
    idempotent: 'perhaps',
    stream: 1,
    timeoutMs: '5 s',
    priority: 7,
    limit: 5,
    cache: []
  }
  t.same(read([{ ...rule, ...odd, newer: { any: 'thing' } }]).routes, [{ ...rule, newer: { any: 'thing' } }])
  t.same(read([{ ...rule, ends: ['a', 'b c', 5, 'd'] }]).routes, [{ ...rule, ends: ['a', 'd'] }], 'what fits is ended')
  t.same(read([{ ...rule, ends: Array(20).fill('a') }]).routes, [{ ...rule, ends: Array(16).fill('a') }])
  t.notOk(read([{ ...rule, ...odd }]).unreadRules, 'it is known what it is about')

  for (const [what, routes] of Object.entries({
    'another method': [{ ...rule, method: 'QUERY' }],
    'another path': [rule, { ...rule, path: '/v1/:id(\\d+)' }],
    'no path': [{ auth: 'required' }],
    'no auth': [{ method: 'POST', path: '/v1/*' }],
    'no rule': [null],
    'too many': Array(201).fill(rule),
    'no list': { rule }
  }))
    t.equal(read(routes).unreadRules, true, what)
  t.equal(read(Array(201).fill(rule)).routes?.length, 200)
  for (const auth of ['none', 'optional'])
    t.notOk(read([{ ...rule, auth, method: 'QUERY' }]).unreadRules, 'what needs no token closes nothing')
  t.end()
})

t.test('a heartbeat stays well below what its bucket takes', async (t) => {
  const connect = await connecting()
  const nc = await connect('large')
  t.teardown(() => nc.close())
  const ends = Array.from({ length: 16 }, (_, i) => `${'x'.repeat(190)}${i}`)
  const routes: RouteRules[] = Array.from({ length: 20 }, (_, i) => ({
    method: 'PUT',
    path: `/v1/widgets/${i}`,
    auth: 'none',
    ends
  }))
  await t.rejects(announce(nc, instance('1', { routes })), /the rules of its 20 routes make 6\d{4} bytes, and 49152 is/)
})

t.test('prefixes come from the contracts', async (t) => {
  t.same(prefixesOf(widgetRoutes), ['/v1/widgets'])
  const paths = ['/v1/posts/:id/like', '/v1/posts', '/v1/feed', '/.well-known/jwks.json'].map((path) => ({
    ...widgetRoutes.list,
    path
  }))
  t.same(prefixesOf(paths), ['/.well-known/jwks.json', '/v1/feed', '/v1/posts'])
})
