import t from 'tap'
import { createClient, SkerryApiError, SkerryNetworkError } from '../src/index.ts'
import { grant, problem, type Reply, type Seen, serve, USER, until } from './server.ts'

/** Behaves like auth: only the newest access token is good, a refresh token works once. */
function authority(expiresIn = 900) {
  let n = 1
  const state = { refuse: false, refreshReply: undefined as Reply | undefined, onRefresh: async () => {} }
  async function handle(request: Seen): Promise<Reply> {
    if (request.path === '/v1/auth/login') return { status: 200, body: grant(n, expiresIn) }
    if (request.path === '/v1/auth/refresh') {
      await state.onRefresh()
      if (state.refreshReply !== undefined) return state.refreshReply
      const given = (request.body as { refreshToken: string }).refreshToken
      if (given !== `refresh-${n}`) return problem(401, 'AUTH_BAD_REFRESH_TOKEN')
      n++
      return { status: 200, body: grant(n, expiresIn) }
    }
    if (request.path === '/v1/auth/account') return problem(401, 'AUTH_BAD_CREDENTIALS')
    if (request.headers.authorization !== `Bearer access-${n}`) return problem(401, 'TOKEN_EXPIRED')
    if (request.path === '/v1/auth/logout') return { status: 204 }
    return { status: 200, body: { id: USER.id } }
  }
  return {
    handle,
    state,
    expire: () => {
      n++
    },
    /** Makes the access tokens given so far bad, the refresh token stays. */
    spoil: (storage: Map<string, string>) => {
      const session = JSON.parse(storage.get('skerry.session') ?? '{}')
      storage.set('skerry.session', JSON.stringify({ ...session, accessToken: 'old' }))
    }
  }
}

function memory() {
  const map = new Map<string, string>()
  const storage = {
    get: async (key: string) => map.get(key) ?? null,
    set: async (key: string, value: string) => void map.set(key, value),
    remove: async (key: string) => void map.delete(key)
  }
  return { map, storage }
}

t.test('signs in, keeps the session in storage, and another start goes on with it', async (t) => {
  const auth = authority()
  const server = await serve(t, auth.handle)
  const { map, storage } = memory()
  const client = createClient({ baseUrl: server.url, storage })
  t.equal(await client.auth.current(), null)
  await client.auth.login({ login: 'ada', password: 'correct horse' })
  t.match(JSON.parse(map.get('skerry.session') ?? ''), { accessToken: 'access-1', user: { username: 'ada' } })
  const again = createClient({ baseUrl: server.url, storage })
  t.equal((await again.auth.current())?.username, 'ada')
  await again.users.me()
  t.equal(server.seen.at(-1)?.headers.authorization, 'Bearer access-1')
})

t.test('parallel requests with a refused token send one refresh and all succeed', async (t) => {
  const auth = authority()
  const server = await serve(t, auth.handle)
  const { map, storage } = memory()
  await createClient({ baseUrl: server.url, storage }).auth.login({ login: 'ada', password: 'x' })
  auth.spoil(map)
  const client = createClient({ baseUrl: server.url, storage })
  await Promise.all(Array.from({ length: 20 }, () => client.users.me()))
  t.equal(server.at('/v1/auth/refresh').length, 1)
})

t.test('an expiring token is renewed ahead, once', async (t) => {
  const auth = authority()
  const server = await serve(t, auth.handle)
  const { map, storage } = memory()
  await createClient({ baseUrl: server.url, storage }).auth.login({ login: 'ada', password: 'x' })
  map.set('skerry.session', JSON.stringify({ ...JSON.parse(map.get('skerry.session') ?? ''), refreshAt: 0 }))
  const client = createClient({ baseUrl: server.url, storage })
  await Promise.all([client.users.me(), client.users.me(), client.users.me()])
  t.equal(server.at('/v1/auth/refresh').length, 1)
  t.equal(server.at('/v1/users/me').length, 3, 'no request was refused first')
})

t.test('a refresh that cannot be reached logs nobody out', async (t) => {
  const auth = authority()
  const server = await serve(t, auth.handle)
  const { map, storage } = memory()
  const first = createClient({ baseUrl: server.url, storage })
  await first.auth.login({ login: 'ada', password: 'x' })
  const ahead = JSON.stringify({ ...JSON.parse(map.get('skerry.session') ?? ''), refreshAt: 0 })
  map.set('skerry.session', ahead)
  let signedOut = 0
  const client = createClient({ baseUrl: server.url, storage, retries: 0, onSignedOut: () => signedOut++ })
  auth.state.refreshReply = 'drop'
  t.equal((await client.users.me()).id, USER.id, 'the old token is good for a while yet')
  auth.state.refreshReply = problem(503, 'UNAVAILABLE')
  auth.expire()
  await t.rejects(client.users.me(), SkerryApiError)
  t.equal(signedOut, 0)
  t.ok(map.has('skerry.session'))
})

t.test('a refused refresh signs out once, says so, and rejects every waiting request', async (t) => {
  const auth = authority()
  const server = await serve(t, auth.handle)
  const { map, storage } = memory()
  const reasons: unknown[] = []
  const client = createClient({ baseUrl: server.url, storage, onSignedOut: (e) => reasons.push(e) })
  await client.auth.login({ login: 'ada', password: 'x' })
  auth.expire()
  const results = await Promise.allSettled([client.users.me(), client.users.me(), client.users.me()])
  t.same([...new Set(results.map((r) => r.status))], ['rejected'])
  t.match(reasons, [{ code: 'AUTH_BAD_REFRESH_TOKEN' }])
  t.equal(reasons.length, 1)
  t.notOk(map.has('skerry.session'))
  t.equal(await client.auth.current(), null)
})

t.test('two clients on one storage: the second takes what the first has renewed', async (t) => {
  const auth = authority()
  const server = await serve(t, auth.handle)
  const { storage } = memory()
  const a = createClient({ baseUrl: server.url, storage })
  await a.auth.login({ login: 'ada', password: 'x' })
  const b = createClient({ baseUrl: server.url, storage })
  await b.users.me()
  await a.auth.refresh()
  await b.users.me()
  t.equal(server.at('/v1/auth/refresh').length, 1)
  t.equal(server.seen.at(-1)?.headers.authorization, 'Bearer access-2')
})

t.test('two clients that refresh at the same moment: the loser is not logged out', async (t) => {
  const auth = authority()
  const server = await serve(t, auth.handle)
  const { map, storage } = memory()
  const a = createClient({ baseUrl: server.url, storage })
  await a.auth.login({ login: 'ada', password: 'x' })
  auth.spoil(map)
  const b = createClient({ baseUrl: server.url, storage })
  const c = createClient({ baseUrl: server.url, storage })
  await Promise.all([b.auth.current(), c.auth.current()])
  let arrived = 0
  auth.state.onRefresh = async () => {
    arrived++
    // Both have read the storage and sent the same token before either is answered.
    await until(() => arrived === 2, 'both refreshes on their way')
  }
  const results = await Promise.allSettled([b.users.me(), c.users.me()])
  t.same(
    results.map((r) => r.status),
    ['fulfilled', 'fulfilled']
  )
  t.equal(server.at('/v1/auth/refresh').length, 2)
})

t.test('who waits for the one refresh of all calls leaves when told to, and the others get its token', async (t) => {
  const auth = authority(0) // every token is due at once, so each call waits for a new one
  const server = await serve(t, auth.handle)
  const client = createClient({ baseUrl: server.url })
  await client.auth.login({ login: 'ada', password: 'x' })
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  auth.state.onRefresh = () => held
  const stop = new AbortController()
  const left = client.users.me({ signal: stop.signal })
  const stays = client.users.me()
  const states: string[] = []
  const live = client.live({ onMessage: () => {}, onState: (state) => states.push(state) })
  await until(() => server.at('/v1/auth/refresh').length === 1 && states.length === 1, 'they wait')
  const reason = new Error('the screen was closed')
  const rejected = t.rejects(left, reason)
  stop.abort(reason)
  live.close()
  await rejected
  await live.closed
  t.same(states, ['connecting', 'closed'])
  t.same(server.at('/v1/users/me'), [], 'all this while the refresh has no answer')
  release()
  t.equal((await stays).id, USER.id)
  t.equal(server.at('/v1/auth/refresh').length, 1)
})

t.test('a logout during a refresh stands', async (t) => {
  const auth = authority()
  const server = await serve(t, auth.handle)
  const { map, storage } = memory()
  const client = createClient({ baseUrl: server.url, storage })
  await client.auth.login({ login: 'ada', password: 'x' })
  let release = () => {}
  auth.state.onRefresh = () => new Promise((resolve) => (release = resolve))
  const refreshing = client.auth.refresh()
  await until(() => server.at('/v1/auth/refresh').length === 1, 'the refresh is on its way')
  await client.auth.logout()
  release()
  await refreshing
  t.equal(await client.auth.current(), null)
  t.notOk(map.has('skerry.session'))
})

t.test('logout without a network ends the session on the device and tells', async (t) => {
  const auth = authority()
  const server = await serve(t, (r) => (r.path === '/v1/auth/logout' ? 'drop' : auth.handle(r)))
  const client = createClient({ baseUrl: server.url, retries: 0 })
  await client.auth.login({ login: 'ada', password: 'x' })
  await t.rejects(client.auth.logout(), SkerryNetworkError)
  t.equal(await client.auth.current(), null)
})

t.test('a wrong current password is no reason to refresh', async (t) => {
  const auth = authority()
  const server = await serve(t, auth.handle)
  const client = createClient({ baseUrl: server.url })
  await client.auth.login({ login: 'ada', password: 'x' })
  await t.rejects(client.auth.updateAccount({ username: 'eve', currentPassword: 'no' }), {
    code: 'AUTH_BAD_CREDENTIALS'
  })
  t.equal(server.at('/v1/auth/refresh').length, 0)
  t.equal(server.at('/v1/auth/account').length, 1)
})

t.test('broken storage content counts as no session', async (t) => {
  const server = await serve(t, () => problem(401, 'UNAUTHENTICATED'))
  const { map, storage } = memory()
  map.set('skerry.session', '{"half":')
  const client = createClient({ baseUrl: server.url, storage })
  t.equal(await client.auth.current(), null)
  await t.rejects(client.users.me(), { code: 'UNAUTHENTICATED' })
  t.equal(server.seen.length, 1)
})
