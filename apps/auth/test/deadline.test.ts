import { type Deadline, withDeadline } from '@skerry/deadline'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { createSlots } from '../src/domain/slots.ts'
import { realHash, replaceHash } from './support/cheap-hashes.ts'
import { startAuth } from './support/system.ts'

/** A deadline that passes when told. */
function deadline(): Deadline & { pass(): void } {
  let left = 60_000
  return {
    remainingMs: () => left,
    pass() {
      left = 0
    }
  }
}

/** Work that ends when told. */
function gated() {
  const gate = Promise.withResolvers<string>()
  return { work: () => gate.promise, end: () => gate.resolve('done') }
}

t.test('work whose deadline passed while it waited is not begun, and the next one is', async (t) => {
  const slots = createSlots(1, 5)
  const first = gated()
  const running = slots.run(first.work)
  const mine = deadline()
  const late = withDeadline(mine, () => slots.run(async () => t.fail('it was begun')))
  const next = slots.run(async () => 'next')
  mine.pass()
  first.end()
  t.equal(await running, 'done')
  await t.rejects(late, { code: 'UNAVAILABLE', headers: { 'x-skerry-deadline': 'passed' } })
  t.equal(await next, 'next')
  await t.rejects(
    withDeadline(mine, () => slots.run(async () => t.fail('it was begun'))),
    { code: 'UNAVAILABLE' },
    'nor with a place that is free'
  )
  t.equal(await slots.run(async () => 'free again'), 'free again')
})

t.test('who waits in vain makes room in a full queue', async (t) => {
  const slots = createSlots(1, 2)
  const first = gated()
  const running = slots.run(first.work)
  const mine = deadline()
  const late = [1, 2].map(() =>
    withDeadline(mine, () => slots.run(async () => t.fail('it was begun'))).catch((error: unknown) => error)
  )
  await t.rejects(
    slots.run(async () => 'too many'),
    { message: 'Too many concurrent sign-ins.' }
  )
  mine.pass()
  const next = slots.run(async () => 'next')
  t.match(await Promise.all(late), Array(2).fill({ headers: { 'x-skerry-deadline': 'passed' } }))
  first.end()
  t.equal(await next, 'next')
  await running
})

t.test('a login that is late begins no session', async (t) => {
  const auth = await startAuth(t, { config: { PASSWORD_CONCURRENCY: 1 } })
  const me = await auth.signUp('patient')
  const body = { login: me.username, password: me.password }
  // One hash at a time, and one that does not end before it is told to: who comes next waits for it.
  const held: (() => void)[] = []
  const restore = replaceHash(async (...input) => {
    await new Promise<void>((resolve) => held.push(resolve))
    return realHash(...input)
  })
  t.teardown(restore)
  const others = [auth.persist('POST', '/v1/auth/login', { body: { login: 'nobody', password: 'whatever it is' } })]
  await waitFor(() => held.length === 1)
  const late = await auth.call('POST', '/v1/auth/login', { body, headers: { 'x-skerry-deadline': '100' } })
  t.equal(late.status, 503)
  t.match(late.headers, { 'retry-after': '1', 'x-skerry-deadline': 'passed' })
  restore()
  for (const go of held) go()
  await Promise.all(others)
  t.equal((await auth.peek('sessions')).length, 1, 'that of the sign-up')
  t.equal((await auth.call('POST', '/v1/auth/login', { body })).status, 200)
  t.equal((await auth.peek('sessions')).length, 2)
})
