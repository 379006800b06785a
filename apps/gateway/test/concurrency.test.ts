import t from 'tap'
import { Gradient } from '../src/overload/gradient.ts'
import type { Outcome } from '../src/overload/outcome.ts'
import { ServiceGate } from '../src/overload/service-gate.ts'
import { type Kind, type Seen, simulate } from './helpers/simulate.ts'

// All on a simulated clock with seeded randomness: the same figures on every machine.
const WORKERS = 32
const CAPACITY = 3_200
const NORMAL = { seconds: 10, rate: 0.7 * CAPACITY, workers: WORKERS }
const share = ({ offered, refused }: { offered: number; refused: number }) => refused / offered

t.test('at one, three and ten times the capacity', async (t) => {
  for (const seed of [1, 2, 3]) {
    const [normal, once, thrice, tenfold] = simulate(
      [
        NORMAL,
        { seconds: 10, rate: CAPACITY, workers: WORKERS },
        { seconds: 10, rate: 3 * CAPACITY, workers: WORKERS },
        { seconds: 10, rate: 10 * CAPACITY, workers: WORKERS }
      ],
      { seed }
    ) as [Seen, Seen, Seen, Seen]
    const peak = Math.max(once.goodput, thrice.goodput)
    t.comment(
      `seed ${seed}: goodput ${[once, thrice, tenfold].map((s) => Math.round(s.goodput))}, p99 ${[normal, once, thrice, tenfold].map((s) => Math.round(s.p99))} ms`
    )
    t.ok(tenfold.goodput >= 0.9 * peak, 'goodput')
    t.ok(tenfold.p99 <= 3 * normal.p99, 'what is let in is answered as well as ever, nearly')
    t.equal(tenfold.by.critical.refused, 0)
    t.ok(share(tenfold.by.low) > 0.99)
    t.ok(share(tenfold.by.high) < share(tenfold.by.normal) && share(tenfold.by.normal) <= share(tenfold.by.low))
    t.ok(share(thrice.by.high) < 0.05, 'three times the capacity costs no writes')
    t.ok(normal.refused < normal.offered / 1_000)
  }
})

t.test('without protection the same service collapses', async (t) => {
  const [, thrice] = simulate([NORMAL, { seconds: 10, rate: 3 * CAPACITY, workers: WORKERS }], { protect: false })
  t.ok(thrice!.p50 > 1_000)
})

for (const [workers, serviceMs] of [
  [2, 10],
  [8, 40],
  [64, 100]
] as const) {
  t.test(
    `ten times the capacity of ${workers} workers with ${serviceMs} ms, from a start without knowledge`,
    async (t) => {
      const capacity = (workers / serviceMs) * 1_000
      const kinds: Kind[] = [{ share: 1, priority: 'normal', serviceMs }]
      const overload = { rate: 10 * capacity, workers, kinds }
      const [cold, warm, , after] = simulate([
        { ...overload, seconds: 3 },
        { ...overload, seconds: 20 },
        { seconds: 1, rate: 0, workers, kinds },
        { seconds: 20, rate: 0.7 * capacity, workers, kinds }
      ]) as [Seen, Seen, Seen, Seen]
      t.ok(cold.goodput >= 0.8 * capacity, `${cold.goodput} of ${capacity} in the first seconds`)
      t.ok(warm.goodput >= 0.9 * capacity, `${warm.goodput} of ${capacity}`)
      t.ok(warm.p99 <= 3 * after.p99, `${warm.p99} and ${after.p99} ms`)
      t.ok(after.refused < after.offered / 50, `${after.refused} of ${after.offered} refused when it is over`)
    }
  )
}

t.test('capacity halves and comes back', async (t) => {
  const [, halved, restored, , overloaded, recovered] = simulate([
    NORMAL,
    { ...NORMAL, workers: WORKERS / 2 },
    NORMAL,
    { ...NORMAL, rate: 3 * CAPACITY },
    { ...NORMAL, rate: 3 * CAPACITY, workers: WORKERS / 2 },
    { ...NORMAL, rate: 3 * CAPACITY }
  ]) as [Seen, Seen, Seen, Seen, Seen, Seen]
  t.ok(halved.goodput >= 0.9 * (CAPACITY / 2))
  t.ok(halved.p99 < 60, `${halved.p99} ms`)
  t.equal(halved.by.critical.refused, 0)
  t.ok(restored.refused < restored.offered / 500)
  t.ok(overloaded.goodput >= 0.9 * (CAPACITY / 2))
  t.ok(recovered.goodput >= 0.9 * CAPACITY)
})

t.test('a service that becomes slower for another reason than its load is not throttled for long', async (t) => {
  const incident = { seconds: 10, rate: NORMAL.rate, workers: 10 * WORKERS, slower: 10 }
  const [, first, second, after] = simulate([NORMAL, incident, incident, NORMAL]) as [Seen, Seen, Seen, Seen]
  t.ok(first.refused < 0.35 * first.offered, `${first.refused} of ${first.offered} refused while it learns`)
  t.ok(second.refused < 0.01 * second.offered, `${second.refused} of ${second.offered} then`)
  t.ok(after.refused < 0.01 * after.offered)
})

t.test('fast and slow routes of one service', async (t) => {
  const few: Kind[] = [
    { share: 0.9, priority: 'normal', serviceMs: 5 },
    { share: 0.1, priority: 'normal', serviceMs: 200 }
  ]
  const many: Kind[] = [
    { share: 0.5, priority: 'normal', serviceMs: 5 },
    { share: 0.5, priority: 'normal', serviceMs: 200 }
  ]
  const capacity = WORKERS / 0.0245
  const [normal, tenfold] = simulate([
    { seconds: 10, rate: 0.7 * capacity, workers: WORKERS, kinds: few },
    { seconds: 20, rate: 10 * capacity, workers: WORKERS, kinds: few }
  ]) as [Seen, Seen]
  t.ok(normal.refused < normal.offered / 100)
  t.ok(tenfold.goodput >= 0.9 * capacity, `${tenfold.goodput} of ${capacity}`)
  t.ok(tenfold.p99 <= 1.5 * normal.p99)

  const [, changed, settled] = simulate([
    { seconds: 10, rate: 500, workers: 200, kinds: few },
    { seconds: 10, rate: 1_000, workers: 200, kinds: many },
    { seconds: 10, rate: 1_500, workers: 200, kinds: many }
  ]) as [Seen, Seen, Seen]
  t.ok(changed.refused < 0.3 * changed.offered, `${changed.refused} of ${changed.offered} when the mixture changes`)
  t.ok(settled.refused < 0.02 * settled.offered, `${settled.refused} of ${settled.offered} when it is known`)
})

t.test('idleness changes nothing, and little use not much', async (t) => {
  const [busy, idle, trickle, again] = simulate([
    NORMAL,
    { seconds: 3_600, rate: 0, workers: WORKERS },
    { seconds: 600, rate: 1, workers: WORKERS },
    { ...NORMAL, seconds: 3 }
  ]) as [Seen, Seen, Seen, Seen]
  t.equal(idle.limit, busy.limit)
  t.ok(trickle.limit >= 16)
  t.equal(again.refused, 0)
})

t.test('a burst from rest waits a moment and is not refused', async (t) => {
  const [, burst] = simulate([
    { seconds: 60, rate: 50, workers: WORKERS },
    // 150 in 10 ms, 47 ms of work.
    { seconds: 0.01, rate: 15_000, workers: WORKERS },
    { seconds: 1, rate: 1, workers: WORKERS }
  ]) as [Seen, Seen, Seen]
  t.ok(burst.offered > 100)
  t.equal(burst.refused, 0)
})

t.test('several gateways before one service do not take each other for it', async (t) => {
  for (const gateways of [2, 4]) {
    const [normal, tenfold] = simulate([NORMAL, { seconds: 30, rate: 10 * CAPACITY, workers: WORKERS }], {
      gateways
    }) as [Seen, Seen]
    t.ok(tenfold.goodput >= 0.9 * CAPACITY)
    t.ok(tenfold.p50 <= 3 * normal.p99, `${tenfold.p50} ms`)
    t.ok(tenfold.limit < 4 * WORKERS, `${tenfold.limit} in flight`)
  }
})

// The limit is the service's, so latency that one instance alone has could lower it for all. It does not: the balancer leaves that one so few
// requests that they weigh little in the mean, and a probe tells slowness from a queue.
t.test('one slow instance of three does not take the places of the others', async (t) => {
  const workers = 6
  const kinds: Kind[] = [
    { share: 0.75, priority: 'normal', serviceMs: 120 },
    { share: 0.25, priority: 'high', serviceMs: 120 }
  ]
  const others = 2 * (workers / 0.12)
  const load = (times: number, firstSlower: number) => ({
    rate: times * others,
    firstSlower,
    seconds: 15,
    workers,
    kinds
  })
  // Slow enough to be ejected as an outlier, and not.
  for (const slower of [10, 3]) {
    for (const seed of [1, 2, 3]) {
      const [, below, over] = simulate([load(3, 1), load(0.8, slower), load(3, slower)], { seed, instances: 3 }) as [
        Seen,
        Seen,
        Seen
      ]
      t.ok(below.goodput >= 0.9 * 0.8 * others, `${slower} times slower: ${below.goodput} of ${0.8 * others} go on`)
      // A limit that the slow one had taken down to its least would leave a third.
      t.ok(over.goodput >= 0.85 * others, `and under overload ${over.goodput} of ${others}`)
    }
  }
})

t.test('drops lower the limit, and it comes back', async (t) => {
  const gradient = new Gradient({ initial: 100, idle: 16, min: 4, max: 1_000, slackMs: 10 })
  let now = 1_000
  const run = (count: number, outcome: Outcome, ms: number) => {
    for (let done = 0; done < count; ) {
      while (gradient.tryEnter(1));
      now += ms
      for (; gradient.inFlight > 0; done++) gradient.leave(ms, outcome, now)
    }
  }
  run(200, 'answered', 20)
  const before = gradient.limit
  run(2_000, 'dropped', 20)
  t.equal(gradient.limit, 4, 'the least')
  run(2_000, 'ignored', 20)
  t.equal(gradient.limit, 4, 'what says nothing changes nothing')
  run(2_000, 'answered', 20)
  t.ok(gradient.limit > before / 2, `${gradient.limit} of ${before}`)
  t.ok(gradient.limit <= 1_000)
})

t.test('seconds after what lowered the limit has ended it is what it was', async (t) => {
  const posts: Kind[] = [{ share: 1, priority: 'high', serviceMs: 10 }]
  const quiet = { seconds: 60, rate: 20, workers: WORKERS, kinds: posts }
  // Sixty at once: more than a limit that is low can do while they wait.
  const burst = { seconds: 0.01, rate: 6_000, workers: WORKERS, kinds: posts }
  for (const seed of [1, 2, 3]) {
    const [before, attack, rest, first, , second] = simulate(
      [quiet, { ...quiet, rate: 3_000, workers: 1, slower: 20 }, { ...quiet, seconds: 3, rate: 0 }, burst].concat([
        { ...quiet, seconds: 3 },
        burst,
        { ...quiet, seconds: 3 }
      ]),
      { seed }
    ) as [Seen, Seen, Seen, Seen, Seen, Seen]
    t.ok(attack.limit < 8, `${attack.limit} under attack`)
    t.ok(rest.limit >= before.limit, `${rest.limit} of ${before.limit} after three seconds without a request`)
    t.strictSame([first.refused, second.refused], [0, 0], 'bursts lose nothing')
  }
})

t.test('what hangs does not get its limit back by hanging', async (t) => {
  const gate = new ServiceGate({
    ...{ initial: 100, idle: 16, min: 4, max: 1_000, slackMs: 10, waitMs: 100, criticalWaitMs: 1_000, waiting: 512 }
  })
  let now = 1_000
  const fill = () => {
    let entered = 0
    if (gate.gradient.isResting) gate.gradient.recover(now)
    while (gate.tryEnter('critical')) entered++
    return entered
  }
  const end = (outcome: Outcome, ms: number) => {
    now += ms
    while (gate.gradient.inFlight > 0) gate.leave(ms, outcome, now)
  }
  fill()
  end('answered', 20)
  for (let i = 0; i < 30; i++) {
    fill()
    end('dropped', 15_000)
  }
  t.equal(gate.gradient.limit, 4)
  t.equal(fill(), 4)
  now += 60_000
  t.equal(fill(), 0, 'nothing has ended since')
  end('answered', 20)
  now += 250
  t.ok(fill() < 10, 'and then it comes back by and by')
  end('answered', 20)
  now += 3_000
  t.ok(fill() > 90)
  for (let i = 0; i < 30; i++) {
    end('dropped', 15_000)
    fill()
  }
  end('dropped', 15_000)
  now += 2_000
  t.equal(fill(), 4)
  end('dropped', 15_000)
  now += 6_000
  t.ok(fill() > 90, 'also when nobody asked for some seconds')
})

t.test('what the gateway itself was late is not taken for its service', async (t) => {
  const late = (ownMs: number) => {
    const gradient = new Gradient({ initial: 100, idle: 16, min: 4, max: 100, slackMs: 10 })
    let now = 1_000
    const run = (ms: number, own: number) => {
      for (let round = 0; round < 20; round++) {
        while (gradient.tryEnter(1));
        now += ms
        while (gradient.inFlight > 0) gradient.leave(ms, 'answered', now, own)
        least = Math.min(least, gradient.limit)
      }
    }
    let least = Number.POSITIVE_INFINITY
    run(20, 0)
    run(80, ownMs)
    return least
  }
  t.ok(late(0) < 50, 'a service that became slow, until a probe tells that its load is not the reason')
  t.equal(late(55), 100, 'a gateway that did')
})

t.test('one request is always let through, and shares are parts of the limit', async (t) => {
  const gradient = new Gradient({ initial: 1, idle: 1, min: 1, max: 1, slackMs: 10 })
  t.ok(gradient.tryEnter(0.6))
  t.notOk(gradient.tryEnter(1))
  const ten = new Gradient({ initial: 10, idle: 10, min: 1, max: 10, slackMs: 10 })
  const fill = (part: number) => {
    while (ten.tryEnter(part));
    return ten.inFlight
  }
  t.strictSame([fill(0.6), fill(0.85), fill(0.95), fill(1)], [6, 8, 9, 10])
})
