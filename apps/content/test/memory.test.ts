import t from 'tap'
import { createAnyMerged } from '../src/domain/any-merged.ts'
import { createShortMemory } from '../src/domain/short-memory.ts'

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
