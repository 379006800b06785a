import t from 'tap'
import { createClient, SkerryApiError } from '../src/index.ts'
import { grant, problem, type Reply, type Seen, serve } from './server.ts'

const ID = '06b1n7v4kc0j5m3q8w2x9y6z1a'

/** Does what is asked once, loses that answer, and answers repeats as a server that has only the result. */
function forgetful(repeated: (request: Seen) => Reply) {
  const done = new Set<string>()
  return (request: Seen): Reply => {
    if (request.path === '/v1/auth/login') return { status: 200, body: grant(1) }
    const what = `${request.method} ${request.path}`
    if (done.has(what)) return repeated(request)
    done.add(what)
    return 'drop'
  }
}

t.test('a DELETE whose answer was lost and whose repeat finds nothing is done', async (t) => {
  const gone = (code: string) =>
    serve(
      t,
      forgetful(() => problem(404, code))
    )
  await createClient({ baseUrl: (await gone('CNT_POST_NOT_FOUND')).url }).posts.delete(ID)
  await createClient({ baseUrl: (await gone('CNT_COMMENT_NOT_FOUND')).url }).comments.delete(ID)
  await createClient({ baseUrl: (await gone('AUTH_SESSION_NOT_FOUND')).url }).auth.endSession(ID)
  const never = await serve(t, () => problem(404, 'CNT_POST_NOT_FOUND'))
  await t.rejects(createClient({ baseUrl: never.url }).posts.delete(ID), SkerryApiError, 'the first to say so is right')
})

t.test('a logout whose answer was lost is a logout, and nobody is told that it happened to them', async (t) => {
  for (const code of ['SESSION_REVOKED', 'UNAUTHENTICATED', 'TOKEN_EXPIRED']) {
    const server = await serve(
      t,
      forgetful(({ path }) => problem(401, path === '/v1/auth/refresh' ? 'AUTH_BAD_REFRESH_TOKEN' : code))
    )
    const client = createClient({ baseUrl: server.url, onSignedOut: () => t.fail('onSignedOut') })
    await client.auth.login({ login: 'ada', password: 'x' })
    await client.auth.logout()
    t.equal(await client.auth.current(), null)
    t.ok(server.at('/v1/auth/logout').length >= 2, 'it was repeated')
  }
})

t.test('a deletion of an account is asked for again, and its id is not lost', async (t) => {
  const deletion = { id: ID, state: 'erasing', requestedAt: '', finishedAt: null, waitingFor: [], erased: [] }
  const server = await serve(
    t,
    forgetful(() => ({ status: 202, body: deletion }))
  )
  const client = createClient({ baseUrl: server.url, onSignedOut: () => t.fail('onSignedOut') })
  await client.auth.login({ login: 'ada', password: 'x' })
  t.equal((await client.auth.deleteAccount({ currentPassword: 'x' })).id, ID)
  t.equal(server.at('/v1/auth/account').length, 2)
  t.equal(await client.auth.current(), null)
})

t.test('… also when another call finds the session ended meanwhile', async (t) => {
  const deletion = { id: ID, state: 'erasing', requestedAt: '', finishedAt: null, waitingFor: [], erased: [] }
  let deleted = false
  const server = await serve(t, async ({ method, path, headers }) => {
    if (path === '/v1/auth/login') return { status: 200, body: grant(1) }
    if (path === '/v1/auth/refresh') return problem(401, 'AUTH_BAD_REFRESH_TOKEN')
    if (path === '/v1/users/me') return problem(401, 'SESSION_REVOKED')
    if (method !== 'DELETE' || headers.authorization === undefined) return problem(401, 'UNAUTHENTICATED')
    if (deleted) return { status: 202, body: deletion }
    deleted = true
    await t.rejects(client.users.me(), { code: 'AUTH_BAD_REFRESH_TOKEN' })
    return 'drop'
  })
  const client = createClient({ baseUrl: server.url, onSignedOut: () => t.fail('onSignedOut') })
  await client.auth.login({ login: 'ada', password: 'x' })
  t.equal((await client.auth.deleteAccount({ currentPassword: 'x' })).id, ID)
  t.equal(await client.auth.current(), null)
})
