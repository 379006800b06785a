import { setTimeout as delay } from 'node:timers/promises'
import type { Comment, Grant, PageOf, Post, Problem, Profile, Session } from '@skerry/contracts'
import { createClient } from '@skerry/sdk'
import { startSystem, waitFor } from '@skerry/testing'
import t from 'tap'
import { startLossyProxy } from './helpers/lossy-proxy.ts'
import { openStream, phoneOf, request, signUp } from './helpers/phone.ts'

// The tests are few people who do much; debug has the access log. Two instances of what is restarted under traffic.
const RESTARTED = ['auth', 'users', 'content']
const system = await startSystem(t, {
  args: RESTARTED.flatMap((name) => ['--scale', `${name}=2`]),
  env: { LOG_LEVEL: 'debug', LIMIT_USER_PER_SECOND: '100000', LIMIT_USER_BURST: '100000' }
})
const base = system.url
/** Between two requests of one client, while instances restart: there is always one under way, and the machine has time for the restart. */
const PAUSE_MS = 150

t.test('the whole journey of two phones, with live streams', async (t) => {
  const ada = await signUp(base, 'ada')
  const bob = await signUp(base, 'bob')
  t.match(ada.grant, {
    user: { username: 'ada', email: 'ada@example.com', guest: false },
    tokenType: 'Bearer',
    expiresIn: Number,
    refreshToken: String
  })

  // Read your own writes: the profile is there at once.
  const me = await ada.call<Profile>('GET', '/v1/users/me')
  t.equal(me.status, 200)
  t.match(me.body, {
    id: ada.grant.user.id,
    username: 'ada',
    displayName: 'ADA',
    counts: { followers: 0, following: 0, posts: 0 }
  })
  t.ok(me.headers.get('etag'))
  t.ok(me.headers.get('x-request-id'))
  t.equal((await ada.call('GET', '/v1/users/me', undefined, { 'if-none-match': me.headers.get('etag')! })).status, 304)

  // Conditional writes.
  const stale = me.headers.get('etag')!
  const changed = await ada.call<Profile>('PATCH', '/v1/users/me', { bio: 'Numbers.' }, { 'if-match': stale })
  t.equal(changed.status, 200)
  t.equal(changed.body.bio, 'Numbers.')
  const late = await ada.call<Problem>('PATCH', '/v1/users/me', { bio: 'Late.' }, { 'if-match': stale })
  t.equal(late.status, 412)
  t.equal(late.body.code, 'PRECONDITION_FAILED')
  t.equal((await ada.call<Profile>('GET', '/v1/users/me')).body.bio, 'Numbers.')

  // Logging in by either name, refreshing, sessions.
  for (const login of ['ada', 'ADA@example.com']) {
    const answer = await request<Grant>(base, 'POST', '/v1/auth/login', {
      body: { login, password: 'correct horse battery' }
    })
    t.equal(answer.status, 200, `log in as ${login}`)
  }
  const wrong = await request<Problem>(base, 'POST', '/v1/auth/login', { body: { login: 'ada', password: 'wrong' } })
  t.equal(wrong.status, 401)
  t.equal(wrong.body.code, 'AUTH_BAD_CREDENTIALS')
  const refreshed = await request<Grant>(base, 'POST', '/v1/auth/refresh', {
    body: { refreshToken: ada.grant.refreshToken }
  })
  t.equal(refreshed.status, 200)
  t.equal(refreshed.body.session.id, ada.grant.session.id)
  const ada2 = phoneOf(base, refreshed.body)
  const sessions = await ada2.call<PageOf<Session>>('GET', '/v1/auth/sessions')
  t.equal(sessions.body.items.length, 3)
  t.equal(sessions.body.items.filter((s) => s.current).length, 1)

  // Both watch; Bob follows Ada.
  const toBob = await openStream(base, bob.grant.accessToken)
  const toAda = await openStream(base, ada2.grant.accessToken)
  t.equal(toBob.status, 200)
  const users = await bob.call<PageOf<Profile>>('GET', '/v1/users?username=Ada')
  t.equal(users.body.items[0]?.id, ada.grant.user.id)
  t.equal((await bob.call('PUT', `/v1/users/${ada.grant.user.id}/follow`)).status, 204)
  t.equal(
    (await bob.call('PUT', `/v1/users/${ada.grant.user.id}/follow`)).status,
    204,
    'following twice is following once'
  )
  t.match((await bob.call<Profile>('GET', `/v1/users/${ada.grant.user.id}`)).body.counts, { followers: 1 })
  t.match((await ada2.call<PageOf<Profile>>('GET', `/v1/users/${ada.grant.user.id}/followers`)).body.items, [
    { username: 'bob' }
  ])
  await waitFor(() => toAda.messages.some((m) => m.type === 'user.followed'), {
    message: 'Ada hears that Bob follows her'
  })

  // A post, safe to repeat.
  const draft = { text: 'Note G computes Bernoulli numbers.', title: 'Note G', tags: ['engine', 'maths'] }
  const key = { 'idempotency-key': 'note-g-1' }
  const created = await ada2.call<Post>('POST', '/v1/posts', draft, key)
  t.equal(created.status, 201)
  const again = await ada2.call<Post>('POST', '/v1/posts', draft, key)
  t.equal(again.status, 201)
  t.equal(again.body.id, created.body.id, 'the first answer is replayed')
  t.equal((await ada2.call<Problem>('POST', '/v1/posts', { text: 'other' }, key)).status, 422)
  const post = created.body
  t.match(post, {
    author: { username: 'ada', displayName: 'ADA' },
    counts: { likes: 0, comments: 0 },
    liked: false,
    version: 1
  })

  // At once for its author, by event for the follower.
  t.equal((await ada2.call<PageOf<Post>>('GET', `/v1/posts?author=${ada.grant.user.id}`)).body.items[0]?.id, post.id)
  t.equal((await ada2.call<PageOf<Post>>('GET', '/v1/feed')).body.items[0]?.id, post.id)
  await waitFor(() => toBob.messages.some((m) => m.type === 'post.created' && m.data.postId === post.id), {
    message: 'Bob hears of the post'
  })
  await waitFor(async () => (await bob.call<PageOf<Post>>('GET', '/v1/feed')).body.items[0]?.id === post.id, {
    message: "the post is in Bob's feed"
  })
  t.equal(toBob.messages.filter((m) => m.type === 'post.created').length, 1, 'told once, though it was posted twice')
  await waitFor(async () => (await ada2.call<Profile>('GET', '/v1/users/me')).body.counts.posts === 1, {
    message: 'the profile counts the post'
  })

  // Likes, comments, sparse reads.
  t.equal((await bob.call('PUT', `/v1/posts/${post.id}/like`)).status, 204)
  t.equal((await bob.call('PUT', `/v1/posts/${post.id}/like`)).status, 204)
  const comment = await bob.call<Comment>('POST', `/v1/posts/${post.id}/comments`, { text: 'Marvellous.' })
  t.equal(comment.status, 201)
  t.match((await bob.call<Post>('GET', `/v1/posts/${post.id}`)).body, {
    liked: true,
    counts: { likes: 1, comments: 1 }
  })
  t.same((await bob.call('GET', `/v1/posts/${post.id}?fields=id,author.username`)).body, {
    id: post.id,
    author: { username: 'ada' }
  })
  await waitFor(
    () =>
      ['post.liked', 'comment.created', 'notification.created'].every((type) =>
        toAda.messages.some((m) => m.type === type)
      ),
    {
      message: 'Ada hears of like, comment and notification'
    }
  )
  t.match((await ada2.call<PageOf<Comment>>('GET', `/v1/posts/${post.id}/comments`)).body.items, [
    { text: 'Marvellous.', author: { username: 'bob' } }
  ])
  t.equal((await ada2.call<PageOf<Post>>('GET', '/v1/posts?tag=engine')).body.items[0]?.id, post.id)

  // What is not theirs.
  t.equal((await bob.call<Problem>('PATCH', `/v1/posts/${post.id}`, { text: 'Mine now.' })).status, 403)
  t.equal((await bob.call<Problem>('DELETE', `/v1/posts/${post.id}`)).status, 403)

  // An edit, a resumed stream, a deletion.
  const lastId = toBob.messages.at(-1)?.id ?? undefined
  toBob.close()
  t.equal((await ada2.call<Post>('PATCH', `/v1/posts/${post.id}`, { text: 'Note G, corrected.' })).body.version, 2)
  const second = await ada2.call<Post>('POST', '/v1/posts', { text: 'While Bob was away.' })
  const resumed = await openStream(base, bob.grant.accessToken, lastId)
  await waitFor(() => resumed.messages.some((m) => m.type === 'post.created' && m.data.postId === second.body.id), {
    message: 'Bob gets what he missed'
  })
  t.ok(resumed.messages.some((m) => m.type === 'post.updated' && m.data.postId === post.id))
  t.equal((await bob.call('DELETE', `/v1/posts/${post.id}/like`)).status, 204)
  t.equal((await bob.call('DELETE', `/v1/comments/${comment.body.id}`)).status, 204)
  t.match((await bob.call<Post>('GET', `/v1/posts/${post.id}`)).body, {
    liked: false,
    counts: { likes: 0, comments: 0 }
  })
  t.equal((await ada2.call('DELETE', `/v1/posts/${post.id}`)).status, 204)
  t.equal((await bob.call<Problem>('GET', `/v1/posts/${post.id}`)).status, 404)
  await waitFor(
    async () => !(await bob.call<PageOf<Post>>('GET', '/v1/feed')).body.items.some((p) => p.id === post.id),
    { message: 'gone from the feed' }
  )

  // Unfollowing empties the feed of it; pages go on.
  for (let i = 0; i < 5; i++) await ada2.call('POST', '/v1/posts', { text: `Page ${i}` })
  await waitFor(async () => (await bob.call<PageOf<Post>>('GET', '/v1/feed')).body.items.length === 6)
  const first = await bob.call<PageOf<Post>>('GET', '/v1/feed?limit=4')
  const rest = await bob.call<PageOf<Post>>('GET', `/v1/feed?limit=4&cursor=${first.body.nextCursor}`)
  t.same(
    [...first.body.items, ...rest.body.items].map((p) => p.text),
    ['Page 4', 'Page 3', 'Page 2', 'Page 1', 'Page 0', 'While Bob was away.']
  )
  t.equal(rest.body.nextCursor, null)
  t.equal((await bob.call('DELETE', `/v1/users/${ada.grant.user.id}/follow`)).status, 204)
  await waitFor(async () => (await bob.call<PageOf<Post>>('GET', '/v1/feed')).body.items.length === 0, {
    message: 'unfollowed is gone'
  })

  // Logging out ends the token at once.
  t.equal((await ada2.call('POST', '/v1/auth/logout')).status, 204)
  const after = await ada2.call<Problem>('GET', '/v1/users/me')
  t.equal(after.status, 401)
  t.equal(after.body.code, 'SESSION_REVOKED')
  t.equal(
    (await request<Problem>(base, 'POST', '/v1/auth/refresh', { body: { refreshToken: refreshed.body.refreshToken } }))
      .status,
    401
  )
  await toAda.ended
  resumed.close()
})

t.test('live updates over WebSocket', async (t) => {
  const cara = await signUp(base, 'cara')
  const dan = await signUp(base, 'dan')
  const { WebSocket } = await import('ws')
  const socket = new WebSocket(`${base.replace('http', 'ws')}/v1/live/ws`, {
    headers: { authorization: `Bearer ${cara.grant.accessToken}` }
  })
  const messages: { type?: string }[] = []
  socket.on('message', (data) => messages.push(JSON.parse(data.toString())))
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
  await waitFor(async () => (await dan.call('PUT', `/v1/users/${cara.grant.user.id}/follow`)).status === 204)
  await waitFor(() => messages.some((m) => m.type === 'user.followed'), { message: 'Cara hears of it over WebSocket' })
  socket.close()
  const refused = new WebSocket(`${base.replace('http', 'ws')}/v1/live/ws`)
  const error = await new Promise<Error>((resolve) => refused.once('error', resolve))
  t.match(error.message, /401/)
})

t.test('stopping one instance of each service under traffic loses no request', async (t) => {
  const eve = await signUp(base, 'eve')
  const { body: post } = await eve.call<Post>('POST', '/v1/posts', { text: 'Still here?' })
  let going = true
  const statuses = new Map<string, number>()
  const refused: string[] = []
  const note = ({ status, body }: { status: number; body: unknown }) => {
    const { code, detail, requestId } = (body ?? {}) as { code?: string; detail?: string; requestId?: string }
    const what = status < 300 ? `${status}` : `${status} ${code}: ${detail}`
    statuses.set(what, (statuses.get(what) ?? 0) + 1)
    if (status >= 300) refused.push(requestId ?? what)
  }
  const paths = ['/v1/users/me', `/v1/posts/${post.id}`, '/v1/auth/sessions']
  const clients = paths.flatMap((path) =>
    [0, 1].map(async () => {
      while (going) {
        note(await eve.call('GET', path))
        await delay(PAUSE_MS)
      }
    })
  )
  const writers = [0, 1].map(async () => {
    while (going) {
      note(await eve.call('POST', '/v1/posts', { text: 'traffic' }))
      await delay(PAUSE_MS)
    }
  })
  for (const name of RESTARTED) {
    const pid = await system.kill(name, '1', 'SIGTERM')
    await system.restarted(name, '1', pid)
  }
  going = false
  await Promise.all([...clients, ...writers])
  t.same([...statuses.keys()].sort(), ['200', '201'], `${JSON.stringify([...statuses])} ${await saidOf(refused)}`)
})

/** What the logs of all instances say of these requests: so that a refusal that is not repeated at will can be explained. */
async function saidOf(requests: readonly string[]): Promise<string> {
  if (requests.length === 0) return ''
  const { readdir, readFile } = await import('node:fs/promises')
  const folder = `${system.home}/logs`
  const texts = await Promise.all(
    (await readdir(folder)).map(async (name) => (await readFile(`${folder}/${name}`, 'utf8')).split('\n'))
  )
  const about = (line: string) => requests.some((id) => line.includes(id)) || line.includes('eject')
  return texts.flat().filter(about).slice(0, 60).join('\n')
}

t.test('logs carry the trace through HTTP and events, and no secrets', async (t) => {
  const { readFile } = await import('node:fs/promises')
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
  const fay = await signUp(base, 'fay')
  await fay.call('POST', '/v1/posts', { text: 'traced' }, { traceparent: `00-${trace}-00f067aa0ba902b7-01` })
  const logs = async (name: string) =>
    (
      await Promise.all(['1', '2'].map((i) => readFile(`${system.home}/logs/${name}-${i}.log`, 'utf8').catch(() => '')))
    ).join('')
  await waitFor(async () => (await logs('gateway')).includes(trace) && (await logs('content')).includes(trace), {
    message: 'the trace is in the logs of gateway and service'
  })
  for (const name of ['gateway', 'auth', 'users', 'content', 'realtime']) {
    const text = await logs(name)
    t.not(text, '', `${name} logs`)
    t.notOk(text.includes('correct horse battery'), `${name} logs no password`)
    t.notOk(text.includes(fay.grant.accessToken), `${name} logs no token`)
    t.notOk(text.includes(fay.grant.refreshToken), `${name} logs no refresh token`)
  }
})

t.test('somebody takes what is theirs, and leaves', async (t) => {
  const client = createClient({ baseUrl: base })
  const password = 'correct horse battery'
  const account = { email: 'gus@example.com', username: 'gus', password }
  await client.auth.signup(account)
  t.equal((await client.users.me()).username, 'gus')
  await client.posts.create({ text: 'Gus was here.', tags: ['leaving'] })
  await waitFor(async () => (await client.trends.list()).computedAt !== null, { message: 'the trends job has run' })

  const { id } = await client.auth.requestExport()
  await waitFor(async () => (await client.auth.exportStatus(id)).state === 'ready')
  const { services } = await client.auth.downloadExport(id)
  t.match(services, {
    auth: { account: [{ email: account.email }] },
    users: { profile: [{ username: 'gus' }] },
    content: { posts: [{ text: 'Gus was here.' }] }
  })

  const phone = phoneOf(base, await client.auth.login({ login: 'gus', password }))
  await t.rejects(client.auth.deleteAccount({ currentPassword: 'wrong' }), {
    status: 401,
    code: 'AUTH_BAD_CREDENTIALS'
  })
  const deletion = await client.auth.deleteAccount({ currentPassword: password })
  t.same(deletion.waitingFor, ['content', 'realtime', 'users'])
  t.equal((await phone.call('GET', '/v1/users/me')).status, 401, 'no token is good any more')
  t.equal(await client.auth.current(), null)
  await waitFor(async () => (await client.auth.deletion(deletion.id)).state === 'done')
  await client.auth.signup(account)
  t.same((await client.posts.list({ tag: 'leaving' })).items, [])
})

t.test('the SDK where answers get lost after the work was done', async (t) => {
  const proxy = await startLossyProxy(t, base, (method, path) => method === 'DELETE' || path === '/v1/auth/logout')
  const account = { email: 'lossy@example.com', username: 'lossy', password: 'correct horse battery' }
  const onSignedOut = () => t.fail('nobody was signed out against their will')
  const client = createClient({ baseUrl: proxy.url, onSignedOut })
  await client.auth.signup(account)
  const post = await client.posts.create({ text: 'to be deleted' })
  const comment = await client.comments.create(post.id, { text: 'to be deleted' })
  await client.posts.like(post.id)
  await client.comments.delete(comment.id)
  t.equal((await client.posts.get(post.id)).counts.comments, 0, 'counted once')
  await client.posts.unlike(post.id)
  const read = await client.posts.get(post.id)
  await t.rejects(client.posts.delete(post.id, { ifMatch: read }), { name: 'SkerryNetworkError' }, 'left to the caller')
  await client.posts.delete(post.id, { ifMatch: read })
  const second = await client.posts.create({ text: 'to be deleted as well' })
  await client.posts.delete(second.id)
  await t.rejects(client.posts.get(second.id), { code: 'CNT_POST_NOT_FOUND' })
  await client.auth.logout()
  t.equal(await client.auth.current(), null)
  await client.auth.login({ login: 'lossy', password: account.password })
  const deletion = await client.auth.deleteAccount({ currentPassword: account.password })
  t.match(await client.auth.deletion(deletion.id), { id: deletion.id })
  t.same(proxy.lost, [204, 204, 204, 204, 204, 202], 'each was done the first time, and its answer lost')
})

t.test('the operations ports tell the truth and are not reachable through the gateway', async (t) => {
  const { processes } = await system.run()
  for (const { name, ops } of processes.filter((p) => p.ops !== null)) {
    t.equal((await fetch(`${ops}/readyz`)).status, 200, `${name} is ready`)
    const metrics = await (await fetch(`${ops}/metrics`)).text()
    t.match(metrics, /http_request|skerry_/, `${name} has metrics`)
  }
  t.equal((await fetch(`${base}/metrics`)).status, 404)
  t.equal((await fetch(`${base}/livez`)).status, 200)
})

t.test('Ctrl-C leaves no process behind', async (t) => {
  const { processes } = await system.run()
  t.equal(await system.stop(), 0)
  for (const { name, pid } of processes) t.throws(() => process.kill(pid, 0), { code: 'ESRCH' }, `${name} is gone`)
})
