import { contentRoutes, usersRoutes } from '@skerry/contracts'
import t from 'tap'
import { createClient, SkerryApiError, SkerryNetworkError } from '../src/index.ts'
import { problem, serve, until } from './server.ts'
import { holdTimers } from './timers.ts'

const ID = '06b1n7v4kc0j5m3q8w2x9y6z1a'

t.test('fills in parameters, query and fields', async (t) => {
  const server = await serve(t, () => ({ status: 200, body: { items: [], nextCursor: null } }))
  const client = createClient({ baseUrl: `${server.url}/` })
  await client.posts.list({ author: ID, tag: 'a&b', limit: 5 }, { fields: ['id', 'author.username'] })
  t.equal(server.seen[0]?.path, '/v1/posts')
  t.equal(server.seen[0]?.query, `author=${ID}&fields=id%2Cauthor.username&limit=5&tag=a%26b`)
  await client.users.followers('a/b')
  t.equal(server.seen[1]?.path, '/v1/users/a%2Fb/followers')
  // @ts-expect-error the contract's parameter is missing
  await t.rejects(client.call(usersRoutes.getUser, {}), TypeError)
})

t.test('a problem becomes an error with its code, violations and request id', async (t) => {
  const body = {
    type: 'urn:skerry:error:bad-request',
    title: 'Bad',
    status: 400,
    code: 'BAD_REQUEST',
    requestId: 'r-1',
    errors: [{ path: 'body.text', code: 'minLength', message: 'too short' }]
  }
  const server = await serve(t, () => ({ status: 400, body }))
  const client = createClient({ baseUrl: server.url })
  const error = await client.posts.create({ text: '' }).catch((e) => e)
  t.type(error, SkerryApiError)
  t.match(error, { status: 400, code: 'BAD_REQUEST', requestId: 'r-1', problem: body })
  t.equal(server.seen.length, 1, 'no retry of a refusal')
})

t.test('an error that is not a problem document is still an error with a code', async (t) => {
  const server = await serve(t, () => ({ status: 413, text: '<html>too big</html>' }))
  const error = await createClient({ baseUrl: server.url })
    .posts.get(ID)
    .catch((e) => e)
  t.match(error, { name: 'SkerryApiError', status: 413, code: 'HTTP_413' })
})

t.test('a keyed POST is repeated with the same key after a drop, a 503 and its own request in flight', async (t) => {
  const replies = ['drop', problem(503, 'UNAVAILABLE', { 'retry-after': '0' }), problem(409, 'IDEMPOTENCY_IN_FLIGHT')]
  const server = await serve(t, () => (replies.shift() as never) ?? { status: 201, body: { id: ID } })
  const post = await createClient({ baseUrl: server.url }).posts.create({ text: 'hi' })
  t.equal(post.id, ID)
  const keys = new Set(server.seen.map((s) => s.headers['idempotency-key']))
  t.equal(server.seen.length, 4)
  t.equal(keys.size, 1)
  t.ok([...keys][0])
})

t.test("a given key is used, and two calls don't share one", async (t) => {
  const server = await serve(t, () => ({ status: 201, body: { id: ID } }))
  const client = createClient({ baseUrl: server.url })
  await client.posts.create({ text: 'a' }, { idempotencyKey: 'mine' })
  await client.posts.create({ text: 'a' })
  await client.posts.create({ text: 'a' })
  const keys = server.seen.map((s) => s.headers['idempotency-key'])
  t.equal(keys[0], 'mine')
  t.not(keys[1], keys[2])
})

t.test('null clears in a PATCH, which goes as a merge patch; other bodies are plain JSON', async (t) => {
  const server = await serve(t, () => ({ status: 204 }))
  const client = createClient({ baseUrl: server.url, retries: 0 })
  await client.posts.update(ID, { title: null }).catch(() => undefined)
  await client.posts.create({ text: 'a' }).catch(() => undefined)
  t.match(server.seen, [
    { method: 'PATCH', headers: { 'content-type': 'application/merge-patch+json' }, body: { title: null } },
    { method: 'POST', headers: { 'content-type': 'application/json' } }
  ])
})

t.test('what may have happened is not repeated: POST without a key, PATCH, DELETE with If-Match', async (t) => {
  const server = await serve(t, () => 'drop')
  const client = createClient({ baseUrl: server.url, retries: 3 })
  await t.rejects(client.auth.login({ login: 'ada', password: 'wrong' }), SkerryNetworkError)
  await t.rejects(client.users.updateMe({ bio: 'x' }), SkerryNetworkError)
  await t.rejects(client.posts.delete(ID, { ifMatch: '"1"' }), SkerryNetworkError)
  t.equal(server.seen.length, 3)
  await t.rejects(client.posts.unlike(ID), SkerryNetworkError)
  t.equal(server.at(`/v1/posts/${ID}/like`).length, 4, 'a plain DELETE is')
})

t.test('429 waits as long as it is told, also without a key; a longer wait than allowed is thrown', async (t) => {
  const replies = [problem(429, 'RATE_LIMITED', { 'retry-after': '1' })]
  const server = await serve(t, () => replies.shift() ?? problem(429, 'RATE_LIMITED', { 'retry-after': '120' }))
  const client = createClient({ baseUrl: server.url })
  // The second that was asked for, and up to a quarter of one so that not all come back at once.
  const timers = holdTimers(t, (ms) => ms >= 1_000 && ms <= 1_250)
  const refused = client.auth.login({ login: 'ada', password: 'x' }).catch((e) => e)
  await until(() => timers.waiting().length === 1, 'it waits for the second')
  t.equal(server.seen.length, 1, 'and asks nothing meanwhile')
  timers.fire()
  t.match(await refused, { status: 429, retryAfter: 120 })
  t.equal(server.seen.length, 2)
})

t.test('a slow answer times out, and a GET is asked again', async (t) => {
  let first = true
  const server = await serve(t, () => {
    if (!first) return { status: 200, body: { id: ID } }
    first = false
    return 'hang'
  })
  const client = createClient({ baseUrl: server.url, timeoutMs: 12_345 })
  const timers = holdTimers(t, (ms) => ms === 12_345)
  const got = client.posts.get(ID)
  await until(() => server.seen.length === 1, 'the request is on its way')
  timers.fire()
  t.equal((await got).id, ID)
  t.equal(server.seen.length, 2)
  t.same(timers.waiting(), [], 'an answer ends its time limit')
  first = true
  const changed = client.users.updateMe({ bio: 'x' }).catch((e) => e)
  await until(() => server.seen.length === 3, 'the change is on its way')
  timers.fire()
  t.match(await changed, { name: 'SkerryNetworkError', timeout: true })
  t.equal(server.seen.length, 3)
})

t.test('retries end; an abort ends a wait at once', async (t) => {
  const server = await serve(t, () => problem(503, 'UNAVAILABLE', { 'retry-after': '20' }))
  const gone = await serve(t, () => 'drop')
  await t.rejects(createClient({ baseUrl: gone.url, retries: 2 }).posts.get(ID), SkerryNetworkError)
  t.equal(gone.seen.length, 3)
  const abort = new AbortController()
  const timers = holdTimers(t, (ms) => ms >= 20_000 && ms <= 20_250)
  const pending = createClient({ baseUrl: server.url }).posts.get(ID, { signal: abort.signal })
  const reason = new Error('the screen was closed')
  const rejected = t.rejects(pending, reason)
  await until(() => timers.waiting().length === 1, 'it waits for the next attempt')
  abort.abort(reason)
  await rejected
  t.same(timers.waiting(), [], 'the wait is over')
  t.equal(server.seen.length, 1)
})

t.test('types: fields make the answer sparse, bodies follow the contract', async (t) => {
  const server = await serve(t, () => ({ status: 200, body: { id: ID } }))
  const client = createClient({ baseUrl: server.url })
  const sparse = await client.posts.get(ID, { fields: ['id'] })
  const full = await client.call(contentRoutes.getPost, { params: { id: ID } })
  // @ts-expect-error text was not asked for, so it may be absent
  const text: string | undefined = sparse.text?.length
  // @ts-expect-error unknown member
  const refused = client.posts.create({ txt: 'x' })
  await refused
  t.equal(text, undefined)
  t.equal(full.id, ID)
})
