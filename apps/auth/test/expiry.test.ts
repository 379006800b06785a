import type { Grant, Problem } from '@skerry/contracts'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startAuth } from './support/system.ts'

const { call, clock, signUp, peek, readEvents } = await startAuth(t, { instances: 2 })
const HOUR_MS = 3_600_000
const MONTH_MS = 30 * 24 * HOUR_MS

t.test('a session that was not refreshed in time ends and is told of, one that was goes on', async (t) => {
  const idle = await signUp()
  const loggedOut = await signUp()
  const active = await signUp()
  await call('POST', '/v1/auth/logout', { token: loggedOut.accessToken })
  clock.offsetMs = MONTH_MS - HOUR_MS
  const again = await call<Grant & Problem>('POST', '/v1/auth/refresh', {
    body: { refreshToken: active.refreshToken }
  })
  t.equal(again.status, 200)
  clock.offsetMs = MONTH_MS + HOUR_MS
  await waitFor(async () => (await peek('sessions')).length === 1, { message: 'the other two are gone' })
  t.same(
    (await peek('sessions')).map((session) => session._id),
    [active.session.id]
  )
  const ended = async () => (await readEvents()).filter((event) => event.subject === 'auth.session.revoked.v1')
  await waitFor(async () => (await ended()).length === 2)
  t.same(
    new Map((await ended()).map(({ data }) => [data.sessionId, data.reason])),
    new Map([
      [loggedOut.session.id, 'logout'],
      [idle.session.id, 'expired']
    ]),
    'the one that had ended before is not told of again'
  )
  const refused = await call('POST', '/v1/auth/refresh', { body: { refreshToken: idle.refreshToken } })
  t.equal(refused.body.code, 'AUTH_BAD_REFRESH_TOKEN')
})
