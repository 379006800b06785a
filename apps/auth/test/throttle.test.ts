import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { openRedis } from '@skerry/cache'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { accounts } from '../src/data/accounts.ts'
import { createAttempts } from '../src/data/attempts.ts'
import { emails, usernames } from '../src/data/reservations.ts'
import { startAuth } from './support/system.ts'

const auth = await startAuth(t, { instances: 2 })
const login = (name: string, password: string) =>
  auth.persist('POST', '/v1/auth/login', { body: { login: name, password } })

t.test('ten attempts a minute an account, over all instances and both names of it', async (t) => {
  const me = await auth.signUp('guessed')
  const answers = await Promise.all(
    Array.from({ length: 14 }, (_, i) => login(i % 2 ? 'Guessed' : 'GUESSED@example.org', `guess number ${i}`))
  )
  t.equal(answers.filter((a) => a.status === 401).length, 10)
  const refused = answers.filter((a) => a.status === 429)
  t.equal(refused.length, 4)
  for (const { body, headers } of refused) {
    t.equal(body.code, 'RATE_LIMITED')
    const seconds = Number(headers['retry-after'])
    t.ok(seconds > 0 && seconds <= 60, String(seconds))
  }
  t.equal((await login('guessed', me.password)).status, 429, 'the right one has to wait too')
  const patch = await auth.call('PATCH', '/v1/auth/account', {
    token: me.accessToken,
    body: { username: 'x.y.z', currentPassword: me.password }
  })
  t.equal(patch.status, 429, 'there is no other way to guess')
  t.equal((await login((await auth.signUp('other')).username, 'the password of other')).status, 200, 'others may')
})

t.test('a login that nobody has is throttled the same', async (t) => {
  const statuses = []
  for (let i = 0; i < 12; i++) statuses.push((await login('No.Body', 'whatever it is')).status)
  t.same(statuses, [...Array(10).fill(401), 429, 429])
})

t.test('unknown logins cost what known ones cost: the same reads and the same hash', async (t) => {
  await auth.signUp('timed')
  const work: string[] = []
  const real = crypto.argon2 as unknown as (...args: unknown[]) => void
  const noting = (algorithm: string, parameters: Record<string, unknown>, ...rest: unknown[]) => {
    const { memory, passes, parallelism, tagLength } = parameters
    work.push(`${algorithm} ${memory} ${passes} ${parallelism} ${tagLength}`)
    real(algorithm, parameters, ...rest)
  }
  const replace = (argon2: unknown) => {
    Object.assign(crypto, { argon2 })
    // So that what was imported by name is replaced as well.
    syncBuiltinESMExports()
  }
  replace(noting)
  t.teardown(() => replace(real))
  const read = [accounts, emails, usernames].map(({ name }) => name)
  for (const { store } of auth.instances)
    store.client.on('commandStarted', ({ commandName, command }) => {
      if (commandName === 'find' && read.includes(command.find)) work.push(`find ${command.find}`)
    })
  const workOf = async (name: string) => {
    work.length = 0
    t.equal((await login(name, 'not the password')).status, 401)
    return [...work]
  }
  const known = await workOf('timed')
  t.same(known, [`find ${usernames.name}`, `find ${accounts.name}`, 'argon2id 19456 2 1 32'])
  t.same(await workOf('untimed'), known)
})

t.test('the window slides, in Redis and in memory, and memory is bounded', async (t) => {
  let now = 1_000_000
  const redis = openRedis({ url: auth.stores.redis.url, commandTimeoutMs: 5_000 })
  t.teardown(() => redis.close())
  await waitFor(() => redis.connected())
  const options = { limit: 3, windowMs: 3_000, remembered: 2, now: () => now }
  // Redis' clock decides, and no test moves it: an hour does not pass meanwhile, and a millisecond does.
  const inRedis = { ...options, redis, prefix: `${auth.stores.redis.prefix}window:` }
  const long = createAttempts({ ...inRedis, windowMs: 3_600_000 })
  const short = createAttempts({ ...inRedis, windowMs: 1 })
  for (let i = 0; i < 3; i++) t.equal(await long.take('a'), 0)
  const wait = await long.take('a')
  t.ok(wait > 0 && wait <= 3_600_000, String(wait))
  t.equal(await long.take('b'), 0)
  await waitFor(async () => (await short.take('a')) === 0, { message: 'they are out of a window that has passed' })

  const alone = createAttempts({ ...options, redis: undefined, prefix: '' })
  for (let i = 0; i < 3; i++) t.equal(await alone.take('a'), 0)
  t.equal(await alone.take('a'), 3_000)
  now += 2_999
  t.equal(await alone.take('a'), 1)
  now += 1
  t.equal(await alone.take('a'), 0)
  // A third account makes the one forgotten that was used longest ago.
  for (let i = 0; i < 3; i++) await alone.take('b')
  await alone.take('c')
  t.equal(await alone.take('b'), 3_000)
  t.equal(await alone.take('a'), 0)
})

t.test('without Redis the instances go on by themselves', async (t) => {
  const redis = openRedis({ url: 'redis://127.0.0.1:1' })
  t.teardown(() => redis.close())
  const attempts = createAttempts({ redis, prefix: '', limit: 1, windowMs: 60_000, remembered: 9, now: Date.now })
  t.equal(await attempts.take('a'), 0)
  t.ok((await attempts.take('a')) > 59_000)
})
