import t from 'tap'
import { readConfig } from '../../src/config.ts'
import { parseClasses } from '../../src/limits/classes.ts'
import { gcra } from '../../src/limits/gcra.ts'
import { limitPoliciesOf, type PolicySet } from '../../src/limits/limit-policies.ts'
import { createLimiter, type Limiter, type Verdict } from '../../src/limits/limiter.ts'

const REQUIRED = { NATS_URL: 'nats://x', NATS_USER: 'x', NATS_PASSWORD: 'x' }
const ADA = { userId: 'ada', sessionId: 'phone' }
const policiesWith = (env: Record<string, string> = {}) => limitPoliciesOf(readConfig({ ...REQUIRED, ...env }))

t.test('classes, at their bounds', async (t) => {
  t.strictSame(parseClasses('a=1/1'), [{ name: 'a', perSecond: 1, burst: 1 }])
  t.strictSame(parseClasses(`a${'b'.repeat(31)}=999999.123456/999999`), [
    { name: `a${'b'.repeat(31)}`, perSecond: 999_999.123456, burst: 999_999 }
  ])
  t.strictSame(parseClasses('a-1=0.000001/1, ,'), [{ name: 'a-1', perSecond: 0.000001, burst: 1 }])
  t.equal(parseClasses(Array.from({ length: 32 }, (_, i) => `c${i}=1/1`).join()).length, 32)
  const bad: [string, string][] = [
    ...[`a${'b'.repeat(32)}=1/1`, '1a=1/1', '-a=1/1', 'a_b=1/1', 'a=1000000/1', 'a=1/1000000', 'a=1./1', 'a=.5/1'].map(
      (text): [string, string] => [text, 'is not of the form name=rate/burst']
    ),
    ...['a=1.1234567/1', 'a=1/1.5', 'a=1/', 'a=/1', '=1/1', 'xa=1/1 y', 'a=1/1/1', 'a=0/1', 'a=1/0'].map(
      (text): [string, string] => [text, 'is not of the form name=rate/burst']
    ),
    ...['default', 'user', 'device', 'address', 'bad-token', 'sign-in', 'sign-up'].map((name): [string, string] => [
      `${name}=1/1`,
      'has a name that is taken'
    ])
  ]
  for (const [text, why] of bad)
    t.throws(() => parseClasses(`fine=1/1,${text}`), {
      message: `Bad configuration: LIMIT_CLASSES has ${JSON.stringify(text)}, which ${why}`
    })
  t.throws(() => parseClasses('a=1/1,b=1/1,a=2/2'), {
    message: 'Bad configuration: LIMIT_CLASSES has "a=2/2", which comes twice'
  })
  t.throws(() => parseClasses('x'.repeat(200)), {
    message: `Bad configuration: LIMIT_CLASSES has "${'x'.repeat(80)}", which is not of the form name=rate/burst`
  })
  t.throws(() => parseClasses(Array.from({ length: 33 }, (_, i) => `c${i}=1/1`).join()), {
    message: 'Bad configuration: LIMIT_CLASSES has more than 32 classes'
  })
})

t.test('the cell rate, moment by moment', async (t) => {
  const policy = { burst: 3, intervalMs: 100 }
  t.strictSame(gcra(policy, -Infinity, 1_000, 1), { granted: 1, remaining: 2, resetMs: 100, retryMs: 0, tat: 1_100 })
  t.strictSame(gcra(policy, 0, 1_000, 2), { granted: 2, remaining: 1, resetMs: 200, retryMs: 0, tat: 1_200 })
  t.strictSame(gcra(policy, 0, 1_000, 9), { granted: 3, remaining: 0, resetMs: 300, retryMs: 0, tat: 1_300 })
  t.strictSame(gcra(policy, 1_300, 1_000, 1), { granted: 0, remaining: 0, resetMs: 300, retryMs: 100, tat: 1_300 })
  t.strictSame(gcra(policy, 1_300, 1_099, 1), { granted: 0, remaining: 0, resetMs: 201, retryMs: 1, tat: 1_300 })
  t.strictSame(gcra(policy, 1_300, 1_100, 1), { granted: 1, remaining: 0, resetMs: 300, retryMs: 0, tat: 1_400 })
  t.strictSame(gcra(policy, 1_300, 1_200, 1), { granted: 1, remaining: 1, resetMs: 200, retryMs: 0, tat: 1_400 })
  t.strictSame(gcra(policy, 1_050, 1_000, 1), { granted: 1, remaining: 1, resetMs: 150, retryMs: 0, tat: 1_150 })
  // Intervals that no binary fraction is: what is exactly free must not be lost to rounding.
  const third = { burst: 3, intervalMs: 1_000 / 3 }
  let tat = 0
  for (let i = 0; i < 3; i++) tat = gcra(third, tat, 1_000, 1).tat
  t.equal(gcra(third, tat, 1_000 + 1_000 / 3, 1).granted, 1)
  t.equal(gcra(third, tat, 2_000, 3).granted, 3)
})

t.test('policies of a configuration', async (t) => {
  const policies = policiesWith({
    LIMIT_USER_PER_SECOND: '4',
    LIMIT_USER_BURST: '40',
    LIMIT_DEVICE_PER_SECOND: '2',
    LIMIT_DEVICE_BURST: '25',
    LIMIT_ADDRESS_PER_SECOND: '3',
    LIMIT_ADDRESS_BURST: '10',
    LIMIT_SIGN_UP_PER_MINUTE: '6',
    LIMIT_SIGN_UP_BURST: '2',
    LIMIT_CLASSES: 'upload=0.5/19,search=100/6000',
    LIMIT_LEASE: '100'
  })
  t.strictSame(policies.user, {
    ...{ name: 'user', by: 'user', key: 'user:', place: 0, burst: 40, intervalMs: 250, lease: 2 },
    header: '"user";q=40;w=10'
  })
  t.strictSame(policies.device, {
    ...{ name: 'device', by: 'device', key: 'device:', place: 0, burst: 25, intervalMs: 500, lease: 1 },
    header: '"device";q=25;w=13'
  })
  t.match(policies.address, { name: 'address', by: 'address', key: 'address:', place: 0, header: '"address";q=10;w=4' })
  t.match(policies.badToken, { name: 'bad-token', by: 'address', key: 'bad-token:', place: 1, burst: 10 })
  t.match(policies.badToken, { intervalMs: policies.address.intervalMs })
  t.match(policies.signUp, { by: 'address', key: 'sign-up:', place: 2, burst: 2, intervalMs: 10_000, lease: 1 })
  const of = (limit: string, caller?: object) => policies.setOf({ limit }, caller)
  const upload = of('upload', ADA).policies[2]
  t.match(upload, { by: 'user', key: 'upload:user:', place: 1, burst: 19, intervalMs: 2_000, lease: 1 })
  t.equal(upload?.header, '"upload";q=19;w=38')
  t.match(of('upload').policies[1], { by: 'address', key: 'upload:address:', place: 3, burst: 19 })
  t.match(of('search', ADA).policies[2], { key: 'search:user:', place: 2, lease: 100 }, 'no lease is above the bound')
  t.match(of('search').policies[1], { key: 'search:address:', place: 4 })
  t.equal(of('upload', ADA).header, '"user";q=40;w=10, "device";q=25;w=13, "upload";q=19;w=38')
  t.strictSame(of('sign-in').policies, [policies.address], 'auth counts the failures')
  t.strictSame(
    of('sign-up', ADA).policies.map((one) => one.name),
    ['user', 'device', 'sign-up']
  )
  t.strictSame(
    of('sign-in', ADA).policies.map((one) => one.name),
    ['user', 'device']
  )
  t.strictSame(of('sign-up').policies, [policies.signUp])
  t.strictSame(policies.setOf(undefined, ADA).policies, [policies.user, policies.device])
  t.strictSame(policies.setOf({}, undefined).policies, [policies.address])
  t.strictSame(of('unknown').policies, [policies.address])
  const fast = policiesWith({ LIMIT_USER_PER_SECOND: '100', LIMIT_USER_BURST: '10' })
  t.match(fast.user, { header: '"user";q=10;w=1', lease: 1 }, 'a window is a second at least')
  t.equal(fast.device, undefined)
  t.strictSame(fast.setOf({}, ADA).policies, [fast.user])
  t.strictSame(
    fast.setOf({ limit: 'sign-up' }, ADA).policies.map((one) => one.name),
    ['user', 'sign-up']
  )
  t.match(policiesWith({ LIMIT_SIGN_UP_PER_MINUTE: '60', LIMIT_SIGN_UP_BURST: '7' }).signUp, {
    burst: 7,
    intervalMs: 1_000
  })
})

const time = { now: 1_000_000 }
const alone = (maxSubjects = 100): Limiter =>
  createLimiter({ redis: undefined, prefix: 'x:', maxSubjects, now: () => time.now })
const take = (
  limiter: Limiter,
  set: PolicySet,
  address: string | undefined = 'a',
  caller: typeof ADA | undefined = ADA
) => limiter.takeAll(set, caller, address) as Verdict | undefined

t.test('alone, a verdict comes at once and says how the tightest limit stands', async (t) => {
  const policies = policiesWith({
    LIMIT_USER_PER_SECOND: '1',
    LIMIT_USER_BURST: '3',
    LIMIT_DEVICE_PER_SECOND: '10',
    LIMIT_DEVICE_BURST: '2'
  })
  const set = policies.setOf({}, ADA)
  const limiter = alone()
  t.strictSame(take(limiter, set), {
    ...{ policy: policies.device, policyHeader: set.header, allowed: true, remaining: 1 },
    ...{ resetSeconds: 1, retrySeconds: 0 }
  })
  t.match(take(limiter, set), { policy: { name: 'device' }, remaining: 0, allowed: true })
  t.match(take(limiter, set), { policy: { name: 'device' }, allowed: false, remaining: 0, retrySeconds: 1 })
  time.now += 100
  t.match(
    take(limiter, set),
    { allowed: true, policy: { name: 'user' }, remaining: 0 },
    'of two that have as little left the first'
  )
  time.now += 100
  const refused = take(limiter, set)
  t.match(
    refused,
    { allowed: false, policy: { name: 'user' }, retrySeconds: 1, resetSeconds: 3 },
    'the user’s 3 are used'
  )
  time.now += 799
  t.match(take(limiter, set), { allowed: false })
  time.now += 1
  t.match(take(limiter, set), { allowed: true }, 'a second after the first')
  time.now += 60_000
  t.match(take(limiter, set), { allowed: true, remaining: 1 }, 'rested')
})

t.test('alone, the longest wait is told, and a refusal counts nothing', async (t) => {
  const policies = policiesWith({
    LIMIT_USER_PER_SECOND: '0.1',
    LIMIT_USER_BURST: '1',
    LIMIT_DEVICE_PER_SECOND: '0.5',
    LIMIT_DEVICE_BURST: '1'
  })
  const limiter = alone()
  const set = policies.setOf({}, ADA)
  t.match(take(limiter, set), { allowed: true, policy: { name: 'user' } })
  t.match(take(limiter, set), { allowed: false, policy: { name: 'user' }, retrySeconds: 10, resetSeconds: 10 })
  const other = { userId: 'bob', sessionId: 'phone' }
  t.match(take(limiter, set, 'a', other), { allowed: false, policy: { name: 'device' }, retrySeconds: 2 })
  time.now += 1_999
  t.match(take(limiter, set, 'a', other), { allowed: false, retrySeconds: 3 }, 'after the one who was told before')
  time.now += 1
  t.match(take(limiter, set, 'a', other), { allowed: true }, 'bob was not charged for what was refused')
})

t.test('whom a policy counts', async (t) => {
  const policies = policiesWith({ LIMIT_USER_BURST: '1', LIMIT_ADDRESS_BURST: '1', LIMIT_CLASSES: 'up=1/1' })
  const limiter = alone()
  const anonymous = policies.setOf({}, undefined)
  t.equal(limiter.takeAll(anonymous, undefined, undefined), undefined, 'nobody to count')
  t.equal(limiter.takeAll(policies.setOf({}, ADA), undefined, 'a'), undefined, 'no caller, no user')
  t.match(take(limiter, anonymous, 'a', undefined), { allowed: true })
  t.match(take(limiter, anonymous, 'a', undefined), { allowed: false })
  t.match(take(limiter, anonymous, 'b', undefined), { allowed: true })
  t.match(take(limiter, policies.setOf({}, ADA), 'a'), { allowed: true }, 'a user is no address')
  const signIn = policies.setOf({ limit: 'sign-in' }, ADA)
  t.match(
    limiter.takeAll(signIn, { ...ADA, userId: 'bob' }, undefined),
    { policy: { name: 'user' } },
    'exempt addresses'
  )
  const [, up] = policies.setOf({ limit: 'up' }, undefined).policies
  t.match(limiter.take(up!, 'z'), { allowed: true, policyHeader: up!.header, policy: { name: 'up' } })
  t.match(limiter.refused(up!, 'z'), { allowed: false, policyHeader: up!.header, remaining: 0, retrySeconds: 1 })
  t.match(limiter.refused(up!, 'z'), { allowed: false, retrySeconds: 2 }, 'which counts nothing, and comes later')
  t.equal(limiter.refused(up!, 'y'), undefined)
  t.equal(limiter.refused(policies.badToken, 'z'), undefined, 'another policy of the same subject')
  time.now += 1_000
  t.equal(limiter.refused(up!, 'z'), undefined)
  t.match(limiter.take(up!, 'z'), { allowed: true })
})

t.test('who was not seen for longest is forgotten, of each kind apart', async (t) => {
  const policies = policiesWith({ LIMIT_USER_BURST: '1', LIMIT_ADDRESS_BURST: '1' })
  const limiter = alone(3)
  const set = policies.setOf({}, undefined)
  t.match(take(limiter, policies.setOf({}, ADA), 'a'), { allowed: true })
  for (const address of ['a', 'b', 'c']) t.match(take(limiter, set, address, undefined), { allowed: true })
  t.match(take(limiter, set, 'a', undefined), { allowed: false }, 'seen again')
  t.match(take(limiter, set, 'd', undefined), { allowed: true })
  t.match(take(limiter, set, 'a', undefined), { allowed: false })
  t.match(take(limiter, set, 'b', undefined), { allowed: true }, 'forgotten')
  t.match(take(limiter, policies.setOf({}, ADA), 'a'), { allowed: false }, 'no crowd of addresses pushes out a user')
})
