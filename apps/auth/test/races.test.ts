import type { Grant, Session } from '@skerry/contracts'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startAuth } from './support/system.ts'

const auth = await startAuth(t, { instances: 2, config: { MAX_SESSIONS: 12 } })
const call = auth.persist
const count = async (name: string) => (await auth.peek(name)).length
const tally = (answers: { status: number }[]) => {
  const by: Record<number, number> = {}
  for (const { status } of answers) by[status] = (by[status] ?? 0) + 1
  return by
}

t.test('of 20 sign-ups with one email, and of 20 with one username, one is taken', async (t) => {
  const password = 'good enough'
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      call('POST', '/v1/auth/signup', {
        body: { email: i % 2 ? 'Race@x.org' : 'race@X.org', username: `racer${i}`, password }
      })
    )
  )
  t.same(tally(answers), { 201: 1, 409: 19 })
  for (const { status, body } of answers)
    if (status === 409) t.match(body, { code: 'AUTH_EMAIL_TAKEN', errors: [{ path: 'body.email', code: 'taken' }] })
  const names = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      call('POST', '/v1/auth/signup', {
        body: { email: `race${i}@x.org`, username: i % 2 ? 'Sprint' : 'sprinT', password }
      })
    )
  )
  t.same(tally(names), { 201: 1, 409: 19 })
  for (const { status, body } of names)
    if (status === 409) t.match(body, { code: 'AUTH_USERNAME_TAKEN', errors: [{ path: 'body.username' }] })
  // What was refused has left nothing behind.
  t.same(
    [await count('accounts'), await count('emails'), await count('usernames'), await count('sessions')],
    [2, 2, 2, 2]
  )
  await waitFor(async () => (await auth.readEvents()).length === 2)
})

t.test('20 refreshes with one token share one grant, and the session lives', async (t) => {
  const me = await auth.signUp('refresher')
  let { refreshToken } = me
  for (let round = 0; round < 3; round++) {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => call('POST', '/v1/auth/refresh', { body: { refreshToken } }))
    )
    t.same(tally(answers), { 200: 20 })
    const given = new Set(answers.map((a) => a.body.refreshToken))
    t.equal(given.size, 1)
    t.notOk(given.has(refreshToken))
    refreshToken = answers[0]!.body.refreshToken
  }
  const { status, body } = await call('POST', '/v1/auth/refresh', { body: { refreshToken } })
  t.equal(status, 200)
  t.equal((await call('GET', '/v1/auth/sessions', { token: body.accessToken })).status, 200)
})

t.test('one Idempotency-Key, 10 requests: one account', async (t) => {
  const headers = { 'idempotency-key': 'once-and-for-all' }
  const body = { email: 'once@x.org', username: 'once', password: 'good enough' }
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => call('POST', '/v1/auth/signup', { body, headers }))
  )
  for (const { status } of answers) t.ok(status === 201 || status === 409, String(status))
  const again = await call('POST', '/v1/auth/signup', { body, headers })
  t.equal(again.status, 201)
  t.equal(again.headers['idempotency-replayed'], 'true')
  const lasting = ({ user, session, refreshToken }: Grant) => ({ user, session, refreshToken })
  const made = answers.filter(({ status }) => status === 201).map((answer) => lasting(answer.body))
  t.same(
    made,
    made.map(() => lasting(again.body)),
    'whoever got an answer got this one'
  )
  t.equal((await call('POST', '/v1/auth/refresh', { body: { refreshToken: again.body.refreshToken } })).status, 200)
  const other = await call('POST', '/v1/auth/signup', { body: { ...body, password: 'another one' }, headers })
  t.match({ status: other.status, code: other.body.code }, { status: 409 }, 'who chooses the same key is a stranger')
})

t.test('sign-ins while the password changes leave no session of the old one', async (t) => {
  const me = await auth.signUp('changer')
  const login = () => call('POST', '/v1/auth/login', { body: { login: 'changer', password: me.password } })
  const [changed, ...logins] = await Promise.all([
    call('PATCH', '/v1/auth/account', { token: me.accessToken, body: { password: 'a new password' } }),
    ...Array.from({ length: 8 }, login)
  ])
  t.equal(changed.status, 200)
  for (const { status } of logins) t.ok(status === 200 || status === 401, String(status))
  const page = await call<{ items: Session[] }>('GET', '/v1/auth/sessions', { token: me.accessToken })
  t.same(
    page.body.items.map((s) => s.id),
    [me.session.id]
  )
})

t.test('an account has a bounded number of sessions: the oldest end', async (t) => {
  const me = await auth.signUp('collector')
  const body = { login: 'collector', password: me.password }
  const grants = [me]
  for (let i = 0; i < 13; i++) grants.push({ ...me, ...(await call('POST', '/v1/auth/login', { body })).body })
  const token = grants.at(-1)!.accessToken
  const page = await call<{ items: Session[] }>('GET', '/v1/auth/sessions', { token })
  t.same(
    page.body.items.map((s) => s.id),
    grants
      .slice(2)
      .map((g) => g.session.id)
      .reverse()
  )
  const refused = await call('POST', '/v1/auth/refresh', { body: { refreshToken: me.refreshToken } })
  t.equal(refused.status, 401)
})

t.test('20 requests take one username from two accounts: exactly one gets it', async (t) => {
  const [a, b] = [await auth.signUp('left'), await auth.signUp('right')]
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      call('PATCH', '/v1/auth/account', { token: (i % 2 ? a : b).accessToken, body: { username: 'Middle' } })
    )
  )
  const won = answers.map((answer, i) => ({ i, status: answer.status })).filter((x) => x.status === 200)
  t.ok(won.length > 0)
  t.equal(new Set(won.map((x) => x.i % 2)).size, 1, 'asking again for what one has is no change')
  for (const { status } of answers) t.ok(status === 200 || status === 409, String(status))
})
