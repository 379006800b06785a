import t from 'tap'
import { createClient, SkerryNetworkError } from '../src/index.ts'
import { grant, problem, type Reply, serve, until } from './server.ts'

// Each has a server of its own, and most of it is waiting before a repeat.
t.jobs = 4

const ID = '06b1n7v4kc0j5m3q8w2x9y6z1a'
const HTML = { 'content-type': 'text/html' }

/** What stands between a phone and the server in hotels, trains and companies. */
const IN_BETWEEN: Record<string, Reply> = {
  'a 401 page': { status: 401, text: '<html>sign in</html>', headers: HTML },
  'a 401 in JSON': { status: 401, body: { error: 'unauthorized' } },
  'a 403 page': { status: 403, text: '<html>blocked</html>', headers: HTML },
  'a 407': { status: 407, text: '', headers: HTML },
  'a 511': { status: 511, text: '<html>sign in</html>', headers: HTML },
  'a 200 page': { status: 200, text: '<html>welcome</html>', headers: HTML },
  'a 204': { status: 204 },
  'ok: true': { status: 200, body: { ok: true } },
  null: { status: 200, text: 'null' },
  'a list': { status: 200, body: [] }
}

for (const [name, reply] of Object.entries(IN_BETWEEN)) {
  t.test(`${name} is no network: no session ends, no answer is made of it`, async (t) => {
    let portal = false
    const server = await serve(t, ({ path }) => {
      if (portal) return reply
      return path === '/v1/auth/login' ? { status: 200, body: grant(1) } : { status: 200, body: { id: ID } }
    })
    let signedOut = 0
    const stored = new Map<string, string>()
    const storage = {
      get: (key: string) => stored.get(key),
      set: (key: string, value: string) => stored.set(key, value),
      remove: (key: string) => stored.delete(key)
    }
    const client = createClient({ baseUrl: server.url, retries: 1, storage, onSignedOut: () => signedOut++ })
    await client.auth.login({ login: 'ada', password: 'x' })
    portal = true
    await t.rejects(client.users.me(), SkerryNetworkError)
    t.equal(server.at('/v1/users/me').length, 2, 'it was repeated')
    await t.rejects(client.auth.refresh(), SkerryNetworkError)
    await t.rejects(client.posts.list(), SkerryNetworkError)
    await t.rejects(client.posts.create({ text: 'x' }), SkerryNetworkError)
    await t.rejects(client.auth.login({ login: 'ada', password: 'x' }), SkerryNetworkError)
    if (reply !== IN_BETWEEN['a 204']) await t.rejects(client.posts.delete(ID), SkerryNetworkError)
    t.equal(signedOut, 0)
    t.equal((await client.auth.current())?.username, 'ada')
    t.equal(stored.size, 1)
    portal = false
    t.equal((await client.users.me()).id, ID, 'behind the portal it goes on')
  })
}

t.test('a refusal with another code than ours for a refresh ends no session', async (t) => {
  let refusing = false
  const server = await serve(t, ({ path }) => {
    if (path === '/v1/auth/login') return { status: 200, body: grant(1) }
    return refusing ? problem(401, 'SIGN_IN_TO_THE_NETWORK') : { status: 200, body: { id: ID } }
  })
  const onSignedOut = () => t.fail('onSignedOut')
  const client = createClient({ baseUrl: server.url, retries: 0, onSignedOut })
  await client.auth.login({ login: 'ada', password: 'x' })
  refusing = true
  await t.rejects(client.users.me(), { code: 'SIGN_IN_TO_THE_NETWORK' })
  await t.rejects(client.auth.refresh(), { code: 'SIGN_IN_TO_THE_NETWORK' })
  t.equal((await client.auth.current())?.username, 'ada')
  refusing = false
  t.equal((await client.users.me()).id, ID)
})

t.test('a live stream waits until the portal is passed', async (t) => {
  let portal = true
  const server = await serve(t, () => {
    if (portal) return IN_BETWEEN['a 401 page']!
    return {
      stream: (response) =>
        response
          .writeHead(200, { 'content-type': 'text/event-stream' })
          .write('id: a\nevent: post.created\ndata: {}\n\n')
    }
  })
  const got: unknown[] = []
  const live = createClient({ baseUrl: server.url }).live({
    onMessage: (m) => void got.push(m.id),
    onError: () => t.fail('onError')
  })
  await until(() => server.seen.length > 1, 'it is tried again')
  portal = false
  await until(() => got.length === 1, 'the message', 60_000)
  live.close()
  await live.closed
})

t.test('a stored session without its user, or without its tokens, is none', async (t) => {
  const server = await serve(t, () => ({ status: 200, body: { id: ID } }))
  for (const session of [{ accessToken: 'a', refreshToken: 'r' }, { user: { id: ID } }, null, 'text', { user: null }]) {
    const storage = { get: () => JSON.stringify(session), set: () => {}, remove: () => {} }
    const client = createClient({ baseUrl: server.url, storage })
    t.equal(await client.auth.current(), null)
    t.equal((await client.users.me()).id, ID)
    t.equal(server.seen.at(-1)?.headers.authorization, undefined)
  }
})
