import { setTimeout as delay } from 'node:timers/promises'
import type { Priority } from '@skerry/contracts'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { readConfig } from '../src/config.ts'
import { type Candidate, createOverload, type Refusal } from '../src/overload/overload.ts'
import { Pressure, watchLoop } from '../src/overload/pressure.ts'
import { PRIORITIES, priorityOf } from '../src/overload/priority.ts'
import { seeded } from './helpers/simulate.ts'

const REQUIRED = { NATS_URL: 'nats://x', NATS_USER: 'x', NATS_PASSWORD: 'x' }
const TARGET = 20

function samples(pressure: Pressure, count: number, delayMs: number, utilization = 1): void {
  for (let i = 0; i < count; i++) pressure.sample(delayMs, utilization)
}

/** The part of 1,000 requests that is shed, by priority. */
function shed(pressure: Pressure): Record<Priority, number> {
  const part = (priority: Priority) =>
    Array.from({ length: 1_000 }, () => pressure.sheds(priority)).filter(Boolean).length / 1_000
  return { critical: part('critical'), high: part('high'), normal: part('normal'), low: part('low') }
}

t.test('pressure rises while the loop is late and falls when it is not', async (t) => {
  const pressure = new Pressure(TARGET, seeded(1))
  samples(pressure, 20, 5)
  t.strictSame(shed(pressure), { critical: 0, high: 0, normal: 0, low: 0 })
  samples(pressure, 1, 900)
  samples(pressure, 20, 5)
  t.equal(pressure.level, 0, 'one long pause is none')
  samples(pressure, 9, 60)
  t.equal(pressure.level, 0, 'nor is a burst that is over within a second')
  samples(pressure, 20, 5)
  t.equal(pressure.level, 0)
  samples(pressure, 200, 500, 0.3)
  t.equal(pressure.level, 0, 'a processor that somebody else has is none')

  pressure.delayMs = 0
  samples(pressure, 20, 40)
  const once = pressure.level
  t.ok(once > 0 && once < 0.3, `${once}`)
  samples(pressure, 10, 40)
  t.ok(pressure.level > once, 'it rises while delay is too high')
  samples(pressure, 400, 100)
  t.equal(pressure.level, 1)
  samples(pressure, 10, 1)
  t.ok(pressure.level > 0.5, 'it does not end at once')
  samples(pressure, 100, 1)
  t.equal(pressure.level, 0)
})

t.test('what matters least is shed first, and wholly before the next', async (t) => {
  const pressure = new Pressure(TARGET, seeded(2))
  for (let step = 0; step <= 100; step++) {
    pressure.level = step / 100
    const { critical, high, normal, low } = shed(pressure)
    if (normal > 0) t.equal(low, 1)
    if (high > 0) t.equal(normal, 1)
    if (critical > 0) t.equal(high, 1)
    t.ok(critical <= 0.6)
  }
})

t.test('a loop that gets too much finds a part that it can do', async (t) => {
  const random = seeded(3)
  const pressure = new Pressure(TARGET, random)
  // The loop can do 100 requests in a sample; what is above waits. Refusing one costs a tenth of answering it.
  let behind = 0
  let done = 0
  const levels: number[] = []
  for (let sample = 0; sample < 2_000; sample++) {
    for (let i = 0; i < 300; i++) behind += pressure.sheds('normal') ? 0.1 : 1
    const worked = Math.min(behind, 100)
    behind -= worked
    if (sample >= 500) done += worked
    pressure.sample((behind / 100) * 50, worked / 100)
    levels.push(pressure.level)
  }
  t.ok(done / 1_500 > 90, `${done / 1_500} of 100 in each sample`)
  t.ok(behind < 100, `${behind} behind: less than a sample's work`)
  t.ok(Math.max(...levels.slice(500)) < 0.75, 'writes are never touched')
})

t.test('a real loop', async (t) => {
  const pressure = new Pressure(TARGET, Math.random)
  const stop = watchLoop(pressure)
  t.teardown(stop)
  while (pressure.level <= 0.2) {
    const until = performance.now() + 120
    while (performance.now() < until);
    await delay(10)
  }
  await waitFor(() => pressure.level === 0)
  t.pass('rose while it was kept busy, and fell')
})

t.test('priorities', async (t) => {
  const of = (method: string, headers = {}, rules?: { priority?: Priority; limit?: string }) =>
    priorityOf(rules, method, headers)
  t.equal(of('GET'), 'normal')
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) t.equal(of(method), 'high', method)
  t.equal(of('POST', {}, { limit: 'sign-in' }), 'critical')
  t.equal(of('POST', {}, { priority: 'low', limit: 'sign-in' }), 'low', 'the contract has the last word')
  t.equal(of('GET', { 'sec-purpose': 'prefetch;prerender' }), 'low')
  const robots = [
    'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
    'Mozilla/5.0 AppleWebKit/537.36 (compatible; bingbot/2.0) Chrome/116.0 Safari/537.36',
    'facebookexternalhit/1.1',
    'Mozilla/5.0 (X11; Linux x86_64) HeadlessChrome/120.0',
    'Wget/1.21',
    'Baiduspider'
  ]
  for (const agent of robots) t.equal(of('GET', { 'user-agent': agent }), 'low', agent)
  t.equal(of('GET', { 'user-agent': robots[0], authorization: 'Bearer x' }), 'normal')
  t.equal(of('POST', { 'user-agent': robots[0] }), 'high')
  const people = [
    'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1',
    'Mozilla/5.0 (Linux; Android 14; Cubot P80) AppleWebKit/537.36 Chrome/124.0 Mobile Safari/537.36',
    'okhttp/4.12.0',
    'Skerry/1.0 (iOS 17)'
  ]
  for (const agent of people) t.equal(of('GET', { 'user-agent': agent }), 'normal', agent)
  t.strictSame(PRIORITIES, ['critical', 'high', 'normal', 'low'])
})

t.test('who waits for a place', async (t) => {
  let now = 1_000
  let sweep: (() => void) | undefined
  const sheds: string[] = []
  const overload = createOverload(
    readConfig({
      ...REQUIRED,
      CONCURRENCY_INITIAL: '10',
      CONCURRENCY_MIN: '10',
      CONCURRENCY_MAX: '10',
      CONCURRENCY_IDLE: '10',
      CONCURRENCY_WAITING: '2'
    }),
    {
      now: () => now,
      random: seeded(4),
      every: (_ms, work) => {
        sweep = work
        return () => {
          sweep = undefined
        }
      },
      onShed: (reason, priority) => sheds.push(`${reason} ${priority}`)
    }
  )
  t.teardown(() => overload.close())
  const told: string[] = []
  const candidate = (name: string, stays = true): Candidate => ({
    admitted() {
      told.push(`${name} in`)
      return stays
    },
    refused: ({ reason }) => void told.push(`${name} ${reason}`)
  })
  const fill = (priority: Priority) => {
    while (overload.admit('content', priority) === true);
  }
  fill('critical')
  const refusals = Array.from({ length: 100 }, () => overload.admit('content', 'normal') as Refusal)
  t.strictSame([...new Set(refusals.map(({ retryAfter }) => retryAfter))].sort(), [1, 2, 3])
  t.ok(new Set(refusals).size <= 3, 'made beforehand')
  t.equal(overload.admit('users', 'normal'), true, 'another service has its own')
  t.equal(sheds.at(-1), 'concurrency normal')

  t.equal(overload.admit('content', 'normal', candidate('a')), undefined)
  t.equal(overload.admit('content', 'normal', candidate('b', false)), undefined)
  t.match(overload.admit('content', 'normal', candidate('c')), { reason: 'concurrency' }, 'only so many')
  t.equal(overload.admit('content', 'critical', candidate('d')), undefined)
  const end = () => overload.settle('content', 5, 'answered')
  end()
  t.strictSame(told, ['d in'], 'what matters most comes first')
  for (let i = 0; i < 4; i++) end()
  t.strictSame(told, ['d in', 'a in', 'b in'], 'the others when their share of the limit has room')
  const [, gate] = [...overload.services()][0]!
  t.equal(gate.gradient.inFlight, 7, 'who had gone gives the place back')
  fill('critical')

  t.equal(overload.admit('content', 'normal', candidate('e')), undefined)
  t.equal(overload.admit('content', 'critical', candidate('f')), undefined)
  now += 99
  sweep?.()
  t.equal(gate.waiting, 2)
  now += 2
  sweep?.()
  t.strictSame(told.slice(3), ['e concurrency'], 'who has waited too long is refused')
  now += 1_000
  sweep?.()
  t.strictSame(told.slice(4), ['f concurrency'])
  t.equal(sweep, undefined, 'nobody waits, nothing is swept')
  t.equal(gate.waiting, 0)

  overload.retain(new Set(['users']))
  t.equal([...overload.services()].length, 2, 'what is under way is not forgotten')
  for (let i = 0; i < 10; i++) end()
  overload.retain(new Set(['users']))
  t.strictSame(
    [...overload.services()].map(([name]) => name),
    ['users']
  )
  overload.settle('content', 5, 'answered')
})

t.test('a request that ends while it is let in makes room for the next', async (t) => {
  const overload = createOverload(
    readConfig({
      ...REQUIRED,
      CONCURRENCY_INITIAL: '1',
      CONCURRENCY_MIN: '1',
      CONCURRENCY_MAX: '1',
      CONCURRENCY_IDLE: '1'
    }),
    { every: () => () => undefined }
  )
  t.teardown(() => overload.close())
  t.equal(overload.admit('content', 'normal'), true)
  const told: number[] = []
  for (let i = 0; i < 5; i++) {
    overload.admit('content', 'normal', {
      admitted() {
        told.push(i)
        overload.settle('content', 0, 'ignored')
        return true
      },
      refused: () => told.push(-1)
    })
  }
  overload.settle('content', 1, 'answered')
  t.strictSame(told, [0, 1, 2, 3, 4])
})

t.test('at the door', async (t) => {
  const overload = createOverload(readConfig(REQUIRED), { random: seeded(5) })
  t.teardown(() => overload.close())
  t.equal(overload.atDoor('low'), undefined)
  overload.pressure.level = 0.5
  t.match(overload.atDoor('low'), { reason: 'pressure' })
  t.equal(overload.atDoor('high'), undefined)
})
