import type { Comment, Deletion, Export, ExportDocument, Grant, Post, Profile } from '@skerry/contracts'
import { eventCollections, startConsumer, startRelay, takePart } from '@skerry/events'
import { connectNats, declareParticipant, withdrawParticipant } from '@skerry/service'
import { openStore } from '@skerry/store'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startHouse } from './support/house.ts'

const house = await startHouse(t)
const { call, start, stop, search, documents } = house
const silent = { debug() {}, info() {}, warn() {}, error() {} }

type Person = { id: string; token: string; username: string; email: string; password: string }

async function signUp(username: string): Promise<Person> {
  const person = { username, email: `${username}@example.org`, password: `password of ${username}` }
  const { status, body } = await call<Grant>('POST', '/v1/auth/signup', {
    body: { ...person, displayName: `${username} the great` },
    key: `sign-up-of-${username.length}`
  })
  if (status !== 201) throw new Error(`sign-up answered ${status}`)
  const me = await ok(call<Profile>('GET', '/v1/users/me', { token: body.accessToken }))
  return { ...person, id: me.id, token: body.accessToken }
}

async function ok<T>(answer: Promise<{ status: number; body: T }>): Promise<T> {
  const { status, body } = await answer
  if (status > 299) throw new Error(`answered ${status}: ${JSON.stringify(body)}`)
  return body
}

const post = (who: Person, text: string) =>
  ok(
    call<Post>('POST', '/v1/posts', { token: who.token, body: { text, tags: ['sea'] }, key: text.replaceAll(' ', '-') })
  )
const comment = (who: Person, postId: string, text: string) =>
  ok(
    call<Comment>('POST', `/v1/posts/${postId}/comments`, {
      token: who.token,
      body: { text },
      key: text.replaceAll(' ', '-')
    })
  )
const deletion = (id: string) => ok(call<Deletion>('GET', `/v1/auth/account/deletions/${id}`))

const ada = await signUp('ada')
const bob = await signUp('bob')
await ok(call('PATCH', '/v1/users/me', { token: ada.token, body: { bio: 'a bio of ada' } }))
for (const [from, to] of [
  [ada, bob],
  [bob, ada]
] as const)
  await ok(call('PUT', `/v1/users/${to.id}/follow`, { token: from.token }))
const POSTS = 40
const first = await post(ada, 'ada writes 0')
for (let i = 1; i < POSTS; i++) await post(ada, `ada writes ${i}`)
const bobs = await post(bob, 'bob writes')
await comment(ada, bobs.id, 'ada comments')
await comment(bob, first.id, 'bob comments')
await ok(call('PUT', `/v1/posts/${bobs.id}/like`, { token: ada.token }))
await waitFor(async () => (await documents('realtime', 'notifications')).length === 5, {
  message: 'two follows, two comments and a like are told'
})

t.test('an export holds what its owner wrote, also of a service that was down when asked', async (t) => {
  await stop('content')
  const asked = await call<Export>('POST', '/v1/auth/account/exports', { token: ada.token, body: {} })
  t.match(asked, { status: 202, body: { state: 'collecting' } })
  const { id } = asked.body
  const url = `/v1/auth/account/exports/${id}`
  const status = () => ok(call<Export>('GET', url, { token: ada.token }))
  await waitFor(async () => (await status()).waitingFor.join() === 'content', { message: 'the others have answered' })
  t.match(await call('GET', `${url}/document`, { token: ada.token }), {
    status: 409,
    body: { code: 'AUTH_EXPORT_NOT_READY' }
  })
  const again = await call<Export>('POST', '/v1/auth/account/exports', { token: ada.token, body: {} })
  t.equal(again.body.id, id, 'while one is collected there is no second')
  await start('content')
  await waitFor(async () => (await status()).state === 'ready', { message: 'content has caught up' })
  const { services, userId } = await ok(call<ExportDocument>('GET', `${url}/document`, { token: ada.token }))
  t.equal(userId, ada.id)
  t.match(services, {
    auth: { account: [{ email: ada.email, username: 'ada' }], sessions: [{}] },
    users: {
      profile: [{ username: 'ada', bio: 'a bio of ada' }],
      following: [{ userId: bob.id }],
      followers: [{ userId: bob.id }]
    },
    content: { comments: [{ text: 'ada comments', postId: bobs.id }], likes: [{ postId: bobs.id }] },
    realtime: { notifications: [{ actorId: bob.id }, { actorId: bob.id }] }
  })
  t.same(
    services.content?.posts?.map((item) => (item as Post).text).sort(),
    Array.from({ length: POSTS }, (_, i) => `ada writes ${i}`).sort(),
    'all posts, each once'
  )
  for (const text of ['bob writes', 'bob comments', ada.password, 'passwordHash', 'tokenHash'])
    t.notOk(JSON.stringify(services).includes(text), `not: ${text}`)
  for (const path of [url, `${url}/document`])
    t.match(await call('GET', path, { token: bob.token }), { status: 404, body: { code: 'AUTH_EXPORT_NOT_FOUND' } })
})

t.test('a deletion needs its owner', async (t) => {
  const wrong = await call('DELETE', '/v1/auth/account', { token: bob.token, body: { currentPassword: 'wrong' } })
  t.match(wrong, { status: 401, body: { code: 'AUTH_BAD_CREDENTIALS' } })
  const unknown = await call('DELETE', '/v1/auth/account', { token: bob.token, body: { password: 'x' } })
  t.match(unknown, { status: 400, body: { errors: [{ path: 'body.password' }] } })
  t.equal((await call('DELETE', '/v1/auth/account')).status, 401)
  t.match(await call('GET', `/v1/auth/account/deletions/${bob.id}`), {
    status: 404,
    body: { code: 'AUTH_DELETION_NOT_FOUND' }
  })
})

t.test('a deletion waits for a service that is down, survives kills, and leaves nothing', async (t) => {
  await stop('content')
  const { status, body } = await call<Deletion>('DELETE', '/v1/auth/account', {
    token: ada.token,
    body: { currentPassword: ada.password }
  })
  t.equal(status, 202)
  t.match(body, { state: 'erasing', waitingFor: ['content', 'realtime', 'users'], erased: [] })
  const { id } = body
  t.match(await call('GET', '/v1/auth/sessions', { token: ada.token }), { status: 401 }, 'the token is dead at once')
  const again = () => call<Deletion>('DELETE', '/v1/auth/account', { token: ada.token })
  t.match(await again(), { status: 202, body: { id } }, 'but whoever lost the answer gets it again')
  const login = { login: 'ada', password: ada.password }
  t.match(await call('POST', '/v1/auth/login', { body: login }), {
    status: 401,
    body: { code: 'AUTH_BAD_CREDENTIALS' }
  })
  await waitFor(async () => (await deletion(id)).waitingFor.join() === 'content', { message: 'the others are done' })
  const taken = await call('POST', '/v1/auth/signup', {
    body: { username: 'ADA', email: 'other@example.org', password: 'long enough' }
  })
  t.match(taken, { status: 409, body: { code: 'AUTH_USERNAME_TAKEN' } }, 'the name is kept while anybody is waited for')

  // Posts go from the newest to the oldest: it cannot be through before it is killed, however busy this process is.
  const release = await house.hold('content', 'posts', first.id)
  await start('content')
  const live = async () => (await documents('content', 'posts')).filter((p) => p.authorId === ada.id && p.live).length
  await waitFor(async () => (await live()) < POSTS, { message: 'content is at work' })
  await stop('content', 'SIGKILL')
  await stop('auth', 'SIGKILL')
  t.ok((await live()) > 0, 'killed in the middle')
  await release()
  await Promise.all([start('auth'), start('content')])
  await waitFor(async () => (await deletion(id)).state === 'done', { message: 'all is done' })

  const proof = await deletion(id)
  t.same(await again(), { status: 202, body: proof }, 'also when nothing is left')
  t.same(proof.waitingFor, [])
  t.same(proof.erased.map((e) => e.service).sort(), ['content', 'realtime', 'users'])
  t.match(
    proof.erased.find((e) => e.service === 'users'),
    { counts: { profiles: 1, following: 1, followers: 1 } }
  )
  // What others have learned of it comes by events.
  const needles = ['ada@', 'ada the great', 'a bio of ada', 'ada writes', 'ada comments', '"ada"']
  await waitFor(async () => (await search(needles)).length === 0, { message: 'nothing of ada is found' })
  t.same(await search(needles), [])
  const me = () => ok(call<Profile>('GET', '/v1/users/me', { token: bob.token }))
  await waitFor(async () => (await me()).counts.followers === 0)
  t.match(await me(), { counts: { followers: 0, following: 0, posts: 1 } })
  t.match(await ok(call<Post>('GET', `/v1/posts/${bobs.id}`, { token: bob.token })), {
    counts: { likes: 0, comments: 0 }
  })
  const feed = await ok(call<{ items: Post[] }>('GET', '/v1/feed', { token: bob.token }))
  t.same(
    feed.items.map((item) => item.id),
    [bobs.id]
  )
  t.match(await call('GET', `/v1/users/${ada.id}`, { token: bob.token }), { status: 404 })
  const told = await documents('realtime', 'notifications')
  t.equal(told.filter((n) => n.userId === ada.id || n.actorId === ada.id).length, 0)
  for (const [app, collection] of [
    ['auth', 'accounts'],
    ['auth', 'sessions'],
    ['auth', 'exports'],
    ['auth', 'export_parts'],
    ['users', 'follows'],
    ['users', 'followers'],
    ['content', 'likes'],
    ['content', 'follows'],
    ['content', 'followers'],
    ['content', 'feeds'],
    ['realtime', 'followers'],
    ['realtime', 'subscribers']
  ] as const) {
    const about = (await documents(app, collection)).filter((d) => JSON.stringify(d).includes(ada.id))
    t.same(about, [], `${app}.${collection} does not know the id`)
  }
  const { id: newId } = await signUp('ada')
  t.not(newId, ada.id, 'name and address are free again')
})

t.test("a new team's service is waited for, and one that has left is not", async (t) => {
  const cleo = await signUp('cleo')
  const nc = await connectNats({ ...house.nats, name: 'team' })
  t.teardown(() => nc.close())
  for (const service of ['team', 'gone']) {
    const participant = await declareParticipant(nc, service)
    await participant.close()
  }
  await waitFor(async () => (await documents('auth', 'participants')).length === 5, { message: 'auth knows them' })
  const asked = await call<Deletion>('DELETE', '/v1/auth/account', { token: cleo.token })
  t.equal(asked.status, 202, 'a recent sign-in is enough')
  const { id } = asked.body
  await waitFor(async () => (await deletion(id)).waitingFor.join() === 'gone,team')

  await withdrawParticipant(nc, 'gone')
  await waitFor(async () => (await deletion(id)).waitingFor.join() === 'team', {
    message: 'who left is not waited for'
  })

  const store = await openStore({
    url: house.mongoUrl,
    database: house.database('team'),
    collections: eventCollections,
    checkQueries: true
  })
  const common = { store, nc, service: 'team', instance: '1', log: silent }
  const relay = startRelay(common)
  const erased: string[] = []
  const consumer = startConsumer({
    ...common,
    purpose: 'sagas',
    subscriptions: takePart({
      store,
      service: 'team',
      async erase(userId) {
        erased.push(userId)
        return { things: 3 }
      },
      async *exportItems() {}
    })
  })
  t.teardown(async () => {
    await Promise.all([consumer.stop(), relay.stop()])
    await store.close()
  })
  await waitFor(async () => (await deletion(id)).state === 'done')
  t.match(
    (await deletion(id)).erased.find((e) => e.service === 'team'),
    { counts: { things: 3 } }
  )
  t.ok(erased.includes(cleo.id))
})
