import type { RedisLink } from '@skerry/cache'
import t from 'tap'
import { gcra } from '../../src/limits/gcra.ts'
import type { CountedBy, LimitPolicy, PolicySet } from '../../src/limits/limit-policies.ts'
import { createLimiter, type Verdict } from '../../src/limits/limiter.ts'
import {
  createSlots,
  leased,
  leasedWait,
  localWait,
  nextLease,
  type Slot,
  spendLeased,
  spendLocal,
  UNKNOWN
} from '../../src/limits/slots.ts'

function policyOf(rest: Partial<LimitPolicy> = {}): LimitPolicy {
  const { by = 'user', name = 'user', burst = 40 } = rest
  return { name, by, key: `${name}:`, place: 0, burst, intervalMs: 100, lease: 8, header: `"${name}"`, ...rest }
}
const setOf = (...policies: LimitPolicy[]): PolicySet => ({
  policies,
  header: policies.map(({ header }) => header).join(', ')
})
const slotOf = (rest: Partial<LimitPolicy> = {}): Slot => createSlots(10).of(policyOf(rest), 'ada')

t.test('slots are found again, by kind, place and subject', async (t) => {
  const slots = createSlots(2)
  const policy = policyOf()
  t.equal(slots.peek(policy, 'ada'), undefined)
  const slot = slots.of(policy, 'ada')
  t.match(slot, { key: 'user:ada', left: 0, size: 0, expires: 0, remaining: 0, refusedUntil: 0, waiting: 0 })
  t.equal(slot.tat, -Infinity)
  t.equal(slot.policy, policy)
  t.equal(slots.of(policy, 'ada'), slot)
  t.equal(slots.peek(policy, 'ada'), slot)
  t.not(slots.of(policyOf({ place: 2 }), 'ada'), slot)
  t.equal(slots.peek(policyOf({ place: 1 }), 'ada'), undefined)
  t.not(slots.of(policyOf({ by: 'device' as CountedBy }), 'ada'), slot)
  t.not(slots.of(policy, 'bob'), slot)
  slots.peek(policy, 'ada')
  slots.of(policy, 'eve')
  t.equal(slots.peek(policy, 'ada'), undefined, 'a look keeps nobody')
})

t.test('a lease is used up or over', async (t) => {
  const slot = slotOf()
  t.equal(leasedWait(slot, 1_000), UNKNOWN, 'nothing is known at first')
  leased(slot, 1_000, 3, 10, 3_000, 0)
  t.match(slot, { left: 3, size: 3, remaining: 10, expires: 6_000, tat: 4_000, refusedUntil: 0 })
  t.equal(leasedWait(slot, 1_000), 0)
  t.equal(leasedWait(slot, 5_999), 0)
  t.equal(leasedWait(slot, 6_000), UNKNOWN, 'five seconds')
  t.equal(spendLeased(slot), 12)
  t.equal(spendLeased(slot), 11)
  t.equal(spendLeased(slot), 10)
  t.equal(leasedWait(slot, 1_001), UNKNOWN)
})

t.test('a refusal holds as long as Redis said', async (t) => {
  const slot = slotOf()
  leased(slot, 1_000, 0, 0, 4_000, 250)
  t.match(slot, { left: 0, size: 0, refusedUntil: 1_250, tat: 5_000 })
  t.equal(leasedWait(slot, 1_000), 250)
  t.equal(leasedWait(slot, 1_249), 1)
  t.equal(leasedWait(slot, 1_250), UNKNOWN)
  leased(slot, 2_000, 0, 0, 0, 0)
  t.equal(slot.refusedUntil, 2_001, 'at least for a moment, or it would be asked for ever')
  leased(slot, 2_000, 1, 0, 0, 0)
  t.equal(slot.refusedUntil, 0)
})

t.test('how much is leased next', async (t) => {
  const next = (rest: Partial<Slot>, policy: Partial<LimitPolicy> = {}, now = 1_000) =>
    nextLease({ ...slotOf(policy), expires: 5_000, ...rest }, now)
  t.equal(next({}), 4, 'half at first')
  t.equal(next({}, { lease: 7 }), 4, 'rounded up')
  t.equal(next({}, { lease: 1 }), 1)
  t.equal(next({ size: 2, left: 0 }), 4, 'twice what was used up in time')
  t.equal(next({ size: 5, left: 0 }), 8, 'to the bound')
  t.equal(next({ size: 4, left: 0 }, {}, 5_000), 4, 'used up, but too late to say that it was in time')
  t.equal(next({ size: 4, left: 1 }, {}, 5_000), 3, 'what was used')
  t.equal(next({ size: 4, left: 4 }, {}, 5_000), 1, 'one at least')
  t.equal(next({ size: 4, left: 1, expires: 9_000 }), 3)
  t.equal(next({ waiting: 20 }), 20, 'as many as wait')
  t.equal(next({ waiting: 100 }), 40, 'and never above the burst')
})

t.test('alone from where Redis was: what was leased is taken back', async (t) => {
  const slot = slotOf({ burst: 5 })
  leased(slot, 1_000, 3, 0, 500, 0)
  t.equal(localWait(slot, 1_000), 0)
  t.match(slot, { left: 0, tat: 1_200 })
  t.equal(localWait(slot, 1_000), 0)
  t.equal(slot.tat, 1_200, 'once')
  t.equal(spendLocal(slot, 1_000), 2)
  t.equal(slot.tat, 1_300)
  spendLocal(slot, 1_000)
  t.equal(spendLocal(slot, 1_000), 0)
  t.equal(localWait(slot, 1_000), 100)
  t.equal(localWait(slot, 1_099), 1)
  t.equal(localWait(slot, 1_100), 0)
})

/** Answers as the script in Redis does, by a clock that is told; limiter.test.ts has the real one. */
function link(clock: { now: number }) {
  const tats = new Map<string, number>()
  const asked: string[] = []
  const scripts: string[] = []
  const state = { connected: true, answers: true, held: undefined as Promise<void> | undefined }
  const client = {
    defineCommand: (name: string, { numberOfKeys }: { numberOfKeys: number }) =>
      scripts.push(`${name}/${numberOfKeys}`),
    async skerryGcra(key: string, intervalUs: number, burst: number, want: number) {
      asked.push(`${key} ${intervalUs} ${burst} ${want}`)
      await state.held
      const standing = gcra({ burst, intervalMs: intervalUs / 1_000 }, tats.get(key) ?? 0, clock.now, want)
      tats.set(key, standing.tat)
      return [standing.granted, standing.remaining, Math.ceil(standing.resetMs), Math.ceil(standing.retryMs)]
    }
  }
  const redis = {
    client,
    connected: () => state.connected,
    run: async (work: (one: typeof client) => Promise<unknown>) => (state.answers ? work(client) : undefined)
  } as unknown as RedisLink
  const limiter = createLimiter({ redis, prefix: 'gw:', maxSubjects: 10, now: () => clock.now })
  return { limiter, asked, state, scripts, tats }
}
const ADA = { userId: 'ada', sessionId: 'phone' }

t.test('quota is leased, and spent without asking', async (t) => {
  const clock = { now: 1_000_000 }
  const { limiter, asked, scripts } = link(clock)
  const set = setOf(policyOf({ intervalMs: 33.3336 }))
  t.strictSame(scripts, ['skerryGcra/1'])
  const first = limiter.takeAll(set, ADA, undefined)
  t.ok(first instanceof Promise)
  t.match(await first, { allowed: true, remaining: 39, policyHeader: '"user"' })
  t.strictSame(asked, ['gw:limit:user:ada 33334 40 4'])
  for (const remaining of [38, 37, 36]) t.match(limiter.takeAll(set, ADA, undefined), { allowed: true, remaining })
  t.match(await limiter.takeAll(set, ADA, undefined), { remaining: 35 })
  t.equal(asked[1], 'gw:limit:user:ada 33334 40 8', 'twice as much')
  t.equal(asked.length, 2)
})

t.test('all policies are asked for at once; all or none are counted', async (t) => {
  const clock = { now: 1_000_000 }
  const { limiter, asked } = link(clock)
  const [user, device] = [policyOf({ lease: 1 }), policyOf({ name: 'device', by: 'device', burst: 2, lease: 1 })]
  const set = setOf(user, device)
  const one = limiter.takeAll(set, ADA, undefined)
  t.equal(asked.length, 2, 'both before an answer')
  t.match(await one, { policy: { name: 'device' }, remaining: 1, resetSeconds: 1, retrySeconds: 0 })
  t.match(await limiter.takeAll(set, ADA, undefined), { policy: { name: 'device' }, remaining: 0 })
  t.match(await limiter.takeAll(set, ADA, undefined), { allowed: false, policy: { name: 'device' }, retrySeconds: 1 })
  t.equal(asked.length, 6)
  const again = limiter.takeAll(set, ADA, undefined)
  t.match(again, { allowed: false }, 'a refusal that holds needs no Redis')
  t.notOk(again instanceof Promise)
  t.equal(asked.length, 6)
  t.match(limiter.refused(device, 'phone'), { allowed: false, retrySeconds: 1 })
  t.equal(limiter.refused(user, 'ada'), undefined, 'what was leased for it while the other refused is left')
  clock.now += 100
  t.match(await limiter.takeAll(set, ADA, undefined), { allowed: true })
  t.equal(asked.length, 7, 'the user’s one was still leased: only the device had to be asked')
})

t.test('a crowd waits for one answer, which is large enough for it', async (t) => {
  const clock = { now: 1_000_000 }
  const { limiter, asked, state } = link(clock)
  const gate = Promise.withResolvers<void>()
  state.held = gate.promise
  const set = setOf(policyOf({ lease: 2 }))
  const crowd = Array.from({ length: 6 }, () => limiter.takeAll(set, ADA, undefined))
  t.strictSame(asked, ['gw:limit:user:ada 100000 40 1'], 'asked for the first, before the others came')
  gate.resolve()
  state.held = undefined
  const verdicts = (await Promise.all(crowd)) as Verdict[]
  t.ok(verdicts.every((one) => one.allowed))
  t.equal(asked[1], 'gw:limit:user:ada 100000 40 5', 'then for all who are left')
  t.equal(asked.length, 2)
  t.equal((await limiter.takeAll(set, ADA, undefined))?.remaining, 33)
  t.equal(asked[2], 'gw:limit:user:ada 100000 40 2', 'nobody is counted as waiting any more')
})

t.test('without Redis it goes on alone, from where Redis was', async (t) => {
  const clock = { now: 1_000_000 }
  const { limiter, asked, state } = link(clock)
  const set = setOf(policyOf({ burst: 4, lease: 2 }))
  t.match(await limiter.takeAll(set, ADA, undefined), { remaining: 3 })
  state.answers = false
  t.match(await limiter.takeAll(set, ADA, undefined), { allowed: true, remaining: 2 }, 'it does not answer')
  state.connected = false
  t.match(limiter.takeAll(set, ADA, undefined), { allowed: true, remaining: 1 }, 'it is not there: no promise')
  t.match(limiter.take(set.policies[0]!, 'ada'), { remaining: 0 })
  t.match(limiter.takeAll(set, ADA, undefined), { allowed: false, retrySeconds: 1 })
  t.match(limiter.refused(set.policies[0]!, 'ada'), { allowed: false })
  t.equal(asked.length, 1)
  state.connected = true
  state.answers = true
  t.match(await limiter.takeAll(set, ADA, undefined), { allowed: true }, 'Redis counts on')
  t.equal(asked.length, 2)
})

t.test('a lease that is over is let go, and the next one is smaller', async (t) => {
  const clock = { now: 1_000_000 }
  const { limiter, asked } = link(clock)
  const set = setOf(policyOf({ intervalMs: 60_000 }))
  await limiter.takeAll(set, ADA, undefined)
  clock.now += 4_999
  t.match(limiter.takeAll(set, ADA, undefined), { allowed: true, remaining: 38 })
  clock.now += 1
  await limiter.takeAll(set, ADA, undefined)
  t.strictSame(asked, ['gw:limit:user:ada 60000000 40 4', 'gw:limit:user:ada 60000000 40 2'])
})

t.test('leases that are over before they can be used end in counting alone', async (t) => {
  const clock = { now: 1_000_000 }
  let asked = 0
  const redis = {
    client: { defineCommand() {} },
    connected: () => true,
    run: async () => {
      asked++
      return [1, 5, 100, 0]
    }
  } as unknown as RedisLink
  const limiter = createLimiter({ redis, prefix: 'x:', maxSubjects: 10, now: () => (clock.now += 5_000) })
  t.match(await limiter.takeAll(setOf(policyOf({ lease: 1 })), ADA, undefined), { allowed: true })
  t.equal(asked, 5, 'five rounds at most')
})
