import {
  AccountCreated,
  CommentCreated,
  CommentDeleted,
  type DataOf,
  type EventContract,
  FollowCreated,
  LikeCreated,
  LikeDeleted,
  orderKeyOf,
  ownerOf,
  PostCreated,
  PostDeleted,
  PostUpdated,
  ProfileCreated,
  wireSubject
} from '@skerry/contracts'
import { eventCollections, toHeaders } from '@skerry/events'
import { connectNats, createLogger, createMetrics, jetstreamOf, managerOf } from '@skerry/service'
import { bucketOf, newId, openStore } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { findArticles } from '../src/data/articles.ts'
import { conduitCollections, modelCollections } from '../src/data/collections.ts'
import { findComments } from '../src/data/comments.ts'
import { listArticles } from '../src/domain/lists.ts'
import { presentComments } from '../src/domain/present.ts'
import { startEvents } from '../src/events.ts'
import { LIMITS, newUser } from './support/model.ts'

const stores = await useStores(t)
const nc = await connectNats({ ...stores.nats, name: 'test' })
const [js, jsm] = [jetstreamOf(nc), await managerOf(nc)]
// Stand where the services would be.
for (const name of ['auth', 'users', 'content']) await jsm.streams.add({ name, subjects: [`${name}.>`] })
const store = await openStore({
  url: stores.mongoUrl,
  database: stores.database('conduit'),
  collections: [...conduitCollections, ...eventCollections]
})
const log = createLogger({ service: 'conduit', instance: 'test', level: 'silent' })
const start = () => {
  const metrics = createMetrics({ service: 'conduit', instance: 'test', processMetrics: false })
  return startEvents(store, { nc, instance: 'test', log, metrics })
}
let events = start()
t.teardown(async () => {
  await events.stop()
  await store.close()
  await nc.close()
})

async function publish<E extends EventContract>(event: E, data: DataOf<E>): Promise<void> {
  const [subject, entity] = [wireSubject(event), event.entity(data)]
  const headers = toHeaders(ownerOf(event), {
    id: newId(0),
    subject,
    entity,
    orderKey: orderKeyOf(event, data),
    time: new Date().toISOString(),
    traceparent: undefined
  })
  await js.publish(subject, JSON.stringify(data), { headers })
}

const [ada, bob] = [newUser(), newUser()]
const at = new Date().toISOString()
const post = (title: string, version = 1, postId = newId(bucketOf(ada))) => ({
  ...{ postId, authorId: ada, title, summary: 's', text: 'x', tags: [], createdAt: at, updatedAt: at, version }
})
const comment = (postId: string) => ({
  ...{ commentId: newId(bucketOf(postId)), postId, postAuthorId: ada, authorId: bob, text: 'x', createdAt: at }
})

/** The read model as a front end sees it. */
async function shown() {
  const deps = { store, limits: LIMITS, now: Date.now, api: () => Promise.reject(new Error('not asked')) }
  const [{ articles }, { page }] = await Promise.all([
    listArticles(deps, { userId: bob }, {}),
    findArticles(store, {}, { offset: 0, limit: 100, countMax: 100 })
  ])
  const comments = page.map(async ({ _id }) =>
    presentComments(deps, { userId: bob }, await findComments(store, _id, 50))
  )
  return { articles, comments: await Promise.all(comments) }
}
const applied = async () => {
  const durables = ['model', 'sessions', 'clearing'].map((purpose) => `conduit--${purpose}`)
  for (const stream of ['auth', 'users', 'content']) {
    for await (const { name, num_pending, num_ack_pending } of jsm.consumers.list(stream))
      if (durables.includes(name) && num_pending + num_ack_pending > 0) return false
  }
  return (await shown()).articles.length > 0
}

t.test('from nothing but its events: the same articles, slugs and numbers', async (t) => {
  const [first, twin, moved, gone] = [post('One title'), post('One title'), post('Moved'), post('Gone')]
  for (const [userId, username] of [
    [ada, 'ada'],
    [bob, 'bob']
  ] as const) {
    await publish(AccountCreated, { userId, username, displayName: username, createdAt: at })
    await publish(ProfileCreated, { userId, username, displayName: username, bio: username, avatar: null, version: 1 })
  }
  await publish(FollowCreated, { followerId: bob, followedId: ada, at })
  for (const one of [first, twin, moved, gone]) await publish(PostCreated, one)
  await publish(PostUpdated, post('Elsewhere', 2, moved.postId))
  await publish(PostUpdated, post('Moved', 3, moved.postId))
  await publish(PostDeleted, { postId: gone.postId, authorId: ada })
  const like = { postId: first.postId, postAuthorId: ada, userId: bob }
  for (const event of [LikeCreated, LikeDeleted, LikeCreated]) await publish(event, like)
  const [kept, deleted] = [comment(first.postId), comment(first.postId)]
  for (const one of [deleted, kept, comment(twin.postId)]) await publish(CommentCreated, one)
  await publish(CommentDeleted, deleted)
  await waitFor(applied)
  const before = await shown()
  t.same(before.articles.map(({ title, favorited, favoritesCount }) => [title, favorited, favoritesCount]).sort(), [
    ['Moved', false, 0],
    ['One title', false, 0],
    ['One title', true, 1]
  ])
  t.match(before.articles[0]?.author, { username: 'ada', bio: 'ada', following: true })

  await events.stop()
  for (const { name } of modelCollections) await store.db.collection(name).deleteMany({})
  for (const name of ['inbox', 'consumers']) await store.db.collection(name).deleteMany({})
  for (const stream of ['auth', 'users', 'content']) await jsm.consumers.delete(stream, 'conduit--model')
  t.same((await shown()).articles, [])
  events = start()
  await waitFor(async () => (await shown()).articles.length === 3 && (await applied()))
  t.same(await shown(), before)
})

t.test('beside the live one, as an operator asks, and switched over', async (t) => {
  const before = await shown()
  const ask = async (command: string, request: object) => {
    const answer = await nc.request(`ops.conduit.model.model.${command}`, JSON.stringify(request), { timeout: 30_000 })
    return answer.json<{ ok: boolean; value?: { current: number } }>()
  }
  // These streams were made by this test, and nothing says that they are whole.
  t.match(await ask('rebuild', { by: 'ada' }), { ok: false, code: 'PARTIAL' })
  t.match(await ask('rebuild', { by: 'ada', partial: true }), { ok: true })
  await waitFor(async () => (await ask('status', {})).value?.current === 2, { message: 'the new one is read' })
  t.same(await shown(), before, 'the same articles, slugs and numbers')
  t.equal(await store.db.collection('articles--r2').countDocuments({ live: true }), 3)
  await publish(PostUpdated, post('After the switch', 4, newId(bucketOf(ada))))
  await waitFor(async () => (await shown()).articles.some(({ title }) => title === 'After the switch'))
})
