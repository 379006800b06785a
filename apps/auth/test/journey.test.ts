import { createPublicKey, verify } from 'node:crypto'
import type { Account, Session } from '@skerry/contracts'
import { createIdentityFromJwks } from '@skerry/service'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startAuth } from './support/system.ts'

const auth = await startAuth(t, { instances: 2 })
const { call } = auth

t.test('sign up, sign in by email and by username, refresh, list, sign out', async (t) => {
  const ada = { email: 'Ada@Example.org', password: 'correct horse', username: 'Ada.L', displayName: 'Ada Lovelace' }
  const headers = { 'user-agent': 'phone/1', traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` }
  const made = await call('POST', '/v1/auth/signup', { body: ada, headers })
  t.equal(made.status, 201)
  t.match(made.body, {
    user: { username: 'Ada.L', email: 'Ada@Example.org', emailVerified: false, guest: false },
    tokenType: 'Bearer',
    expiresIn: 600
  })
  t.equal(made.headers['cache-control'], 'no-store')
  t.notOk('passwordHash' in made.body.user)

  const caller = await auth.instances[1]!.identity.verify(made.body.accessToken)
  t.match(caller, {
    userId: made.body.user.id,
    sessionId: made.body.session.id,
    username: 'Ada.L',
    displayName: 'Ada Lovelace'
  })

  for (const login of ['ada@example.ORG', 'aDA.l']) {
    const again = await call('POST', '/v1/auth/login', { body: { login, password: ada.password } })
    t.equal(again.status, 200, login)
    t.equal(again.body.user.id, made.body.user.id)
    t.not(again.body.session.id, made.body.session.id)
  }
  const wrong = await call('POST', '/v1/auth/login', { body: { login: 'ada.l', password: 'Correct horse' } })
  const nobody = await call('POST', '/v1/auth/login', { body: { login: 'nobody', password: 'Correct horse' } })
  for (const { status, body } of [wrong, nobody])
    t.match({ status, code: body.code }, { status: 401, code: 'AUTH_BAD_CREDENTIALS' })

  const refreshed = await call('POST', '/v1/auth/refresh', { body: { refreshToken: made.body.refreshToken } })
  t.equal(refreshed.status, 200)
  t.equal(refreshed.body.session.id, made.body.session.id)
  t.not(refreshed.body.refreshToken, made.body.refreshToken)

  const token = refreshed.body.accessToken
  const page = await call<{ items: Session[]; nextCursor: string }>('GET', '/v1/auth/sessions?limit=2', { token })
  t.equal(page.body.items.length, 2)
  const rest = await call<{ items: Session[]; nextCursor: null }>(
    'GET',
    `/v1/auth/sessions?limit=2&cursor=${page.body.nextCursor}`,
    { token }
  )
  t.equal(rest.body.nextCursor, null)
  t.match(rest.body.items, [{ id: made.body.session.id, current: true, userAgent: 'phone/1' }])
  t.same(
    page.body.items.map((s) => s.current),
    [false, false]
  )

  const other = page.body.items[0]!.id
  t.equal((await call('DELETE', `/v1/auth/sessions/${other}`, { token })).status, 204)
  t.equal((await call('DELETE', `/v1/auth/sessions/${other}`, { token })).status, 204, 'twice is once')

  const out = await call('POST', '/v1/auth/logout', { token, at: 0 })
  t.equal(out.status, 204)
  t.equal(out.headers['x-skerry-revoked'], made.body.session.id)
  const after = await call('GET', '/v1/auth/sessions', { token, at: 0 })
  t.match(
    { status: after.status, code: (after.body as { code?: string }).code },
    { status: 401, code: 'SESSION_REVOKED' }
  )
  await waitFor(async () => (await call('GET', '/v1/auth/sessions', { token, at: 1 })).status === 401)
  for (const at of [0, 1]) {
    const repeated = await call('POST', '/v1/auth/logout', { token, at })
    t.equal(repeated.status, 204, 'whoever lost the answer may ask again, anywhere')
    const own = await call('DELETE', `/v1/auth/sessions/${made.body.session.id}`, { token, at })
    t.equal(own.status, 204, 'ended by its id it is ended, too')
    const left = await call('DELETE', `/v1/auth/sessions/${page.body.items[1]!.id}`, { token, at })
    t.match(left, { status: 401, body: { code: 'SESSION_REVOKED' } }, 'but it ends no other session')
    const account = await call('DELETE', '/v1/auth/account', { token, at, body: { currentPassword: ada.password } })
    t.match(account, { status: 401, body: { code: 'SESSION_REVOKED' } }, 'nor the account')
  }
  const gone = await call('POST', '/v1/auth/refresh', { body: { refreshToken: refreshed.body.refreshToken } })
  t.match({ status: gone.status, code: gone.body.code }, { status: 401, code: 'AUTH_BAD_REFRESH_TOKEN' })

  await waitFor(
    async () => (await auth.readEvents()).filter((e) => e.subject === 'auth.session.revoked.v1').length === 2
  )
  const events = await auth.readEvents()
  const created = events.find((e) => e.subject === 'auth.account.created.v1')
  t.match(created?.data, { userId: made.body.user.id, username: 'Ada.L', displayName: 'Ada Lovelace' })
  t.match(created?.traceparent, /^00-a{32}-/, 'the trace of the request goes on')
  const subjects = ['auth.account.created.v1', 'auth.session.revoked.v1']
  t.same([...new Set(events.map((e) => e.subject))].sort(), subjects, 'a session that begins is told to nobody')
})

t.test('the account changes', async (t) => {
  const me = await auth.signUp()
  const second = (await call('POST', '/v1/auth/login', { body: { login: me.username, password: me.password } })).body
  const token = me.accessToken
  const moved = await call<Account>('PATCH', '/v1/auth/account', {
    token,
    body: { username: 'Renamed', email: 'new@example.org' }
  })
  t.equal(moved.status, 200)
  t.match(moved.body, { username: 'Renamed', email: 'new@example.org' })
  // What was given up is free again.
  t.equal((await call('POST', '/v1/auth/signup', { body: { ...namesOf(me), password: 'something else' } })).status, 201)
  t.equal(
    (await call('POST', '/v1/auth/login', { body: { login: 'new@example.org', password: me.password } })).status,
    200
  )
  const cased = await call<Account>('PATCH', '/v1/auth/account', { token, body: { username: 'reNAMED' } })
  t.equal(cased.body.username, 'reNAMED')

  const taken = await call('PATCH', '/v1/auth/account', { token, body: { username: me.username, email: me.email } })
  t.match(taken, {
    status: 409,
    body: { code: 'AUTH_EMAIL_TAKEN', errors: [{ path: 'body.email' }, { path: 'body.username' }] }
  })

  const changed = await call('PATCH', '/v1/auth/account', { token, body: { password: 'a new password' } })
  t.equal(changed.status, 200)
  t.match(changed.headers['x-skerry-revoked'], second.session.id)
  t.notMatch(changed.headers['x-skerry-revoked'], me.session.id)
  t.equal((await call('POST', '/v1/auth/refresh', { body: { refreshToken: second.refreshToken } })).status, 401)
  t.equal((await call('POST', '/v1/auth/refresh', { body: { refreshToken: me.refreshToken } })).status, 200)
  t.equal((await call('POST', '/v1/auth/login', { body: { login: 'renamed', password: me.password } })).status, 401)
  t.equal(
    (await call('POST', '/v1/auth/login', { body: { login: 'renamed', password: 'a new password' } })).status,
    200
  )

  auth.clock.offsetMs = 11 * 60_000
  t.teardown(() => {
    auth.clock.offsetMs = 0
  })
  const late = await call('PATCH', '/v1/auth/account', { token, body: { username: 'later' } })
  t.match({ status: late.status, code: late.body.code }, { status: 403, code: 'AUTH_REAUTHENTICATION_NEEDED' })
  const wrong = await call('PATCH', '/v1/auth/account', {
    token,
    body: { username: 'later', currentPassword: 'wrong' }
  })
  t.match({ status: wrong.status, code: wrong.body.code }, { status: 401, code: 'AUTH_BAD_CREDENTIALS' })
  const right = await call<Account>('PATCH', '/v1/auth/account', {
    token,
    body: { username: 'later', currentPassword: 'a new password' }
  })
  t.equal(right.body.username, 'later')
  const nothing = await call('PATCH', '/v1/auth/account', { token, body: { currentPassword: 'a new password' } })
  t.equal(nothing.status, 400)

  await waitFor(async () => (await updates(me.user.id)).length === 4)
  t.same(
    (await updates(me.user.id)).map(({ version, changed }) => ({ version, changed })),
    [
      { version: 2, changed: ['email', 'username'] },
      { version: 3, changed: ['username'] },
      { version: 4, changed: ['password'] },
      { version: 5, changed: ['username'] }
    ]
  )
})

t.test('the public keys verify what is signed', async (t) => {
  const answer = await call<{ keys: Record<string, string>[] }>('GET', '/.well-known/jwks.json')
  t.equal(answer.headers['cache-control'], 'public, max-age=300')
  t.equal(answer.body.keys.length, 1)
  t.notOk('d' in answer.body.keys[0]!, 'the private half stays')
  const me = await auth.signUp()
  const [header, claims, signature] = me.accessToken.split('.') as [string, string, string]
  t.equal(JSON.parse(Buffer.from(header, 'base64url').toString()).kid, answer.body.keys[0]!.kid)
  const key = createPublicKey({ key: answer.body.keys[0] as never, format: 'jwk' })
  t.ok(verify(null, Buffer.from(`${header}.${claims}`), key, Buffer.from(signature, 'base64url')))
  t.equal((await createIdentityFromJwks(answer.body as never).verify(me.accessToken)).userId, me.user.id)
})

async function updates(userId: string) {
  const events = await auth.readEvents()
  return events.filter((e) => e.subject === 'auth.account.updated.v1' && e.data.userId === userId).map((e) => e.data)
}

function namesOf({ email, username }: { email: string; username: string }) {
  return { email, username }
}
