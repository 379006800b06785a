import { startRedisServer } from '@skerry/cache/test/redis-server'
import { connectNats, type NatsConnection } from '@skerry/service'
import { useStores, waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { createPurger, type Purger } from '../../src/cache/purger.ts'
import type { ResponseCache } from '../../src/cache/response-cache.ts'
import { answer, ask, bodyOf, get, never, openGatewayCache, QUIET, routeWith, rulesWith } from '../helpers/cache.ts'
import { cuttable } from '../helpers/cuttable.ts'

const RULES = rulesWith({
  scope: 'public',
  ttl: 600,
  tags: ['profile:{id}'],
  endedBy: { 'users.profile.updated': ['profile:{userId}'], 'auth.account.deleted': ['profile:{userId}'] }
})
const route = routeWith(RULES.cache!)
const byTime = routeWith({ scope: 'public', ttl: 600 }, { path: '/v1/tags/:id' })

const stores = await useStores(t)
const redis = await startRedisServer(t)
const service = await connect(t, stores.nats.url)

async function connect(t: Test, url: string): Promise<NatsConnection> {
  const nc = await connectNats({ ...stores.nats, url, name: 'purger-test' })
  t.teardown(() => nc.close())
  return nc
}

async function publish(subject: string, data: unknown): Promise<void> {
  service.publish(subject, typeof data === 'string' ? data : JSON.stringify(data))
  await service.flush()
}

type Calls = { ended: string[][]; unheard: number }
type OneGateway = { cache: ResponseCache; purger: Purger; lines: string[] } & Calls

/** A gateway's cache and purger, which listens when this resolves. */
async function openGateway(t: Test, nc: NatsConnection, prefix: string, rules = [RULES]): Promise<OneGateway> {
  const { cache } = await openGatewayCache(t, { url: redis.url, prefix })
  const calls: Calls = { ended: [], unheard: 0 }
  const lines: string[] = []
  const purger = createPurger({
    nc,
    cache: {
      endHere: (tags) => {
        calls.ended.push([...tags])
        return cache.endHere(tags)
      },
      endUnheard: async () => {
        await cache.endUnheard()
        calls.unheard++
      }
    },
    log: { ...QUIET, warn: (_details: unknown, message?: string) => void lines.push(message ?? '') }
  })
  t.teardown(() => purger.close())
  purger.update(rules)
  if (rules.length > 0) await waitFor(() => calls.unheard === 1)
  return Object.assign(calls, { cache, purger, lines })
}

t.test('an event ends answers of all gateways', async (t) => {
  const here = await openGateway(t, await connect(t, stores.nats.url), 'all:')
  const there = await openGateway(t, await connect(t, stores.nats.url), 'all:')
  const ada = get('/v1/users/ada')
  const bob = get('/v1/users/bob')
  const fill = async (version: string) => {
    for (const { cache } of [here, there])
      for (const request of [ada, bob]) await ask(cache, route, request, async () => answer(version))
  }
  await fill('v1')
  for (const subject of ['users.profile.updated.v1', 'users.profile.updated.v2.7', 'auth.account.deleted.v1.0']) {
    await publish(subject, { userId: 'ada', more: [] })
    for (const { cache } of [here, there]) {
      await waitFor(() => cache.find(ada.target) === undefined, { message: subject })
      t.equal(bodyOf(cache.find(bob.target)), 'v1', 'and no others')
    }
    // Both have told Redis when neither has anything under way.
    await Promise.all([here.cache.endHere(['settled']), there.cache.endHere(['settled'])])
    await fill('v1')
  }
  await publish('users.profile.created.v1', { userId: 'bob' })
  await publish('users.profile.updated.v1', { userId: 'ada' })
  await waitFor(() => here.cache.find(ada.target) === undefined)
  t.equal(bodyOf(here.cache.find(bob.target)), 'v1', 'what is not declared ends nothing')
})

t.test('a load that began before an event does not outlive it', async (t) => {
  const { cache, ended } = await openGateway(t, await connect(t, stores.nats.url), 'race:')
  const request = get('/v1/users/race')
  const { promise, resolve } = Promise.withResolvers<ReturnType<typeof answer>>()
  let asked = false
  const early = ask(cache, route, request, () => {
    asked = true
    return promise
  })
  await waitFor(() => asked)
  await publish('users.profile.updated.v1', { userId: 'race' })
  await waitFor(() => ended.length > 0)
  resolve(answer('old'))
  t.equal(bodyOf(await early), 'old')
  t.equal(cache.find(request.target), undefined)
  t.equal(bodyOf(await ask(cache, route, request, async () => answer('new'))), 'new')
})

t.test('events that are none end nothing and stop nothing', async (t) => {
  const gateway = await openGateway(t, await connect(t, stores.nats.url), 'bad:')
  for (const data of ['', '{', 'null', '"ada"', '[]', '{"userId":{"x":1}}', `{"userId":"${'x'.repeat(500)}"}`])
    await publish('users.profile.updated.v1', data)
  await publish('users.profile.updated.v1', { userId: 'ada' })
  await waitFor(() => gateway.ended.length > 0)
  t.strictSame(gateway.ended, [['profile:ada']])
  t.equal(gateway.lines.length, 4)
})

t.test('a burst is one command', async (t) => {
  const gateway = await openGateway(t, await connect(t, stores.nats.url), 'burst:')
  for (let i = 0; i < 1_000; i++) service.publish('users.profile.updated.v1', JSON.stringify({ userId: `u${i % 10}` }))
  await publish('users.profile.updated.v1', { userId: 'last' })
  await waitFor(() => gateway.ended.flat().includes('profile:last'))
  t.equal(new Set(gateway.ended.flat()).size, 11)
  t.ok(gateway.ended.length < 500)

  const { unheard } = gateway
  for (let i = 0; i < 20_000; i++) service.publish('users.profile.updated.v1', JSON.stringify({ userId: `u${i}` }))
  await publish('users.profile.updated.v1', { userId: 'end' })
  await waitFor(() => gateway.unheard > unheard || gateway.ended.flat().includes('profile:end'))
  t.ok(
    gateway.ended.every((tags) => tags.length <= 5_000),
    'and of too many at once everything is ended instead'
  )
})

t.test('subscriptions follow the services', async (t) => {
  const gateway = await openGateway(t, await connect(t, stores.nats.url), 'follow:', [])
  const request = get('/v1/users/u1')
  await ask(gateway.cache, route, request, async () => answer('before it listened'))
  gateway.purger.update([RULES])
  await waitFor(() => gateway.unheard === 1)
  t.equal(gateway.cache.find(request.target), undefined, 'what was kept before may have missed an event')

  gateway.purger.update([RULES, RULES])
  const other = rulesWith({ ...RULES.cache!, endedBy: { 'users.profile.updated': ['name:{userId}'] } })
  gateway.purger.update([RULES, other])
  await publish('users.profile.updated.v1', { userId: 'u1' })
  await waitFor(() => gateway.ended.length > 0)
  t.strictSame(
    gateway.ended.map((tags) => tags.sort()),
    [['name:u1', 'profile:u1']]
  )
  t.equal(gateway.unheard, 1, 'more tags of a subject that is heard leave no gap')

  gateway.purger.update([other])
  await publish('auth.account.deleted.v1', { userId: 'u2' })
  await publish('users.profile.updated.v1', { userId: 'u3' })
  await waitFor(() => gateway.ended.length > 1)
  t.strictSame(gateway.ended[1], ['name:u3'], 'what nobody declares any more is not heard')
})

t.test('subjects that are none are refused', async (t) => {
  const nc = await connect(t, stores.nats.url)
  const bad = [
    '>',
    'users.>',
    'users.*.updated',
    'users.profile',
    'users.profile.updated.v1',
    '$JS.api.info',
    'a b.c.d'
  ]
  const rules = bad.map((subject) => rulesWith({ scope: 'public', ttl: 1, endedBy: { [subject]: ['a'] } }))
  const gateway = await openGateway(t, nc, 'odd:', [...rules, RULES])
  t.equal(gateway.lines.length, bad.length)
  await publish('users.profile.updated.v1', { userId: 'u1' })
  await waitFor(() => gateway.ended.length > 0)
  t.pass('and the others are heard')

  const many = Array.from({ length: 600 }, (_, i) => {
    const name = `a.b.${String.fromCharCode(97 + (i % 26))}${'x'.repeat(Math.floor(i / 26))}`
    return rulesWith({ scope: 'public', ttl: 1, endedBy: { [name]: ['a'] } })
  })
  gateway.lines.length = 0
  gateway.purger.update(many)
  t.equal(gateway.lines.length, 100, 'and no more than a gateway can follow')
})

t.test('what was published while NATS was away is forgotten', async (t) => {
  const way = await cuttable(t, Number(new URL(stores.nats.url).port))
  const nc = await connect(t, `nats://127.0.0.1:${way.port}`)
  const cutOff = await openGateway(t, nc, 'gap:')
  const request = get('/v1/users/gap')
  const other = get('/v1/tags/t1')
  await ask(cutOff.cache, route, request, async () => answer('v1'))
  await ask(cutOff.cache, byTime, other, async () => answer('t1'))

  way.cut()
  await publish('users.profile.updated.v1', { userId: 'gap' })
  t.equal(bodyOf(cutOff.cache.find(request.target)), 'v1', 'served on, since reads go on without NATS')
  way.mend()
  await waitFor(() => cutOff.unheard === 2)
  t.strictSame(cutOff.ended, [], 'the event never came')
  t.equal(cutOff.cache.find(request.target), undefined)
  t.equal(bodyOf(cutOff.cache.find(other.target)), 't1', 'what no event ends stays')
  t.equal(
    bodyOf(await ask(cutOff.cache, route, request, async () => answer('v2'))),
    'v2',
    'nor does Redis bring it back'
  )

  await publish('users.profile.updated.v1', { userId: 'gap' })
  await waitFor(() => cutOff.ended.length > 0)
  t.pass('and events are heard again')
  await t.rejects(Promise.resolve(ask(cutOff.cache, route, request, never)), { message: /asked/ })
})
