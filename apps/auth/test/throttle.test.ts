import argon2 from '@node-rs/argon2'
import { openRedis } from '@skerry/cache'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { accounts } from '../src/data/accounts.ts'
import { createAttempts } from '../src/data/attempts.ts'
import { emails, usernames } from '../src/data/reservations.ts'
import { type Hash, replaceHash } from './support/cheap-hashes.ts'
import { startAuth } from './support/system.ts'

const auth = await startAuth(t, {
  instances: 2,
  config: { SIGN_IN_FAILURES_ACCOUNT: 25, SIGN_IN_FAILURES_ADDRESS: 60 }
})
let others = 0
/** An address that nobody else of these tests has. */
const newAddress = () => `198.51.${100 + Math.floor(others / 250)}.${1 + (others++ % 250)}`
const login = (name: string, password: string, address = '127.0.0.1') =>
  auth.persist('POST', '/v1/auth/login', {
    body: { login: name, password },
    headers: { 'x-forwarded-for': address }
  })
const guesses = async (count: number, name: string, address: string) =>
  (await Promise.all(Array.from({ length: count }, (_, i) => login(name, `guess number ${i}`, address)))).map(
    ({ status }) => status
  )
const count = (statuses: number[], status: number) => statuses.filter((one) => one === status).length

t.test('ten wrong passwords from one address, over all instances', async (t) => {
  const me = await auth.signUp('guessed')
  const attacker = newAddress()
  const answers = await Promise.all(
    Array.from({ length: 14 }, (_, i) => login(i % 2 ? 'Guessed' : 'GUESSED', `guess number ${i}`, attacker))
  )
  t.equal(answers.filter((a) => a.status === 401).length, 10)
  const refused = answers.filter((a) => a.status === 429)
  t.equal(refused.length, 4)
  for (const { body, headers } of refused) {
    t.equal(body.code, 'RATE_LIMITED')
    const seconds = Number(headers['retry-after'])
    t.ok(seconds > 0 && seconds <= 600, String(seconds))
  }
  t.equal((await login('guessed', me.password, attacker)).status, 429, 'there the right one has to wait too')
  t.equal((await login('guessed', me.password, newAddress())).status, 200, 'its owner signs in from elsewhere')
  const other = (await auth.signUp('other')).username
  t.equal((await login(other, 'the password of other', attacker)).status, 200, 'and others from there')
})

t.test('correct sign-ins do not count, and give their attempt back', async (t) => {
  const people = await Promise.all(Array.from({ length: 10 }, (_, i) => auth.signUp(`punctual.${i}`)))
  const carrier = newAddress()
  const right = await Promise.all(
    people.flatMap((me) => Array.from({ length: 8 }, () => login(me.username, me.password, carrier)))
  )
  t.equal(right.length, 80)
  t.same([...new Set(right.map(({ status }) => status))], [200])
  for (let i = 0; i < 12; i++) t.equal((await login('punctual.0', people[0]!.password, carrier)).status, 200)
  t.same(await guesses(10, 'punctual.0', carrier), Array(10).fill(401), 'all ten attempts are there')
})

t.test('correct sign-ins to one account at once do not refuse each other', async (t) => {
  const me = await auth.signUp('shared')
  const school = newAddress()
  const right = await Promise.all(Array.from({ length: 30 }, () => login('shared', me.password, school)))
  t.same([...new Set(right.map(({ status }) => status))], [200])
  const { accessToken: token } = right[0]!.body
  const change = { token, body: { username: 'shared', currentPassword: me.password } }
  const proofs = await Promise.all(Array.from({ length: 15 }, () => auth.persist('PATCH', '/v1/auth/account', change)))
  t.same([...new Set(proofs.map(({ status }) => status))], [200], 'nor do proofs of one session')
})

t.test('many addresses cannot lock an owner out of where the account is used', async (t) => {
  const me = await auth.signUp('popular')
  const home = newAddress()
  t.equal((await login('popular', me.password, home)).status, 200)
  const statuses: number[] = []
  for (let i = 0; i < 4; i++) statuses.push(...(await guesses(9, 'popular', newAddress())))
  t.equal((await login('popular', 'another guess', newAddress())).status, 429)
  // One of each instance may be under way when the last one fails.
  t.ok([25, 26].includes(count(statuses, 401)), `${count(statuses, 401)} of 36`)
  t.equal((await login('popular', me.password, newAddress())).status, 429, 'from anywhere else it has to wait')
  t.equal((await login('popular', me.password, home)).status, 200, 'from home it has not')
  t.same(await guesses(1, 'popular', home), [429], 'but a wrong one hears there what it hears elsewhere')
  const patch = (token: string, currentPassword: string) =>
    auth.call('PATCH', '/v1/auth/account', { token, body: { email: 'popular@example.net', currentPassword } })
  t.equal((await patch(me.accessToken, me.password)).status, 200, 'nor who is signed in')
})

t.test('who is signed in has ten attempts of their own', async (t) => {
  const me = await auth.signUp('insider')
  const again = await login('insider', me.password, newAddress())
  const patch = (token: string, currentPassword: string) =>
    auth.call('PATCH', '/v1/auth/account', { token, body: { email: 'insider@example.net', currentPassword } })
  const statuses: number[] = []
  for (let i = 0; i < 12; i++) statuses.push((await patch(me.accessToken, `guess ${i}`)).status)
  t.same(statuses, [...Array(10).fill(401), 429, 429])
  t.equal((await patch(again.body.accessToken, me.password)).status, 200, 'another session is another')
  t.equal((await login('insider', me.password, newAddress())).status, 200)
})

t.test('nothing tells which name and which address are one account, or that there is one', async (t) => {
  const me = await auth.signUp('linked')
  const [one, two] = [newAddress(), newAddress()]
  t.same(await guesses(11, 'linked', one).then((all) => all.sort()), [...Array(10).fill(401), 429])
  t.same(await guesses(10, me.email, one), Array(10).fill(401), 'the address counts for itself')
  t.same(await guesses(11, 'No.Body', two).then((all) => all.sort()), [...Array(10).fill(401), 429])
  t.same(await guesses(10, 'no.body@example.org', two), Array(10).fill(401))
})

t.test('an address that fails at many accounts has to wait, where they are not used from it', async (t) => {
  const me = await auth.signUp('neighbour')
  const shared = newAddress()
  t.equal((await login('neighbour', me.password, shared)).status, 200)
  const statuses: number[] = []
  for (let i = 0; i < 7; i++) statuses.push(...(await guesses(9, `sprayed.${i}`, shared)))
  // One of each instance may be under way when the last one fails.
  t.ok([60, 61].includes(count(statuses, 401)), `${count(statuses, 401)} of 63`)
  t.same(await guesses(2, 'sprayed.7', shared), [429, 429])
  // Else who shares the address would learn which accounts are used from it.
  const heard = await Promise.all(['neighbour', 'sprayed.8'].map((name) => login(name, 'another guess', shared)))
  const bodies = heard.map(({ body: { requestId: _id, ...body } }) => body)
  t.same(bodies[0], bodies[1], 'a wrong password hears the same of an account that is used there and of none')
  t.match(bodies[0], { status: 429, code: 'RATE_LIMITED' })
  t.equal((await login('neighbour', me.password, shared)).status, 200)
})

t.test('who tried, and from where, is not written down: only keyed hashes, for as long as they count', async (t) => {
  const me = await auth.signUp('traced')
  const place = '203.0.113.77'
  t.same(await guesses(2, 'traced', place), [401, 401])
  t.same(await guesses(1, 'stranger@example.org', place), [401])
  t.equal((await login(me.email, me.password, place)).status, 200)
  const redis = openRedis({ url: auth.stores.redis.url, commandTimeoutMs: 30_000 })
  t.teardown(() => redis.close())
  await waitFor(() => redis.connected())
  const keys = (await redis.run((client) => client.keys(`${auth.stores.redis.prefix}*attempts:*`))) ?? []
  t.ok(keys.length > 5, `${keys.length} keys`)
  for (const key of keys) {
    t.match(key, /attempts:(?:pair:[\w-]{22}:[\w-]{22}|(?:account|address):[\w-]{22}|session:[0-9a-z]{26})$/)
    const left = Number(await redis.run((client) => client.pttl(key)))
    t.ok(left <= 600_000 && left !== -1, 'it ends by itself')
  }
  const stored = JSON.stringify(await Promise.all(['accounts', 'sessions', 'outbox'].map(auth.peek)))
  t.match(stored, me.email)
  t.notMatch(stored, place, 'the places of an account are hashes as well')
  t.notMatch(stored, '198.51.', 'nor of anybody else')
})

t.test('unknown logins cost what known ones cost: the same reads and the same hash', async (t) => {
  await auth.signUp('timed')
  const work: string[] = []
  const real = argon2.hashRaw
  const noting: Hash = (password, options, signal) => {
    const { memoryCost, timeCost, parallelism, outputLen } = options ?? {}
    work.push(`hash ${memoryCost} ${timeCost} ${parallelism} ${outputLen}`)
    return real(password, options, signal)
  }
  t.teardown(replaceHash(noting))
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
  t.same(known, [`find ${usernames.name}`, `find ${accounts.name}`, 'hash 19456 2 1 32'])
  t.same(await workOf('untimed'), known)
})

t.test('the window slides, in Redis and in memory, and memory is bounded', async (t) => {
  let now = 1_000_000
  const redis = openRedis({ url: auth.stores.redis.url, commandTimeoutMs: 30_000 })
  t.teardown(() => redis.close())
  await waitFor(() => redis.connected())
  const options = { remembered: 2, now: () => now }
  const of = (key: string, windowMs = 3_000) => ({ key, limit: 3, windowMs, strict: true })
  const shared = createAttempts({ ...options, redis, prefix: `${auth.stores.redis.prefix}window:` })
  for (let i = 0; i < 3; i++) t.equal((await shared.take([of('a', 600_000)])).waitMs, 0)
  const { waitMs } = await shared.take([of('a', 600_000)])
  t.ok(waitMs > 0 && waitMs <= 600_000, String(waitMs))
  const both = await shared.take([of('b', 600_000), of('a', 600_000)])
  t.ok(both.waitMs > 0, 'one of two refuses')
  for (let i = 0; i < 3; i++) t.equal((await shared.take([of('b', 600_000)])).waitMs, 0, 'then none is taken')
  for (let i = 0; i < 3; i++) t.equal((await shared.take([of('c', 20)])).waitMs, 0)
  await waitFor(async () => (await shared.take([of('c', 20)])).waitMs === 0)
  const back = await shared.take([of('d', 600_000)])
  await back.giveBack()
  for (let i = 0; i < 3; i++) t.equal((await shared.take([of('d', 600_000)])).waitMs, 0, 'what is given back is free')

  const alone = createAttempts({ ...options, redis: undefined, prefix: '' })
  const wait = async (key: string) => (await alone.take([of(key)])).waitMs
  for (let i = 0; i < 3; i++) t.equal(await wait('a'), 0)
  t.equal(await wait('a'), 3_000)
  now += 2_999
  t.equal(await wait('a'), 1)
  now += 1
  const { giveBack } = await alone.take([of('a')])
  await giveBack()
  for (let i = 0; i < 3; i++) t.equal(await wait('a'), 0)
  t.equal(await wait('a'), 3_000)
  // A third key makes the one forgotten that was used longest ago.
  for (let i = 0; i < 3; i++) await wait('b')
  await wait('c')
  t.equal(await wait('b'), 3_000)
  t.equal(await wait('a'), 0)
})

t.test('what is not strict counts when it has failed, and not before', async (t) => {
  const redis = openRedis({ url: auth.stores.redis.url, commandTimeoutMs: 30_000 })
  t.teardown(() => redis.close())
  await waitFor(() => redis.connected())
  for (const link of [redis, undefined]) {
    const prefix = `${auth.stores.redis.prefix}loose:`
    const attempts = createAttempts({ redis: link, prefix, remembered: 9, now: () => 0 })
    const bound = { key: 'a', limit: 2, windowMs: 600_000, strict: false }
    const taken = await Promise.all([1, 2, 3, 4].map(() => attempts.take([bound])))
    t.same(
      taken.map(({ waitMs }) => waitMs),
      [0, 0, 0, 0]
    )
    await taken[0]!.giveBack()
    await taken[1]!.failed()
    t.equal((await attempts.take([bound])).waitMs, 0)
    await taken[2]!.failed()
    t.ok((await attempts.take([bound])).waitMs > 0)
  }
})

t.test('a crowd that is refused for the failures of others is not told to come back at one moment', async (t) => {
  const redis = openRedis({ url: auth.stores.redis.url, commandTimeoutMs: 30_000 })
  t.teardown(() => redis.close())
  await waitFor(() => redis.connected())
  for (const [i, link] of [redis, undefined].entries()) {
    const prefix = `${auth.stores.redis.prefix}crowd:`
    let dice = 0
    const attempts = createAttempts({ redis: link, prefix, remembered: 9, now: () => 0, random: () => dice })
    const bound = { key: 'a', limit: 1, windowMs: 600_000, strict: false }
    await (await attempts.take([bound])).failed()
    const waits = []
    for (dice of [0, 0.5, 0.9]) waits.push((await attempts.take([bound])).waitMs)
    t.ok(waits[0]! > 0 && waits[1]! > waits[0]! + 3_000 && waits[2]! > waits[1]! + 3_000, `${i}: ${waits}`)
    t.ok(waits[2]! <= 610_000)
    const own = { ...bound, key: 'b', strict: true }
    await attempts.take([own])
    t.ok((await attempts.take([own])).waitMs <= 600_000, 'who is refused for failures of their own waits no longer')
  }
})

t.test('without Redis the instances go on by themselves', async (t) => {
  const redis = openRedis({ url: 'redis://127.0.0.1:1' })
  t.teardown(() => redis.close())
  const attempts = createAttempts({ redis, prefix: '', remembered: 9, now: () => 0 })
  const one = { key: 'a', limit: 1, windowMs: 60_000, strict: true }
  t.equal((await attempts.take([one])).waitMs, 0)
  t.equal((await attempts.take([one])).waitMs, 60_000)
})
