import t from 'tap'
import { Circuit } from '../src/upstreams/circuit.ts'
import { type EjectionOptions, ejects, outliers } from '../src/upstreams/ejection.ts'
import { LatencyWindow } from '../src/upstreams/latency.ts'
import { RetryBudget } from '../src/upstreams/retry-budget.ts'
import { select } from '../src/upstreams/select.ts'
import { Upstream } from '../src/upstreams/upstream.ts'
import { Timer, Wheel } from '../src/upstreams/wheel.ts'

const OPTIONS = {
  connections: 8,
  maxInFlight: 4,
  maxStreams: 2,
  connectTimeoutMs: 100,
  ejectMs: 100,
  ejectLongestMs: 1_000,
  slowStartMs: 10_000,
  zone: 'a',
  ca: undefined
}
const EJECTION: EjectionOptions = { consecutive: 5, maxShare: 0.5, slowTimes: 5, slowByMs: 100 }

function upstreams(count: number, more: object[] = [], since = -1e9): Upstream[] {
  return Array.from({ length: count }, (_, i) => {
    const instance = { service: 's', instance: `${i}`, version: '1', url: `http://127.0.0.1:${i + 1}`, weight: 1 }
    return new Upstream({ ...instance, ...more[i] }, OPTIONS, since)
  })
}

function shares(list: Upstream[], now = 0): number[] {
  const counts = list.map(() => 0)
  for (let i = 0; i < 20_000; i++) {
    const picked = select(list, { stream: false, repeatable: false }, now, undefined)
    if (typeof picked !== 'string') counts[list.indexOf(picked)]!++
  }
  return counts.map((count) => count / 20_000)
}

t.test('the wheel', (t) => {
  let now = 1_000
  const wheel = new Wheel(() => now)
  const fired: string[] = []
  const timer = (name: string) => new Timer(() => fired.push(`${name} ${now}`))
  const a = timer('a')
  const b = timer('b')
  const far = timer('far')
  wheel.start(a, 1_025)
  wheel.start(b, 1_025)
  wheel.start(far, 1_000 + 30_000)
  wheel.stop(b)
  wheel.stop(b)
  t.equal(wheel.size, 2)
  for (now = 1_000; now <= 1_030; now += 1) wheel.turn(now)
  t.strictSame(fired, ['a 1030'], 'at most a tick late, never early')
  for (; now < 31_020; now += 7) wheel.turn(now)
  t.equal(fired.length, 2)
  t.ok(Number(fired[1]?.split(' ')[1]) >= 31_000, 'one that is rounds away fires in its own')

  fired.length = 0
  const chain = new Timer(() => {
    wheel.stop(b)
    wheel.start(a, now + 10)
    fired.push('chain')
  })
  wheel.start(chain, now + 10)
  wheel.start(b, now + 10)
  for (let i = 0; i < 10; i++) {
    now += 10
    wheel.turn(now)
  }
  t.match(fired, ['chain', /^a /], 'a timer may stop its neighbour and start others')
  now += 1_000_000
  wheel.start(a, now + 5)
  now += 100_000
  wheel.turn(now)
  t.equal(fired.length, 3, 'a long pause loses none')
  t.equal(wheel.size, 0)
  wheel.close()
  t.end()
})

t.test('the retry budget', (t) => {
  const budget = new RetryBudget(0.1, 10)
  let extra = 0
  for (let i = 0; i < 10_000; i++) {
    budget.deposit()
    if (budget.withdraw()) extra++
  }
  t.ok(extra <= 10_000 * 0.1 + 10, `${extra}`)
  t.ok(extra >= 10_000 * 0.1 - 1, `${extra}`)
  const none = new RetryBudget(0, 1)
  none.deposit()
  t.ok(none.withdraw())
  none.deposit()
  t.notOk(none.withdraw())
  t.end()
})

t.test('quantiles of latency', (t) => {
  const window = new LatencyWindow()
  t.equal(window.quantile(0.95), 0)
  for (let i = 0; i < 1_000; i++) window.observe(i % 100 < 95 ? 10 : 500)
  const p90 = window.quantile(0.9)
  t.ok(p90 >= 10 && p90 <= 12, `${p90}`)
  const p99 = window.quantile(0.99)
  t.ok(p99 >= 500 && p99 <= 600, `${p99}`)
  for (let i = 0; i < 20_000; i++) window.observe(1)
  t.ok(window.quantile(0.99) < 1.3, 'the past fades')
  window.observe(1e9)
  window.observe(0)
  t.end()
})

t.test('a circuit', (t) => {
  const circuit = new Circuit({ firstMs: 100, longestMs: 1_000, random: () => 0.5 })
  t.equal(circuit.state(0), 'closed')
  t.equal(circuit.open(0), 100)
  t.equal(circuit.open(1), 0, 'what was under way with it says nothing new')
  t.equal(circuit.state(99), 'open')
  t.notOk(circuit.allows(99))
  t.equal(circuit.state(101), 'half-open')
  t.ok(circuit.allows(101))
  circuit.probe(101)
  t.notOk(circuit.allows(102), 'one probe at a time')
  t.equal(circuit.open(103), 200, 'a failed probe doubles the pause')
  circuit.close(104)
  t.equal(circuit.state(104), 'open', 'an answer from before does not close it')
  circuit.wake(105)
  t.ok(circuit.allows(105))
  circuit.probe(105)
  circuit.release()
  t.ok(circuit.allows(106), 'a probe that says nothing gives its place back')
  circuit.probe(106)
  circuit.sweep(106 + 1_001)
  t.ok(circuit.allows(106 + 1_001), 'so does one that never ends')
  circuit.probe(1_200)
  circuit.close(1_201)
  t.equal(circuit.state(1_201), 'closed')
  t.equal(circuit.open(1_300), 400, 'an instance that flaps is not new each time')
  circuit.probe(5_000)
  circuit.close(5_000)
  circuit.close(6_500)
  t.equal(circuit.open(6_600), 100, 'after a while without trouble it is')
  t.equal(circuit.open(20_000, 5_000), 5_000, 'what it asks for itself')
  const hasty = new Circuit({ firstMs: 100, longestMs: 1_000, random: () => 0 })
  hasty.open(0, 5_000)
  t.equal(hasty.pausedUntil, 5_000, 'and not less')
  t.end()
})

t.test('ejection', (t) => {
  const [a, b] = upstreams(2) as [Upstream, Upstream]
  for (let i = 0; i < 4; i++) {
    a.failed(1, 0)
    t.notOk(ejects(a, [a, b], 'status', EJECTION), `after ${i + 1}`)
  }
  a.failed(1, 0)
  t.ok(ejects(a, [a, b], 'status', EJECTION), 'a dead one of two is out after a handful')
  a.circuit.open(0)
  for (let i = 0; i < 50; i++) b.failed(1, 0)
  t.notOk(ejects(b, [a, b], 'status', EJECTION), 'but not both')
  t.notOk(ejects(b, [a, b], 'reset', EJECTION), 'nor for any reason short of being unreachable')
  t.ok(ejects(b, [a, b], 'refused', EJECTION))

  const five = upstreams(5)
  for (const one of five) for (let i = 0; i < 5; i++) one.failed(1, 0)
  const out = (failure: 'status' | 'hung') => {
    for (const one of five) if (!one.circuit.isOpen && ejects(one, five, failure, EJECTION)) one.circuit.open(0)
    return five.filter((one) => one.circuit.isOpen).length
  }
  t.equal(out('status'), 2, 'soft reasons: up to the share')
  t.equal(out('hung'), 4, 'hard reasons: all but one')

  const [flapping, peer] = upstreams(2) as [Upstream, Upstream]
  for (let i = 0; i < 100; i++) {
    flapping.failed(1, i)
    flapping.failed(1, i)
    flapping.answered(1, i)
  }
  flapping.failed(1, 100)
  t.ok(flapping.failuresInRow < 5 && ejects(flapping, [flapping, peer], 'status', EJECTION), 'two failures of three')

  const [quick, other, slow] = upstreams(3) as [Upstream, Upstream, Upstream]
  for (let i = 0; i < 50; i++) {
    quick.answered(10, i)
    other.answered(12, i)
    slow.answered(400, i)
  }
  t.strictSame(outliers([quick, other, slow], 60, EJECTION), [slow])
  t.strictSame(outliers([quick, other, slow], 60_000, EJECTION), [], 'what was long ago says nothing')
  t.strictSame(outliers([quick], 60, EJECTION), [])
  t.end()
})

t.test('selection', (t) => {
  const even = shares(upstreams(3))
  for (const share of even) t.ok(Math.abs(share - 1 / 3) < 0.03, `${share}`)

  const weighted = shares(upstreams(2, [{ weight: 3 }, { weight: 1 }]))
  t.ok(weighted[0]! > 0.8, `${weighted}`)

  const zones = shares(upstreams(2, [{ zone: 'a' }, { zone: 'b' }]))
  t.ok(zones[0]! > 0.7 && zones[0]! < 0.9, `here is preferred, elsewhere is not cut off: ${zones}`)

  const starting = upstreams(2)
  const fresh = new Upstream({ ...starting[0]!.instance, instance: 'new', url: 'http://127.0.0.1:9' }, OPTIONS, 0)
  const early = shares([...starting, fresh], 100)[2]!
  const half = shares([...starting, fresh], 5_000)[2]!
  const late = shares([...starting, fresh], 10_000)[2]!
  t.ok(early < 0.03 && half > early && half < late && late > 0.3, `slow start: ${early} ${half} ${late}`)

  const busy = upstreams(2)
  busy[0]!.inFlight = 4
  t.equal(shares(busy)[0], 0, 'one that is full gets nothing')
  busy[1]!.inFlight = 4
  t.equal(select(busy, { stream: false, repeatable: true }, 0, undefined), 'full')
  t.type(select(busy, { stream: true, repeatable: true }, 0, undefined), Upstream, 'streams have their own bound')
  t.equal(select([], { stream: false, repeatable: true }, 0, undefined), 'away')
  const two = upstreams(2)
  t.equal(select(two, { stream: false, repeatable: true }, 0, [two[0]!]), two[1])
  t.equal(select(two, { stream: false, repeatable: true }, 0, two), 'away')
  t.end()
})

t.test('selection around open circuits', (t) => {
  const list = upstreams(2)
  const [a, b] = list as [Upstream, Upstream]
  a.circuit.open(0)
  const pick = (repeatable: boolean, now: number, tried?: Upstream[]) =>
    select(list, { stream: false, repeatable }, now, tried)
  for (let i = 0; i < 50; i++) t.equal(pick(true, 10), b)
  const later = 1_000
  for (let i = 0; i < 50; i++) t.equal(pick(false, later), b, 'what cannot be repeated probes nobody')
  t.equal(pick(true, later, [b]), a, 'a retry does, when nobody else is left')
  a.circuit.release()
  const picks = Array.from({ length: 100 }, () => pick(true, later))
  t.equal(picks.filter((one) => one === a).length, 1, 'one probe, until its answer')
  a.circuit.release()
  a.checkFailed = true
  for (let i = 0; i < 50; i++) t.equal(pick(true, later), b, 'no probe while its check fails')
  b.circuit.open(later)
  t.equal(pick(true, later, [a]), b, 'nobody else is left: it is asked')
  for (const one of list) one.unreachable = true
  t.equal(pick(true, later + 1), 'away', 'but nobody who cannot be reached, at once')
  t.equal(pick(false, later + 1_000), b, 'and whoever may be probed first')
  t.end()
})
