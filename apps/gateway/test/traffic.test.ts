import { createMetrics } from '@skerry/service'
import t from 'tap'
import { planOf, stay } from '../src/traffic/plan.ts'
import { createTraffic } from '../src/traffic/traffic.ts'

const versions = (present: Record<string, number>) => new Map(Object.entries(present))
const both = versions({ '2.0.0': 3, '2.1.0': 1 })
const users = Array.from({ length: 20_000 }, (_, i) => `user${i}`)

/** Requests of strangers, evenly over all that chance can bring, by the version they go to. */
function spread(choose: (random: number) => string | undefined): Record<string, number> {
  const counts: Record<string, number> = {}
  for (let i = 0; i < 1_000; i++) {
    const version = choose(i / 1_000) ?? 'any'
    counts[version] = (counts[version] ?? 0) + 1
  }
  return counts
}

t.test('without rules nothing is chosen', async (t) => {
  const traffic = createTraffic()
  t.equal(traffic.choose('content', both, { 'x-skerry-version': '2.1.0' }, 'u1'), undefined)
  t.equal(traffic.mirrorOf('content', 0), undefined)
})

t.test('a canary gets its share of strangers, the others share the rest by their instances', async (t) => {
  const traffic = createTraffic()
  traffic.set('content', { weights: { '2.1.0': 5 } })
  const shares = (present: Map<string, number>) =>
    spread((random) => traffic.choose('content', present, {}, undefined, random))
  t.same(shares(both), { '2.1.0': 50, '2.0.0': 950 })
  t.same(shares(versions({ '1.9.0': 1, '2.0.0': 3, '2.1.0': 9 })), { '1.9.0': 238, '2.0.0': 712, '2.1.0': 50 })
  t.equal(traffic.choose('users', both, {}, undefined, 0), undefined, 'another service is left alone')

  traffic.set('content', { weights: { '2.1.0': 100 } })
  t.same(shares(both), { '2.1.0': 1_000 })
  traffic.set('content', { weights: { '2.1.0': 0 } })
  t.same(shares(both), { '2.0.0': 1_000 })
  traffic.set('content', { weights: { '2.0.0': 30, '2.1.0': 30 } })
  t.same(shares(both), { '2.0.0': 500, '2.1.0': 500 }, 'where nobody is left for the rest, the ratio counts')
  traffic.set('content', undefined)
  t.same(shares(both), { any: 1_000 })
})

t.test('versions that nobody runs get nothing, and who is left serves all', async (t) => {
  const traffic = createTraffic()
  const shares = (present: Record<string, number>) =>
    spread((random) => traffic.choose('content', versions(present), {}, undefined, random))
  traffic.set('content', { weights: { '2.1.0': 5, '2.2.0': 20 } })
  t.same(shares({ '2.0.0': 1, '2.1.0': 1 }), { '2.0.0': 950, '2.1.0': 50 })
  t.same(shares({ '2.0.0': 1 }), { any: 1_000 })
  t.same(shares({ '2.1.0': 1 }), { any: 1_000 }, 'the canary alone')
  t.same(shares({ '2.1.0': 1, '2.2.0': 1 }), { '2.1.0': 200, '2.2.0': 800 }, 'canaries alone, by their weights')
  t.same(shares({ '1.0.0': 1, '2.0.0': 1 }), { any: 1_000 }, 'no canary: the balancer spreads as ever')
  t.same(shares({}), { any: 1_000 })
  traffic.set('content', { weights: { '2.1.0': 0, '2.2.0': 0 } })
  t.same(shares({ '2.1.0': 1, '2.2.0': 1 }), { any: 1_000 }, 'rather than nobody')
})

t.test('a user stays with a version; a growing canary loses nobody', async (t) => {
  const traffic = createTraffic()
  const inCanary = (percent: number) => {
    traffic.set('content', { weights: { '2.1.0': percent } })
    return new Set(users.filter((user) => traffic.choose('content', both, {}, user) === '2.1.0'))
  }
  const five = inCanary(5)
  t.ok(Math.abs(five.size / users.length - 0.05) < 0.005, `${five.size} of ${users.length}`)
  t.same(inCanary(5), five)
  const twenty = inCanary(20)
  t.ok(Math.abs(twenty.size / users.length - 0.2) < 0.01, `${twenty.size} of ${users.length}`)
  t.ok(five.isSubsetOf(twenty))

  const of = (service: string) => {
    const plan = planOf(service, { weights: { '2.1.0': 5 } }, both)!
    return new Set(users.filter((user) => stay(plan, user) === '2.1.0'))
  }
  const shared = of('content').intersection(of('users')).size
  t.ok(shared < five.size / 5, 'the canary of another service has other users')
})

t.test('testers choose by header, among the versions that rules name', async (t) => {
  const traffic = createTraffic()
  traffic.set('content', { weights: { '2.1.0': 0 }, headers: { 'x-tester': '2.1.0' } })
  const choose = (headers: Record<string, string>, present = both) => traffic.choose('content', present, headers, 'u1')
  t.equal(choose({ 'x-skerry-version': '2.1.0' }), '2.1.0')
  t.equal(choose({ 'x-tester': 'yes' }), '2.1.0')
  t.equal(choose({}), '2.0.0')
  t.equal(choose({ 'x-skerry-version': '2.0.0' }), '2.0.0')
  t.equal(choose({ 'x-skerry-version': '1.0.0', 'x-tester': '1' }), '2.1.0')
  const three = versions({ '1.0.0': 1, '2.0.0': 1, '2.1.0': 1 })
  const picked = new Set(
    Array.from({ length: 64 }, (_, i) => traffic.choose('content', three, { 'x-skerry-version': '1.0.0' }, `u${i}`))
  )
  t.same([...picked].sort(), ['1.0.0', '2.0.0'], 'nobody chooses a version that no rule names')
  t.equal(choose({ 'x-tester': '1' }, versions({ '2.0.0': 1 })), undefined, 'nor one that nobody runs')
})

t.test('a mirror gets copies of its share, and no requests of its own', async (t) => {
  const traffic = createTraffic()
  const mirrored = () => spread((random) => traffic.mirrorOf('content', random))
  traffic.set('content', { mirror: { version: '2.1.0', percent: 10 } })
  t.same(mirrored(), { '2.1.0': 100, any: 900 })
  t.equal(traffic.choose('content', both, {}, undefined, 0.999), '2.0.0')
  t.same(mirrored(), { '2.1.0': 100, any: 900 })
  traffic.choose('content', versions({ '2.0.0': 1 }), {}, undefined, 0)
  t.same(mirrored(), { any: 1_000 }, 'while nobody runs it, nothing')
  traffic.set('content', { mirror: { version: '2.1.0', percent: 100 }, weights: { '2.1.0': 50 } })
  t.same(mirrored(), { '2.1.0': 1_000 })
  t.equal(traffic.choose('content', both, {}, undefined, 0.999), '2.1.0', 'with a weight it gets both')
})

t.test('it counts what each version got since its rules were set', async (t) => {
  const metrics = createMetrics({ service: 'gateway', instance: '1', processMetrics: false })
  const traffic = createTraffic(metrics)
  traffic.set('content', { weights: { '2.1.0': 50 }, mirror: { version: '2.1.0', percent: 100 } })
  for (const random of [0, 0.1, 0.9]) traffic.choose('content', both, {}, undefined, random)
  traffic.mirrorOf('content')
  const counts = async () =>
    Object.fromEntries(
      (await metrics.text())
        .matchAll(/^skerry_gateway_version_requests\{upstream="content",version="([^"]+)",way="(\w+)"[^}]*\} (\d+)$/gm)
        .map(([, version, way, count]) => [`${version} ${way}`, count])
    )
  t.same(await counts(), { '2.0.0 chosen': '2', '2.1.0 chosen': '1', '2.1.0 mirrored': '1' })
  traffic.set('content', { weights: { '2.1.0': 60 } })
  t.same(await counts(), {})
})
