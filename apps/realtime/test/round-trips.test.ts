import {
  CommentCreated,
  FollowCreated,
  FollowDeleted,
  LikeCreated,
  PostCreated,
  PostDeleted,
  PostUpdated
} from '@skerry/contracts'
import { managerOf } from '@skerry/service'
import { bucketOf, newId } from '@skerry/store'
import {
  type Counted,
  countRoundTrips,
  isSettled,
  putJobsOff,
  roundTripTable,
  useStores,
  waitFor
} from '@skerry/testing'
import t from 'tap'
import { openSse } from './clients.ts'
import { emit, newUserId, startInstance, tokenFor } from './setup.ts'

const stores = await useStores(t)
const where = { mongoUrl: stores.mongoUrl, database: stores.database('realtime'), nats: stores.nats }
// The first serves streams alone, and the second does what follows, so that each is counted by itself.
const front = await startInstance(t, where, { instance: 'front' })
const back = await startInstance(t, where, { instance: 'back', events: true })
const jsm = await managerOf(back.nc)
const settled = () =>
  waitFor(() => isSettled(back.store.db, jsm, ['content', 'users', 'realtime']), {
    message: 'all that follows is done'
  })

await putJobsOff(back.store.db)

const asked = countRoundTrips(front.store.client)
const follows = countRoundTrips(back.store.client, back.nc)
const rows = new Map<string, Counted>()
const at = () => new Date().toISOString()

/** Counts what a stream that opens asks for, or what an event does; `work` ends when it is there. */
async function count(what: string, work: () => Promise<unknown>): Promise<void> {
  await settled()
  asked.take()
  follows.take()
  await work()
  await settled()
  const [request, rest] = [asked.take(), follows.take()]
  rows.set(what, request.commands > 0 ? request : rest)
}

t.test('what streams and events ask of the stores', async (t) => {
  const [author, fan] = [newUserId(), newUserId()]
  const open = async (id: string) => {
    const client = await openSse(front.url, { token: tokenFor(id) })
    t.teardown(async () => client.cut())
    await waitFor(() => client.lastId() !== undefined)
  }
  await count('GET /v1/live, the first in a day', () => open(fan))
  await count('GET /v1/live, the same user again', () => open(fan))
  const follow = { followerId: fan, followedId: author }
  await count('users.follow.created', () => emit(back.nc, FollowCreated, { ...follow, at: at() }))
  const postId = newId(bucketOf(author))
  const post = {
    ...{ postId, authorId: author, title: null, summary: null, text: 'counted', tags: [] },
    ...{ createdAt: at(), updatedAt: at(), version: 1 }
  }
  await count('content.post.created, one follower of whom listens', () => emit(back.nc, PostCreated, post))
  await count('content.post.updated, the same', () => emit(back.nc, PostUpdated, { ...post, version: 2 }))
  const like = { postId, postAuthorId: fan, userId: author }
  await count('content.like.created, of a post of who listens', () => emit(back.nc, LikeCreated, like))
  const comment = { commentId: newId(1), postId, postAuthorId: fan, authorId: author, text: 'well', createdAt: at() }
  await count('content.comment.created, the same', () => emit(back.nc, CommentCreated, comment))
  await count('content.post.deleted', () => emit(back.nc, PostDeleted, { postId, authorId: author }))
  await count('users.follow.deleted', () => emit(back.nc, FollowDeleted, { ...follow, at: at() }))
  await count('content.post.created, nobody follows', () =>
    emit(back.nc, PostCreated, { ...post, postId: newId(bucketOf(author)) })
  )
  const { counted, kept } = await roundTripTable('realtime', rows)
  t.equal(kept, counted)
})
