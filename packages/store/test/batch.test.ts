import { type Deadline, remainingMs, withDeadline } from '@skerry/deadline'
import t from 'tap'
import { createBatch } from '../src/batch.ts'

t.test('what is asked for at once is one query, each key once', async (t) => {
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

t.test('a read never begins before it was asked for', async (t) => {
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

const left = (ms: number): Deadline => ({ remainingMs: () => ms })

t.test('reads that are gathered have the latest deadline of those who wait', async (t) => {
  const seen: number[] = []
  const batch = createBatch(async (keys) => {
    seen.push(remainingMs())
    return new Map(keys.map((key) => [key, key]))
  }, 3)
  const ask = (deadline: Deadline | undefined, key: string) => withDeadline(deadline, () => batch.one(key))
  t.same(await Promise.all([ask(left(10), 'a'), ask(left(30), 'b'), ask(left(20), 'c')]), ['a', 'b', 'c'])
  await ask(left(5), 'd')
  await Promise.all([ask(left(10), 'e'), ask(undefined, 'f')])
  t.same(seen, [30, 5, Number.POSITIVE_INFINITY])
})
