import { jetstream } from '@nats-io/jetstream'
import { Kvm } from '@nats-io/kv'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { assertTrafficRules, connectNats, openTraffic, type TrafficRules, watchTraffic } from '../src/index.ts'
import { startNatsServer } from './support/nats-server.ts'

const stores = await useStores(t)
const nc = await connectNats({ ...stores.nats, name: 'traffic-test' })
t.teardown(() => nc.close())

t.test('rules are read, changed and ended, and a watcher learns each of it', async (t) => {
  const told: Array<[string, TrafficRules | undefined]> = []
  const watch = await watchTraffic(nc, (service, rules) => told.push([service, rules]))
  t.teardown(() => watch.close())
  const traffic = await openTraffic(nc)
  t.same(await traffic.all(), [])

  const canary = { weights: { '2.1.0': 5 } }
  t.same(await traffic.change('content', () => canary), canary)
  await traffic.change('content', (rules) => ({ ...rules, headers: { 'x-tester': '2.1.0' } }))
  await traffic.change('auth', () => ({ mirror: { version: '2.2.0', percent: 100 } }))
  const both = { ...canary, headers: { 'x-tester': '2.1.0' } }
  t.same(await traffic.all(), [
    { service: 'auth', rules: { mirror: { version: '2.2.0', percent: 100 } } },
    { service: 'content', rules: both }
  ])
  await waitFor(() => told.length === 3)
  t.same(told.slice(0, 2), [
    ['content', canary],
    ['content', both]
  ])

  const late: string[] = []
  const second = await watchTraffic(nc, (service) => late.push(service))
  t.same(late.sort(), ['auth', 'content'], 'who comes later begins with all')
  await second.close()

  t.equal(await traffic.change('content', () => undefined), undefined)
  t.equal(await traffic.change('nobody', () => undefined), undefined)
  await waitFor(() => told.length === 4)
  t.same(told.at(-1), ['content', undefined])
  t.same(await traffic.change('content', (rules) => ({ ...rules, ...canary })), canary, 'it begins with nothing again')
  await waitFor(() => told.length === 5)
})

t.test('two who change at once do not overwrite each other', async (t) => {
  const traffic = await openTraffic(nc)
  const set = (version: string) =>
    traffic.change('users', (rules) => ({ ...rules, weights: { ...rules.weights, [version]: 10 } }))
  const settled = await Promise.allSettled([set('1.0.0'), set('1.1.0')])
  const done = settled.filter(({ status }) => status === 'fulfilled').length
  // Where the machine has them come one after the other, both are done; what is done is there.
  t.ok(done >= 1)
  const kept = await traffic.change('users', (rules) => ({ ...rules }))
  t.equal(Object.keys(kept?.weights ?? {}).length, done)
})

t.test('what does not fit is refused, and ignored by who watches', async (t) => {
  const bad: unknown[] = [
    null,
    { weights: { '2.1.0': 101 } },
    { weights: { '2.1.0': 60, '2.2.0': 50 } },
    { weights: { 'a b': 1 } },
    { headers: { 'X-Tester': '2.1.0' } },
    { mirror: { version: '2.2.0' } },
    { other: 1 }
  ]
  for (const rules of bad) t.throws(() => assertTrafficRules(rules), /traffic rules do not fit|add up to 110 %/)
  for (const good of [{}, { weights: { '1': 33.3, '2': 33.3, '3': 33.4 } }, { weights: { '2.1.0-rc.1+7': 0 } }])
    assertTrafficRules(good)

  const told: string[] = []
  const lines: object[] = []
  const log = { error: (line: object) => lines.push(line), debug: () => undefined, warn: () => undefined }
  const watch = await watchTraffic(nc, (service) => told.push(service), { log: log as never })
  t.teardown(() => watch.close())
  const before = told.length
  const kv = await new Kvm(jetstream(nc)).open('traffic')
  await kv.put('broken', '{')
  await kv.put('odd', '{"weights":{"2.1.0":"5%"}}')
  await kv.put('good', '{"weights":{"2.1.0":5}}')
  await waitFor(() => told.length > before)
  t.same(told.slice(before), ['good'])
  t.equal(lines.length, 2)
  const traffic = await openTraffic(nc)
  await t.rejects(
    traffic.change('content', () => ({ weights: { x: 101 } })),
    /do not fit/
  )
  await t.rejects(
    traffic.change('a.b', () => ({})),
    /not the name of a service/
  )
})

t.test('a gateway without the right to make the bucket starts all the same, and rules outlive NATS', async (t) => {
  const server = await startNatsServer(t)
  const gateway = await server.connect('gateway')
  const told: string[] = []
  const watch = await watchTraffic(gateway, (service, rules) => told.push(`${service} ${JSON.stringify(rules)}`))
  t.teardown(() => watch.close())
  const admin = await server.connect('admin')
  await (await openTraffic(admin)).change('content', () => ({ weights: { '2.1.0': 5 } }))
  await waitFor(() => told.length === 1)
  await server.kill()
  server.start()
  await waitFor(
    async () => (await openTraffic(await server.connect('admin')).then((traffic) => traffic.all())).length === 1
  )
  t.same(told, ['content {"weights":{"2.1.0":5}}'], 'what is the same is not told again')
})
