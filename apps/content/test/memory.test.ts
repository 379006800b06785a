import { SkerryError } from '@skerry/contracts'
import { createTurns } from '@skerry/store'
import t from 'tap'
import { createAnyMerged } from '../src/domain/any-merged.ts'
import { createBatch } from '../src/domain/batch.ts'
import { createShortMemory } from '../src/domain/short-memory.ts'

t.test('turns: one at a time for a key, in order, also after a failure', async (t) => {
  const turns = createTurns()
  const log: string[] = []
  let running = 0
  const work = (name: string, fails = false) =>
    turns('key', async () => {
      running++
      t.equal(running, 1)
      await new Promise((resolve) => setImmediate(resolve))
      running--
      log.push(name)
      if (fails) throw new Error(name)
      return name
    })
  const all = await Promise.allSettled([work('a'), work('b', true), work('c')])
  t.strictSame(log, ['a', 'b', 'c'])
  t.match(all, [{ value: 'a' }, { reason: { message: 'b' } }, { value: 'c' }])
})

t.test('turns: other keys go on, and a line has an end', async (t) => {
  const turns = createTurns(2)
  let release = () => {}
  const blocked = new Promise<void>((resolve) => {
    release = resolve
  })
  const first = turns('hot', () => blocked)
  const second = turns('hot', async () => 'second')
  t.equal(await turns('other', async () => 'other'), 'other')
  await t.rejects(
    turns('hot', async () => 'third'),
    new SkerryError('UNAVAILABLE', { detail: 'Too many concurrent changes to this resource.', retryAfter: 1 })
  )
  release()
  await first
  t.equal(await second, 'second')
  t.equal(await turns('hot', async () => 'again'), 'again')
})

t.test('batch: what is asked for at once is one query, each key once', async (t) => {
  const queries: string[][] = []
  const batch = createBatch(async (keys) => {
    queries.push(keys)
    if (keys.includes('bad')) throw new Error('bad')
    return new Map(keys.filter((key) => key !== 'none').map((key) => [key, key.toUpperCase()]))
  }, 4)
  const answers = await Promise.all([batch.one('a'), batch.many(['a', 'b']), batch.one('none'), batch.many([])])
  t.equal(answers[0], 'A')
  t.equal(answers[1].get('b'), 'B')
  t.equal(answers[2], undefined)
  t.equal(answers[3].size, 0)
  t.strictSame(queries, [['a', 'b', 'none']])
  await Promise.all(['1', '2', '3', '4', '5'].map((key) => batch.one(key)))
  t.strictSame(queries.slice(1), [['1', '2', '3', '4'], ['5']])
  const failed = await Promise.allSettled([batch.one('bad'), batch.one('c')])
  t.match(failed, [{ status: 'rejected' }, { status: 'rejected' }])
  t.equal(await batch.one('c'), 'C', 'a failure is not remembered')
})

t.test('batch: a read never begins before it was asked for', async (t) => {
  let value = 1
  const gates: (() => void)[] = []
  const batch = createBatch(async (keys) => {
    const found = new Map(keys.map((key) => [key, value]))
    await new Promise<void>((resolve) => gates.push(resolve))
    return found
  }, 10)
  const before = batch.one('x')
  while (gates.length < 1) await new Promise((resolve) => setImmediate(resolve))
  value = 2
  const after = batch.one('x')
  while (gates.length < 2) await new Promise((resolve) => setImmediate(resolve))
  for (const open of gates) open()
  t.strictSame([await before, await after], [1, 2])
})

t.test('short memory: bounded in number, and empty when told to remember nothing', (t) => {
  const memory = createShortMemory<number>(60_000, 10)
  for (let i = 0; i < 100; i++) memory.begin()(`k${i}`, i)
  const left = Array.from({ length: 100 }, (_, i) => memory.get(`k${i}`)).filter((value) => value !== undefined)
  t.ok(left.length >= 10 && left.length <= 20, `${left.length} are left`)
  t.equal(memory.get('k99'), 99)
  const nothing = createShortMemory<number>(0, 10)
  nothing.begin()('a', 1)
  t.equal(nothing.get('a'), undefined)
  t.end()
})

t.test('any merged: asked again until it is so, and after a failure', async (t) => {
  const answers: (boolean | Error)[] = [new Error('away'), false, true]
  let asked = 0
  const any = createAnyMerged(async () => {
    const answer = answers[asked++]!
    if (answer instanceof Error) throw answer
    return answer
  }, 0)
  await t.rejects(any(), { message: 'away' })
  t.strictSame([await any(), await any(), await any(), await any()], [false, true, true, true])
  t.equal(asked, 3)
  let slow = 0
  const seldom = createAnyMerged(async () => {
    slow++
    return false
  }, 60_000)
  t.strictSame([await seldom(), await seldom()], [false, false])
  t.equal(slow, 1)
})
