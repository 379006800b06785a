import { mock } from 'node:test'
import { deadlinePassed, withDeadline } from '@skerry/deadline'
import t from 'tap'
import { createTurns } from '../src/turns.ts'

/** A promise that is ended by hand. */
function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open }
}

const never = () => new Promise<never>(() => {})
const LATE = { code: 'UNAVAILABLE', detail: deadlinePassed().detail }

t.test('one at a time for a key, in order, also after a failure', async (t) => {
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

t.test('other keys go on, and a line has an end', async (t) => {
  const turns = createTurns({ maxWaiting: 1 })
  const { opened, open } = gate()
  const first = turns('hot', () => opened)
  const second = turns('hot', async () => 'second')
  t.equal(await turns('other', async () => 'other'), 'other')
  await t.rejects(
    turns('hot', async () => 'third'),
    {
      code: 'UNAVAILABLE',
      detail: 'Too many concurrent changes to this resource.',
      headers: { 'x-skerry-blame': 'caller' }
    }
  )
  open()
  await first
  t.equal(await second, 'second')
  t.equal(await turns('hot', async () => 'again'), 'again')
})

t.test('who finds a line full is told to come back at different times', async (t) => {
  const dice = [0, 0.4, 0.99]
  const turns = createTurns({ maxWaiting: 0, random: () => dice.shift() ?? 0 })
  const { opened, open } = gate()
  const first = turns('hot', () => opened)
  for (const retryAfter of [1, 2, 3])
    await t.rejects(
      turns('hot', async () => 'refused'),
      { code: 'UNAVAILABLE', retryAfter }
    )
  open()
  await first
})

t.test('equal keys are one turn, and several are taken in the same order by everybody', async (t) => {
  // Turns do not end by themselves here: who waits for itself, or for one who waits for it, is late.
  const turns = createTurns({ waitMs: 10_000, holdMs: 3_600_000 })
  t.equal(await turns(['a', 'a'], async () => 'once'), 'once')
  const log: string[] = []
  const work = (name: string) => async () => {
    await new Promise((resolve) => setImmediate(resolve))
    log.push(name)
  }
  // Taken as they are written, the first two would each hold what the other waits for.
  await Promise.all([turns(['a', 'b'], work('ab')), turns(['b', 'a'], work('ba')), turns('b', work('b'))])
  t.same(log.sort(), ['ab', 'b', 'ba'])
})

t.test('who waits for a turn of its own ends by itself, and the line goes on', async (t) => {
  const turns = createTurns({ waitMs: 20 })
  await t.rejects(
    turns('key', () => turns('key', async () => 'inner')),
    LATE
  )
  t.equal(await turns('key', async () => 'free'), 'free')
})

t.test('a holder that never comes back holds the line for a bounded time', async (t) => {
  const turns = createTurns({ holdMs: 20, waitMs: 60_000 })
  const lost = turns('key', never)
  const log: string[] = []
  await Promise.all(['a', 'b'].map((name) => turns('key', async () => log.push(name))))
  t.same(log, ['a', 'b'])
  void lost
})

t.test('work that outlives its turn does not take the turn of whoever has it then', async (t) => {
  // By hand: the turn of the second must not end by itself, however slow the machine is.
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const turns = createTurns({ holdMs: 20, waitMs: 60_000 })
  const slow = gate()
  const long = turns('key', () => slow.opened)
  const holder = gate()
  const begun = gate()
  const second = turns('key', () => {
    begun.open()
    return holder.opened
  })
  mock.timers.tick(20)
  await begun.opened
  let third = false
  const last = turns('key', async () => {
    third = true
  })
  slow.open()
  await long
  await new Promise((resolve) => setImmediate(resolve))
  t.notOk(third, 'the second still holds it')
  holder.open()
  await Promise.all([second, last])
  t.ok(third)
})

t.test('nobody waits for longer than their deadline, and who has left is not called', async (t) => {
  const turns = createTurns({ maxWaiting: 1, waitMs: 60_000 })
  const { opened, open } = gate()
  const holder = turns('key', () => opened)
  let called = false
  const waiting = withDeadline({ remainingMs: () => 5 }, () =>
    turns('key', async () => {
      called = true
    })
  )
  await t.rejects(waiting, LATE)
  const next = turns('key', async () => 'next')
  open()
  await holder
  t.equal(await next, 'next', 'its place in the line was free again')
  t.notOk(called)
})

t.test('a key whose turn fails leaves no other key held', async (t) => {
  const turns = createTurns({ waitMs: 20, holdMs: 60_000 })
  const { opened, open } = gate()
  const holder = turns('b', () => opened)
  await t.rejects(
    turns(['a', 'b'], async () => 'both'),
    LATE
  )
  t.equal(await turns('a', async () => 'a'), 'a')
  open()
  await holder
})
