import { openRedis, type RedisLink } from '@skerry/cache'
import { startRedisServer } from '@skerry/cache/test/redis-server'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { readConfig } from '../src/config.ts'
import { parseClasses } from '../src/limits/classes.ts'
import { limitPoliciesOf, type PolicySet } from '../src/limits/limit-policies.ts'
import { createLimiter, type Limiter, type Verdict } from '../src/limits/limiter.ts'

const REQUIRED = { NATS_URL: 'nats://x', NATS_USER: 'x', NATS_PASSWORD: 'x' }
const ADA = { userId: 'ada', sessionId: 'phone' }
const TABLET = { userId: 'ada', sessionId: 'tablet' }
const ADDRESS = '198.51.100.7'

/** `pace` divides the rates: Redis counts by its own clock, and with 1,000 nothing is refilled however busy the machine is. */
function limitsAt(pace: number) {
  const policies = limitPoliciesOf(
    readConfig({
      ...REQUIRED,
      LIMIT_USER_PER_SECOND: String(10 / pace),
      LIMIT_USER_BURST: '40',
      LIMIT_DEVICE_PER_SECOND: String(5 / pace),
      LIMIT_DEVICE_BURST: '25',
      LIMIT_ADDRESS_PER_SECOND: String(2 / pace),
      LIMIT_ADDRESS_BURST: '10',
      LIMIT_CLASSES: `upload=${1 / pace}/4, search=${0.5 / pace}/20`
    })
  )
  return { policies, ordinary: policies.setOf({}, ADA), upload: policies.setOf({ limit: 'upload' }, ADA) }
}
const { policies, upload } = limitsAt(1)
const slow = limitsAt(1_000)

function clock() {
  let time = 1_000_000
  return {
    now: () => time,
    pass(ms: number) {
      time += ms
    }
  }
}

/** Asks so often; the verdicts. */
async function ask(limiter: Limiter, set: PolicySet, count: number, caller = ADA): Promise<Verdict[]> {
  const verdicts = []
  for (let i = 0; i < count; i++) verdicts.push((await limiter.takeAll(set, caller, ADDRESS))!)
  return verdicts
}
const allowed = (verdicts: Verdict[]) => verdicts.filter((one) => one.allowed).length

async function connected(t: { teardown(work: () => unknown): unknown }, url: string): Promise<RedisLink> {
  const link = openRedis({ url, commandTimeoutMs: 5_000 })
  t.teardown(() => link.close())
  await waitFor(() => link.connected())
  return link
}

t.test('classes of a configuration', async (t) => {
  t.strictSame(parseClasses(' upload=5/20 ,search=0.25/30,'), [
    { name: 'upload', perSecond: 5, burst: 20 },
    { name: 'search', perSecond: 0.25, burst: 30 }
  ])
  t.strictSame(parseClasses(''), [])
  const bad = [
    'upload',
    'upload=5',
    'upload=0/5',
    'upload=5/0',
    'Upload=1/1',
    'a=-1/5',
    'a=1e3/5',
    'user=1/1',
    'a=1/1,a=2/2'
  ]
  for (const text of bad) t.throws(() => parseClasses(text), { message: /^Bad configuration: LIMIT_CLASSES/ }, text)
  t.throws(() => parseClasses(Array.from({ length: 33 }, (_, i) => `c${i}=1/1`).join()), { message: /more than 32/ })
})

t.test('which limits hold', async (t) => {
  const names = (set: PolicySet) => set.policies.map(({ name, by }) => `${name}/${by}`)
  const of = (limit: string | undefined, caller?: object) =>
    names(policies.setOf(limit === undefined ? {} : { limit }, caller))
  t.strictSame(of(undefined, ADA), ['user/user', 'device/device'])
  t.strictSame(of(undefined), ['address/address'])
  t.strictSame(of('upload', ADA), ['user/user', 'device/device', 'upload/user'])
  t.strictSame(of('upload'), ['address/address', 'upload/address'])
  t.strictSame(of('sign-in', ADA), of(undefined, ADA), 'auth counts its failures')
  t.strictSame(of('sign-in'), of(undefined))
  t.strictSame(of('sign-up'), ['sign-up/address'])
  for (const unknown of ['default', 'nonsense', '__proto__'])
    t.strictSame(of(unknown, ADA), of(undefined, ADA), unknown)
  t.equal(policies.setOf({ limit: 'upload' }, ADA), upload, 'made once')
  t.equal(upload.header, '"user";q=40;w=4, "device";q=25;w=5, "upload";q=4;w=4')
  const off = limitPoliciesOf(readConfig(REQUIRED))
  t.strictSame(names(off.setOf({}, ADA)), ['user/user'], 'a device has none unless it is asked for')
  t.match(
    limitPoliciesOf(readConfig({ ...REQUIRED, LIMIT_SIGN_UP_PER_MINUTE: '6', LIMIT_SIGN_UP_BURST: '2' })).signUp,
    {
      burst: 2,
      intervalMs: 10_000
    }
  )
  const keys = [policies.user, policies.address, policies.badToken, policies.signUp, ...upload.policies.slice(1)].map(
    (policy) => policy.key
  )
  keys.push(policies.setOf({ limit: 'upload' }, undefined).policies[1]!.key)
  t.equal(new Set(keys).size, keys.length, 'no two share their counts')
})

for (const kind of ['alone', 'with Redis']) {
  t.test(`several limits at once, ${kind}`, async (t) => {
    const { policies, ordinary, upload } = kind === 'alone' ? limitsAt(1) : slow
    const redis = kind === 'alone' ? undefined : await connected(t, (await startRedisServer(t)).url)
    const time = clock()
    const limiter = createLimiter({ redis, prefix: 'x:', maxSubjects: 100, now: time.now })

    const uploads = await ask(limiter, upload, 10)
    t.equal(allowed(uploads), 4)
    t.match(uploads[0], { allowed: true, policy: { name: 'upload' }, remaining: 3 }, 'the tightest is told')
    t.match(uploads[9], { allowed: false, policy: { name: 'upload' }, remaining: 0 })
    t.ok(uploads[9]!.retrySeconds >= 1)
    const others = await ask(limiter, ordinary, 40)
    const rest = 25 - 4
    // Alone nothing is spent on a refusal. With Redis a lease of the device (1) may have been let go.
    t.ok(allowed(others) >= rest - 1 && allowed(others) <= rest, `${allowed(others)} of the device's ${rest}`)
    t.match(others.at(-1), { allowed: false, policy: { name: 'device' } })

    const tablet = await ask(limiter, ordinary, 40, TABLET)
    t.ok(allowed(tablet) <= 40 - 4 - allowed(others), 'the other device has what is left of the user')
    t.ok(allowed(tablet) >= 40 - 4 - rest - 4, `${allowed(tablet)}, less at most the leases of ${policies.user.lease}`)
    t.match(tablet.at(-1), { allowed: false, policy: { name: 'user' } })

    t.equal(allowed(await ask(limiter, ordinary, 5, { userId: 'bob', sessionId: 'other' })), 5)
    t.equal(await limiter.takeAll(policies.setOf({}, undefined), undefined, undefined), undefined, 'an exempt address')
  })
}

t.test('the longest wait is told', async (t) => {
  const limiter = createLimiter({ redis: undefined, prefix: 'x:', maxSubjects: 100, now: clock().now })
  const search = policies.setOf({ limit: 'search' }, undefined)
  const verdicts = await ask(limiter, search, 12, undefined)
  t.match(verdicts.at(-1), { allowed: false, policy: { name: 'address' }, retrySeconds: 1 })
  for (let i = 0; i < 25; i++) await limiter.take(search.policies[1]!, ADDRESS)
  t.match((await ask(limiter, search, 1, undefined))[0], {
    policy: { name: 'search' },
    retrySeconds: 12,
    resetSeconds: 40
  })
})

t.test(
  'those who are refused together are told to come back one after the other, ten seconds apart at most',
  async (t) => {
    const time = clock()
    const limiter = createLimiter({ redis: undefined, prefix: 'x:', maxSubjects: 100, now: time.now })
    const search = policies.setOf({ limit: 'search' }, undefined).policies[1]!
    const retries = async (count: number) => {
      const all: number[] = []
      for (let i = 0; i < count; i++) all.push((await limiter.take(search, ADDRESS)).retrySeconds)
      return all.filter((seconds) => seconds > 0)
    }
    const [first, ...rest] = await retries(60)
    t.equal(first, search.intervalMs / 1_000)
    t.same(
      rest.slice(0, 3),
      [2, 3, 4].map((times) => (times * search.intervalMs) / 1_000)
    )
    t.equal(rest.at(-1), 10 + search.intervalMs / 1_000)
    time.pass(10 * 60_000)
    t.equal((await retries(search.burst + 1))[0], search.intervalMs / 1_000, 'later nobody remembers')
  }
)

t.test('alone, a burst comes back at its rate', async (t) => {
  const time = clock()
  const limiter = createLimiter({ redis: undefined, prefix: 'x:', maxSubjects: 100, now: time.now })
  t.equal(allowed(await ask(limiter, upload, 6)), 4)
  time.pass(999)
  t.equal(allowed(await ask(limiter, upload, 1)), 0)
  time.pass(1)
  t.equal(allowed(await ask(limiter, upload, 2)), 1)
  time.pass(60_000)
  t.equal(allowed(await ask(limiter, upload, 9)), 4)
})

t.test('a promise only when Redis must be asked, and then once for all', async (t) => {
  const server = await startRedisServer(t)
  const redis = await connected(t, server.url)
  const limiter = createLimiter({ redis, prefix: 'x:', maxSubjects: 100 })
  server.freeze()
  const first = limiter.takeAll(slow.upload, ADA, undefined)
  t.ok(first instanceof Promise)
  const crowd = [1, 2].map(() => limiter.takeAll(slow.upload, ADA, undefined))
  const { commandQueue } = redis.client as unknown as { commandQueue: { length: number } }
  t.equal(
    commandQueue.length,
    3,
    'user, device and class are asked for together, and the crowd waits for the same answers'
  )
  server.thaw()
  t.match(await Promise.all([first, ...crowd]), [{ allowed: true }, { allowed: true }, { allowed: true }])
  t.match(await limiter.takeAll(slow.upload, ADA, undefined), { allowed: true })
  t.match(await limiter.takeAll(slow.upload, ADA, undefined), { allowed: false })
  const sync = limiter.takeAll(slow.upload, ADA, undefined)
  t.notOk(sync instanceof Promise, 'a refusal that holds needs no Redis')
  t.match(sync, { allowed: false, policy: { name: 'upload' } })
  await limiter.takeAll(slow.ordinary, ADA, undefined)
  t.match(limiter.refused(slow.upload.policies[2]!, 'ada'), { allowed: false })
  t.equal(limiter.refused(slow.policies.user, 'ada'), undefined)
})

t.test('what one refuses does not use up the others', async (t) => {
  const server = await startRedisServer(t)
  const redis = await connected(t, server.url)
  const limiter = createLimiter({ redis, prefix: 'x:', maxSubjects: 100 })
  await ask(limiter, slow.upload, 100)
  // Without limits by device and class: what the user's own has left, after 4 uploads and at most one lease that was let go.
  const user = { policies: [slow.policies.user], header: slow.policies.user.header }
  const left = allowed(await ask(limiter, user, 60))
  t.ok(left >= 40 - 4 - slow.policies.user.lease, `${left} left of 40`)
})

t.test('two gateways exceed a limit by no more than they lease', async (t) => {
  const server = await startRedisServer(t)
  const env = { ...REQUIRED, LIMIT_USER_PER_SECOND: '0.01', LIMIT_USER_BURST: '200' }
  const user = limitPoliciesOf(readConfig(env)).setOf(undefined, ADA)
  const limiters = []
  for (let i = 0; i < 2; i++) {
    limiters.push(createLimiter({ redis: await connected(t, server.url), prefix: 'x:', maxSubjects: 100 }))
  }
  const sums = await Promise.all(limiters.map((limiter) => ask(limiter, user, 150)))
  t.equal(allowed(sums.flat()), 200, 'nothing was refilled meanwhile, so exactly the burst')
})

t.test('when Redis goes away, a gateway goes on from where all were', async (t) => {
  const server = await startRedisServer(t)
  const redis = await connected(t, server.url)
  const time = clock()
  const limiter = createLimiter({ redis, prefix: 'x:', maxSubjects: 100, now: time.now })
  const before = allowed(await ask(limiter, slow.upload, 3))
  t.equal(before, 3)
  await server.kill()
  await waitFor(() => !redis.connected())
  const after = await ask(limiter, slow.upload, 10)
  t.equal(allowed(after), 1, 'the one that was left')
  t.match(limiter.refused(slow.upload.policies[2]!, 'ada'), { allowed: false }, 'also without Redis')
  await server.start()
  await waitFor(() => redis.connected())
  t.match((await ask(limiter, slow.ordinary, 1))[0], { allowed: true })
})

t.test('subjects in memory are bounded, and a crowd of addresses pushes no user out', async (t) => {
  const limiter = createLimiter({ redis: undefined, prefix: 'x:', maxSubjects: 10, now: clock().now })
  t.equal(allowed(await ask(limiter, upload, 9)), 4)
  const anonymous = policies.setOf(undefined, undefined)
  for (let i = 0; i < 1_000; i++) await limiter.takeAll(anonymous, undefined, `10.0.${i >> 8}.${i & 255}`)
  t.equal(allowed(await ask(limiter, upload, 1)), 0)
  t.match(await limiter.takeAll(anonymous, undefined, '10.0.0.0'), { remaining: 9 }, 'the oldest address is forgotten')
})
