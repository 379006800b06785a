import { setImmediate } from 'node:timers/promises'
import {
  CommentCreated,
  FollowCreated,
  FollowDeleted,
  LikeCreated,
  LikeDeleted,
  PostCreated,
  PostDeleted,
  PostUpdated
} from '@skerry/contracts'
import { bucketOf, collectionOf, newId } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { followers } from '../src/data/followers.ts'
import { notifications } from '../src/data/notifications.ts'
import { type FanOutDeps, fanOut } from '../src/domain/fan-out.ts'
import type { Telling } from '../src/domain/telling.ts'
import { openSse, type SseClient } from './clients.ts'
import { emit, newUserId, startInstance, tokenFor } from './setup.ts'

const stores = await useStores(t)
const where = { mongoUrl: stores.mongoUrl, database: stores.database('realtime'), nats: stores.nats }
const one = await startInstance(t, where, { instance: '1', events: true })
const two = await startInstance(t, where, { instance: '2', events: true })
const { nc } = one
let turn = 0

/** A user with one open stream, on either instance. */
async function online(): Promise<{ id: string; client: SseClient; types(): string[] }> {
  const id = newUserId()
  const client = await openSse((turn++ % 2 === 0 ? one : two).url, { token: tokenFor(id) })
  t.teardown(async () => client.cut())
  return { id, client, types: () => client.seen.map((m) => m.type) }
}

/** Follows, and waits until realtime knows. */
async function follow(followerId: string, followedId: string): Promise<void> {
  await emit(nc, FollowCreated, { followerId, followedId, at: new Date().toISOString() })
  const known = collectionOf(one.store.db, followers)
  const key = { bucket: bucketOf(followedId), _id: `${followedId}:${followerId}` }
  await waitFor(async () => (await known.findOne(key)) !== null, { message: 'the follow is known' })
}

const at = () => new Date().toISOString()
const post = (authorId: string, text = 'hello', postId = newId(bucketOf(authorId))) => ({
  postId,
  authorId,
  title: null,
  summary: 'short',
  text,
  tags: ['tag'],
  createdAt: at(),
  updatedAt: at(),
  version: 1
})

t.test('posts reach followers and the author, and nobody else', async (t) => {
  const [author, friend, fan, stranger] = [await online(), await online(), await online(), await online()]
  await follow(friend.id, author.id)
  await follow(fan.id, author.id)
  await author.client.until(4)
  t.same(
    author.types().sort(),
    ['notification.created', 'notification.created', 'user.followed', 'user.followed'],
    'the followed learns of both'
  )
  const made = post(author.id)
  const eventId = await emit(nc, PostCreated, made)
  await emit(nc, PostUpdated, { ...made, text: 'changed', version: 2 })
  await emit(nc, PostDeleted, { postId: made.postId, authorId: author.id })
  await Promise.all([friend.client.until(3), fan.client.until(3), author.client.until(7)])
  for (const { client } of [friend, fan]) {
    t.same(
      client.seen.map((m) => m.type),
      ['post.created', 'post.updated', 'post.deleted'],
      'in the order of the commits'
    )
    t.same(client.seen[0]?.data, { eventId, ...made })
    t.equal(client.seen[1]?.data.text, 'changed')
  }
  t.same(author.types().slice(4), ['post.created', 'post.updated', 'post.deleted'], "on the author's own devices")

  await emit(nc, FollowDeleted, { followerId: fan.id, followedId: author.id, at: at() })
  const gone = { bucket: bucketOf(author.id), _id: `${author.id}:${fan.id}` }
  await waitFor(async () => (await collectionOf(one.store.db, followers).findOne(gone)) === null)
  await emit(nc, PostCreated, post(author.id))
  await friend.client.until(4)
  await one.live.append(fan.id, { id: 'end', type: 'end', body: '{}' })
  await one.live.append(stranger.id, { id: 'end', type: 'end', body: '{}' })
  await fan.client.until(4)
  await stranger.client.until(1)
  t.equal(fan.types()[3], 'end', 'nothing after the unfollow')
  t.same(stranger.types(), ['end'], 'nothing for strangers')
})

t.test('likes and comments reach the author of the post, unless they are their own', async (t) => {
  const [author, fan] = [await online(), await online()]
  const postId = newId(bucketOf(author.id))
  const like = { postId, postAuthorId: author.id, userId: fan.id }
  const comment = { commentId: newId(bucketOf(fan.id)), postId, postAuthorId: author.id, text: 'well', createdAt: at() }
  await emit(nc, LikeCreated, { ...like, userId: author.id })
  await emit(nc, CommentCreated, { ...comment, commentId: newId(1), authorId: author.id })
  await emit(nc, LikeCreated, like)
  await author.client.until(2)
  await emit(nc, CommentCreated, { ...comment, authorId: fan.id })
  await author.client.until(4)
  t.same(author.types().sort(), ['comment.created', 'notification.created', 'notification.created', 'post.liked'])
  const liked = author.client.seen.find((m) => m.type === 'post.liked')
  t.match(liked?.data, { ...like, eventId: /^[0-9a-z]{26}$/ })
  const told = author.client.seen.filter((m) => m.type === 'notification.created')
  t.match(told[0]?.data, { kind: 'like', actorId: fan.id, userId: author.id, postId })
  t.match(told[1]?.data, { kind: 'comment', actorId: fan.id, userId: author.id, postId })

  await emit(nc, LikeDeleted, like)
  await emit(nc, LikeCreated, like)
  await author.client.until(5)
  await emit(nc, CommentCreated, { ...comment, commentId: newId(2), authorId: fan.id })
  await author.client.until(7)
  const later = author.types().slice(4).sort()
  t.same(later, ['comment.created', 'notification.created', 'post.liked'], 'the same like notifies once')
  const kept = await collectionOf(one.store.db, notifications)
    .find({ bucket: bucketOf(author.id), userId: author.id }, { sort: { _id: -1 } })
    .toArray()
  t.same(kept.map((n) => n.kind).sort(), ['comment', 'comment', 'like'])
  await one.live.append(fan.id, { id: 'end', type: 'end', body: '{}' })
  await fan.client.until(1)
  t.same(fan.types(), ['end'], 'who acted is told nothing')
})

t.test('an event that comes again is one message', async (t) => {
  const author = await online()
  const made = post(author.id)
  const eventId = await emit(nc, PostCreated, made)
  await author.client.until(1)
  await emit(nc, PostCreated, made, eventId)
  await emit(nc, PostDeleted, { postId: made.postId, authorId: author.id })
  await author.client.until(2)
  t.same(author.types(), ['post.created', 'post.deleted'])
})

t.test('a text that is too long is left out', async (t) => {
  const author = await online()
  const made = post(author.id, 'ä'.repeat(20_000))
  await emit(nc, PostCreated, made)
  await author.client.until(1)
  const data = author.client.seen[0]?.data
  t.match(data, { postId: made.postId, authorId: author.id, tags: ['tag'], partial: true })
  t.notOk(data !== undefined && 'text' in data)
})

t.test('a post of somebody with many followers is written to the active ones alone', async (t) => {
  const author = await online()
  const known = collectionOf(one.store.db, followers)
  const bucket = bucketOf(author.id)
  const absent = Array.from({ length: 1_200 }, newUserId)
  await known.insertMany(absent.map((id) => ({ _id: `${author.id}:${id}`, bucket })))
  const present = [await online(), await online(), await online()]
  await known.insertMany(present.map(({ id }) => ({ _id: `${author.id}:${id}`, bucket })))
  await emit(nc, PostCreated, post(author.id))
  await Promise.all([author, ...present].map(({ client }) => client.until(1)))
  for (const { types } of present) t.same(types(), ['post.created'])
  for (const id of absent.slice(0, 20)) t.equal((await one.live.read(id, 0)).entries.length, 0)
})

t.test(
  'events that wait are told together: one look at who follows, one at who is active, each order kept',
  async (t) => {
    const { store } = one
    const [ada, bob] = [newUserId(), newUserId()]
    const [near, far] = [await online(), await online()]
    const known = collectionOf(store.db, followers)
    for (const author of [ada, bob])
      for (const { id } of [near, far]) await known.insertOne({ _id: `${author}:${id}`, bucket: bucketOf(author) })
    const tellings: Telling[] = Array.from({ length: 12 }, (_, n) => ({
      message: { id: `${n}`, type: 'post.created', body: '{}' },
      audience: n === 7 ? { users: [near.id] } : { followersOf: n % 2 === 0 ? ada : bob },
      orderKey: n % 2 === 0 ? ada : bob
    }))
    const appended: string[] = []
    const deps: FanOutDeps = {
      ...{ store, messageBytes: 1_000, delivered() {} },
      log: {
        async appendSurely(userId, { id }) {
          // The later ones would be there sooner, were they not to wait.
          for (let turn = Number(id); turn < 12; turn++) await setImmediate()
          appended.push(`${userId} ${id}`)
        }
      }
    }
    const idsOf = (userId: string, of: string) =>
      appended
        .flatMap((one) => (one.startsWith(userId) ? [Number(one.split(' ')[1])] : []))
        .filter((n) => tellings[n]?.orderKey === of)
    const tell = async (): Promise<string[]> => {
      const seen: string[] = []
      const note = ({ commandName, command }: { commandName: string; command: Record<string, unknown> }) =>
        void (commandName === 'find' && seen.push(`${command.find}`))
      store.client.on('commandStarted', note)
      await fanOut(deps, tellings, Date.now())
      store.client.off('commandStarted', note)
      t.same(idsOf(near.id, ada), [0, 2, 4, 6, 8, 10])
      t.same(idsOf(near.id, bob), [1, 3, 5, 7, 9, 11])
      t.same(idsOf(far.id, ada), [0, 2, 4, 6, 8, 10])
      t.same(idsOf(far.id, bob), [1, 3, 5, 9, 11])
      return seen.filter((name) => ['followers', 'subscribers'].includes(name))
    }
    t.same(await tell(), ['followers', 'subscribers'])
    // More than are looked at together: each by itself, in the same order.
    await known.insertMany(Array.from({ length: 600 }, () => ({ _id: `${ada}:${newUserId()}`, bucket: bucketOf(ada) })))
    appended.length = 0
    t.ok((await tell()).length > 12)
  }
)
