import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startAuth } from './support/system.ts'

const auth = await startAuth(t, { redis: false })
const { call, clock } = auth
const refresh = (refreshToken: string) => call('POST', '/v1/auth/refresh', { body: { refreshToken } })
const MINUTE = 60_000
t.afterEach(() => {
  clock.offsetMs = 0
})

t.test('a token that was used is repeated within the grace', async (t) => {
  const me = await auth.signUp()
  const first = await refresh(me.refreshToken)
  clock.offsetMs = 50_000
  const again = await refresh(me.refreshToken)
  t.equal(again.status, 200)
  t.equal(again.body.refreshToken, first.body.refreshToken)
  t.equal((await refresh(first.body.refreshToken)).status, 200)
})

t.test(
  'answers that are lost for long are repeated for as long as the next token is unused, ten times a day',
  async (t) => {
    const me = await auth.signUp()
    const first = await refresh(me.refreshToken)
    for (let i = 1; i <= 10; i++) {
      clock.offsetMs = i * 62 * MINUTE
      for (let j = 0; j < 2; j++) t.equal((await refresh(me.refreshToken)).body.refreshToken, first.body.refreshToken)
    }
    clock.offsetMs = 24.5 * 60 * MINUTE + 62 * MINUTE
    t.equal((await refresh(me.refreshToken)).status, 200, 'a day later the first of them is forgotten')
    clock.offsetMs += 62 * MINUTE
    t.equal((await refresh(me.refreshToken)).status, 200)
  }
)

t.test('the eleventh of a day ends the session, its newest token and its access tokens', async (t) => {
  const me = await auth.signUp()
  const first = await refresh(me.refreshToken)
  for (let i = 1; i <= 10; i++) {
    clock.offsetMs = i * 12 * MINUTE
    t.equal((await refresh(me.refreshToken)).status, 200)
  }
  clock.offsetMs = 132 * MINUTE
  const stolen = await refresh(me.refreshToken)
  t.equal(stolen.status, 401)
  t.equal(stolen.headers['x-skerry-revoked'], me.session.id)
  t.equal((await refresh(first.body.refreshToken)).status, 401)
})

t.test('two lost answers in a row sign nobody out', async (t) => {
  const me = await auth.signUp()
  const lost = await refresh(me.refreshToken)
  clock.offsetMs = 62_000
  t.equal((await refresh(me.refreshToken)).body.refreshToken, lost.body.refreshToken)
  clock.offsetMs = 124_000
  const third = await refresh(me.refreshToken)
  t.equal(third.status, 200)
  t.equal((await refresh(third.body.refreshToken)).status, 200)
})

t.test('two processes of one phone that race stay signed in', async (t) => {
  const me = await auth.signUp()
  const second = await refresh(me.refreshToken)
  const third = await refresh(second.body.refreshToken)
  clock.offsetMs = 50_000
  const late = await refresh(me.refreshToken)
  t.equal(late.status, 200)
  t.equal(late.body.refreshToken, third.body.refreshToken, 'the newest one')
  t.equal((await refresh(late.body.refreshToken)).status, 200)
})

t.test('late repeats that race count as one', async (t) => {
  const me = await auth.signUp()
  await refresh(me.refreshToken)
  clock.offsetMs = 60 * MINUTE
  const answers = await Promise.all(Array.from({ length: 10 }, () => refresh(me.refreshToken)))
  for (const { status } of answers) t.equal(status, 200)
})

t.test('a token two steps old ends the session once the grace is over', async (t) => {
  const me = await auth.signUp()
  const first = await refresh(me.refreshToken)
  const second = await refresh(first.body.refreshToken)
  t.equal(second.status, 200)
  clock.offsetMs = 61_000
  const stolen = await refresh(me.refreshToken)
  t.match({ status: stolen.status, code: stolen.body.code }, { status: 401, code: 'AUTH_BAD_REFRESH_TOKEN' })
  t.equal((await refresh(second.body.refreshToken)).status, 401)
  const after = await call('GET', '/v1/auth/sessions', { token: second.body.accessToken })
  t.match({ status: after.status, code: after.body.code }, { status: 401, code: 'SESSION_REVOKED' })
  await waitFor(async () =>
    (await auth.readEvents()).some(
      (e) => e.data.sessionId === me.session.id && e.data.reason === 'refresh_token_reused'
    )
  )
})

t.test('what is no token of a session does not end it', async (t) => {
  const me = await auth.signUp()
  const [sid, secret] = me.refreshToken.split('.') as [string, string]
  const other = (await auth.signUp()).refreshToken.split('.')[1]!
  for (const [i, bad] of [
    `${sid}.${other}`,
    `${sid}.${'A'.repeat(64)}`,
    `${sid}.${secret.slice(0, 63)}`,
    `${sid}.${secret}A`,
    sid,
    `00000000000000000000000000.${secret}`,
    `${sid}.${secret} `,
    'x'
  ].entries()) {
    const { status, body } = await refresh(bad)
    t.match({ status, code: body.code }, { status: 401, code: 'AUTH_BAD_REFRESH_TOKEN' }, `bad ${i}`)
  }
  t.equal((await refresh(me.refreshToken)).status, 200)
})

t.test('a session slides, and ends when it was left alone for 30 days', async (t) => {
  const me = await auth.signUp()
  const DAY = 24 * 60 * MINUTE
  clock.offsetMs = 29 * DAY
  const kept = await refresh(me.refreshToken)
  t.equal(kept.status, 200)
  clock.offsetMs = 58 * DAY
  const again = await refresh(kept.body.refreshToken)
  t.equal(again.status, 200)
  clock.offsetMs = 89 * DAY
  t.equal((await refresh(again.body.refreshToken)).status, 401)
})

t.test('no token and no password is stored', async (t) => {
  const headers = { 'idempotency-key': 'secret-keeping' }
  const body = { email: 'secret@x.org', username: 'secret', password: 'a very secret password' }
  const made = (await call('POST', '/v1/auth/signup', { body, headers })).body
  const next = (await refresh(made.refreshToken)).body
  const dump = JSON.stringify(
    await Promise.all(['accounts', 'sessions', 'idempotency', 'outbox', 'emails'].map(auth.peek))
  )
  t.match(dump, made.session.id)
  for (const secret of [made.accessToken, made.refreshToken, next.refreshToken, next.accessToken, body.password])
    for (const part of secret.split('.').slice(-1)) t.notOk(dump.includes(part), 'not in the clear')
  const again = (await call('POST', '/v1/auth/signup', { body, headers })).body
  t.same(again.session, made.session)
  t.equal(again.refreshToken, next.refreshToken, 'a repeat brings the token that is to be used next')
  t.equal((await refresh(again.refreshToken)).status, 200)
  await call('POST', '/v1/auth/logout', { token: next.accessToken })
  const anew = await call('POST', '/v1/auth/signup', { body, headers })
  t.equal(anew.status, 201)
  t.not(anew.body.session.id, made.session.id, 'after the end of its session a repeat signs in')
  t.match(dump, /\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
})

t.test('a repeated sign-up brings a password, which must still be the one of the account', async (t) => {
  const password = 'the first password'
  const key = (name: string) => ({ headers: { 'idempotency-key': `stale ${name}`.replaceAll(' ', '-') } })
  const bodyOf = (name: string) => ({ email: `${name}@x.org`, username: name, password })
  const change = (token: string) =>
    call('PATCH', '/v1/auth/account', { token, body: { password: 'the second password' } })
  const repeat = (name: string) => call('POST', '/v1/auth/signup', { body: bodyOf(name), ...key(name) })

  const kept = (await repeat('stalekept')).body
  t.equal((await change(kept.accessToken)).status, 200)
  t.match(
    await repeat('stalekept'),
    { status: 401, body: { code: 'AUTH_BAD_CREDENTIALS' } },
    'its session goes on, and stays with whoever changed the password'
  )
  t.equal((await refresh(kept.refreshToken)).status, 200, 'nothing ended by that')

  await repeat('staleended')
  const login = { login: 'staleended', password }
  const elsewhere = (await call('POST', '/v1/auth/login', { body: login })).body
  t.equal((await change(elsewhere.accessToken)).status, 200)
  t.match(await repeat('staleended'), { status: 401, body: { code: 'AUTH_BAD_CREDENTIALS' } })
  const sessions = await call('GET', '/v1/auth/sessions', { token: elsewhere.accessToken })
  t.equal((sessions.body as unknown as { items: unknown[] }).items.length, 1, 'and no session has begun')
})
