import { FollowCreated, PostCreated } from '@skerry/contracts'
import { bucketOf, collectionOf, newId } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { followers } from '../src/data/followers.ts'
import { type Client, openSse, openWs, type Seen } from './clients.ts'
import { emit, type Instance, newUserId, startInstance, tokenFor } from './setup.ts'

const stores = await useStores(t)
const where = { mongoUrl: stores.mongoUrl, database: stores.database('realtime'), nats: stores.nats }
const one = await startInstance(t, where, { instance: '1', events: true })
const two = await startInstance(t, where, { instance: '2', events: true })

const POSTS = 5

/**
 * The first append of a text to a user's log is lost on its way, whichever instance sends it: it is repeated when no acknowledgement has come,
 * which is late enough for all that could overtake it.
 */
function loseAppend(userId: string, text: string): { lost(): boolean } {
  let lost = false
  const watch = ({ nc }: Instance) => {
    const { protocol } = nc as unknown as {
      protocol: { publish(subject: string, payload: unknown, ...rest: unknown[]): void }
    }
    const plain = protocol.publish.bind(protocol)
    protocol.publish = (subject, payload, ...rest) => {
      const body = subject === `live.${userId}` ? Buffer.from(payload as Buffer).toString() : '{}'
      if (!lost && JSON.parse(body).text === text) lost = true
      else plain(subject, payload, ...rest)
    }
  }
  watch(one)
  watch(two)
  return { lost: () => lost }
}

t.test("a follower sees an author's posts in their order, however late the first is, also over cuts", async (t) => {
  const [author, fan] = [newUserId(), newUserId()]
  await emit(one.nc, FollowCreated, { followerId: fan, followedId: author, at: new Date().toISOString() })
  const key = { bucket: bucketOf(author), _id: `${author}:${fan}` }
  await waitFor(async () => (await collectionOf(one.store.db, followers).findOne(key)) !== null)
  const token = tokenFor(fan)
  const steady = await openSse(two.url, { token })
  let client: Client = await openSse(one.url, { token })
  await waitFor(() => steady.lastId() !== undefined && client.lastId() !== undefined)
  const append = loseAppend(fan, '0')
  for (let n = 0; n < POSTS; n++) {
    const at = new Date().toISOString()
    const rest = { title: null, summary: null, tags: [], createdAt: at, updatedAt: at, version: 1 }
    await emit(one.nc, PostCreated, { ...rest, postId: newId(bucketOf(author)), authorId: author, text: String(n) })
  }
  await waitFor(() => append.lost())
  const seen: Seen[] = []
  // Cut while the first post is late, and again whenever something has come.
  for (let cut = 0; seen.length < POSTS; cut++) {
    client.cut()
    seen.push(...client.seen.splice(0))
    if (seen.length >= POSTS) break
    const [lastEventId, open, { url }] = [client.lastId(), cut % 2 === 0 ? openWs : openSse, cut % 2 === 0 ? two : one]
    client = await open(url, { token, lastEventId })
    const current = client
    await waitFor(() => current.seen.length > 0, { message: 'something more comes' })
  }
  await steady.until(POSTS)
  const texts = (messages: readonly Seen[]) => messages.map((m) => m.data.text)
  const expected = Array.from({ length: POSTS }, (_, n) => String(n))
  t.same(texts(steady.seen), expected, 'a stream that was never cut')
  t.same(texts(seen), expected, 'one that was cut')
  steady.cut()
})
