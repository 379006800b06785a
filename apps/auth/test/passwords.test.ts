import { argon2Sync, randomBytes } from 'node:crypto'
import t from 'tap'
import { createPasswords } from '../src/domain/passwords.ts'
import { createSlots } from '../src/domain/slots.ts'

const passwords = createPasswords({ concurrency: 2, queue: 4 })

t.test('a password is known by its hash', async (t) => {
  const hash = await passwords.hash('correct horse')
  t.match(hash, /^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/)
  t.not(await passwords.hash('correct horse'), hash, 'salted')
  t.equal(await passwords.verify('correct horse', hash), true)
  t.equal(await passwords.verify('correct horsf', hash), false)
  t.equal(await passwords.verify('', hash), false)
  t.equal(await passwords.verify('anything', undefined), false)
})

t.test('hashes of other parameters hold, and both ways to write é are one', async (t) => {
  // RFC 9106's reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 32
  const older = '$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc'
  t.equal(await passwords.verify('password', older), true)
  const hash = await passwords.hash('caf\u00e9 au lait')
  t.equal(await passwords.verify('cafe\u0301 au lait', hash), true)
  await t.rejects(passwords.verify('x', 'not a hash'), /not one of ours/)
})

t.test('what Node hashed, as earlier releases did, holds', async (t) => {
  for (const [memory, passes, parallelism, tagLength] of [
    [19 * 1024, 2, 1, 32],
    [12 * 1024, 3, 1, 32],
    [8 * 1024, 1, 2, 16]
  ] as const) {
    const nonce = randomBytes(16)
    const message = Buffer.from('grüße', 'utf8')
    const key = argon2Sync('argon2id', { message, nonce, memory, passes, parallelism, tagLength })
    const [salt, hash] = [nonce, key].map((bytes) => bytes.toString('base64').replaceAll('=', ''))
    const stored = `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${salt}$${hash}`
    t.equal(await passwords.verify('grüße', stored), true, stored)
    t.equal(await passwords.verify('grüsse', stored), false)
  }
})

t.test('only so many run and wait at once', async (t) => {
  const slots = createSlots(2, 3)
  let running = 0
  let most = 0
  const ends: (() => void)[] = []
  const work = async () => {
    most = Math.max(most, ++running)
    await new Promise<void>((resolve) => ends.push(resolve))
    running--
    return 'done'
  }
  const all = Array.from({ length: 5 }, () => slots.run(work))
  await t.rejects(slots.run(work), { code: 'UNAVAILABLE', retryAfter: Number })
  let done = false
  const finished = Promise.all(all).then((results) => {
    done = true
    return results
  })
  while (!done) {
    ends.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.same(await finished, Array(5).fill('done'))
  t.equal(most, 2)
  await t.rejects(
    slots.run(() => Promise.reject(new Error('mine'))),
    /mine/
  )
  t.equal(await slots.run(async () => 'a place is free again'), 'a place is free again')
})

/** Work that ends when it is told to, and the names of what has begun. */
function held() {
  const begun: string[] = []
  const ends: (() => void)[] = []
  const work = (name: string) => () => {
    begun.push(name)
    return new Promise<string>((resolve) => ends.push(() => resolve(name)))
  }
  const endNext = async () => {
    ends.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { begun, work, endNext }
}

t.test('who waits is served in turn by address: a crowd behind one waits for itself', async (t) => {
  const slots = createSlots(1, 100)
  const { begun, work, endNext } = held()
  const all = [
    ...Array.from({ length: 5 }, (_, i) => slots.run(work(`crowd ${i}`), 'crowd')),
    ...Array.from({ length: 2 }, (_, i) => slots.run(work(`ada ${i}`), 'ada')),
    slots.run(work('bob 0'), 'bob')
  ]
  while (begun.length < 8) await endNext()
  t.same(begun, ['crowd 0', 'crowd 1', 'ada 0', 'bob 0', 'crowd 2', 'ada 1', 'crowd 3', 'crowd 4'])
  await endNext()
  await Promise.all(all)
})

t.test(
  'in a full line the newest of the longest makes room, and they are told to come back at different times',
  async (t) => {
    let dice = 0
    const slots = createSlots(1, 4, () => (dice++ % 10) / 10)
    const { begun, work, endNext } = held()
    const ofCaller = { 'x-skerry-blame': 'caller' }
    const running = slots.run(work('runs'), 'crowd')
    const crowd = Array.from({ length: 4 }, (_, i) => slots.run(work(`crowd ${i}`), 'crowd'))
    const newest = t.rejects(crowd[3]!, { code: 'UNAVAILABLE', retryAfter: 1, headers: ofCaller })
    const ada = slots.run(work('ada'), 'ada')
    await newest
    await t.rejects(slots.run(work('crowd 4'), 'crowd'), { code: 'UNAVAILABLE', retryAfter: 2, headers: ofCaller })
    await t.rejects(slots.run(work('crowd 5'), 'crowd'), { code: 'UNAVAILABLE', retryAfter: 3 })
    while (begun.length < 5) await endNext()
    t.same(begun, ['runs', 'crowd 0', 'ada', 'crowd 1', 'crowd 2'])
    await endNext()
    t.same(await Promise.all([running, ada, ...crowd.slice(0, 3)]), ['runs', 'ada', 'crowd 0', 'crowd 1', 'crowd 2'])
  }
)

t.test('where everybody has one in the line, it is the instance that is full', async (t) => {
  const slots = createSlots(1, 2)
  const { work, endNext } = held()
  const all = ['a', 'b', 'c'].map((from) => slots.run(work(from), from))
  const refused = slots.run(work('d'), 'd').catch((error) => error.headers)
  t.same(await refused, {})
  for (let i = 0; i < 3; i++) await endNext()
  t.same(await Promise.all(all), ['a', 'b', 'c'])
})
