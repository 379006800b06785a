import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { createSharedDeadline, currentDeadline, deadlinePassed, remainingMs, withDeadline } from '../src/index.ts'

const left = (ms: number) => ({ remainingMs: () => ms })

t.test('what is started and awaited under a deadline finds it, and nothing else does', async (t) => {
  t.equal(currentDeadline(), undefined)
  t.equal(remainingMs(), Number.POSITIVE_INFINITY)
  const seen = await Promise.all(
    [100, 200].map((ms) =>
      withDeadline(
        left(ms),
        async (name: string) => {
          await turn()
          const own = [name, remainingMs()]
          await withDeadline(undefined, async () => {
            await turn()
            own.push(remainingMs())
          })
          return [...own, remainingMs()]
        },
        `of ${ms}`
      )
    )
  )
  t.strictSame(seen, [
    ['of 100', 100, Number.POSITIVE_INFINITY, 100],
    ['of 200', 200, Number.POSITIVE_INFINITY, 200]
  ])
  t.equal(currentDeadline(), undefined)
})

t.test('a shared deadline is the latest of those who wait', async (t) => {
  const shared = createSharedDeadline()
  t.equal(shared.remainingMs(), 0, 'nobody waits')
  const first = { ms: 50, remainingMs: () => first.ms }
  shared.add(first)
  shared.add(left(20))
  t.equal(shared.remainingMs(), 50)
  first.ms = -1
  t.equal(shared.remainingMs(), 20)
  shared.add(undefined)
  t.equal(shared.remainingMs(), Number.POSITIVE_INFINITY)
})

t.test('the error says when to come again and that the time was the caller’s', async (t) => {
  const cause = new Error('why')
  t.match(deadlinePassed(cause), {
    code: 'UNAVAILABLE',
    status: 503,
    retryAfter: 1,
    headers: { 'x-skerry-deadline': 'passed' },
    cause
  })
  t.notOk(Object.hasOwn(deadlinePassed(), 'cause') && deadlinePassed().cause)
})
