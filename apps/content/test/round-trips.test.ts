import { type Comment, contentRoutes, type Post } from '@skerry/contracts'
import { managerOf } from '@skerry/service'
import { newId } from '@skerry/store'
import { countRoundTrips, countRows, isSettled, putJobsOff, roundTripTable, waitFor } from '@skerry/testing'
import t from 'tap'
import { startContent } from './support/system.ts'

// The first instance serves requests alone, and the second does what follows, so that each is counted by itself.
const { instances, person, users, store, nc } = await startContent(t, {
  instances: 2,
  // Feeds are cut back by chance, which would be counted now and then.
  config: { FEED_KEEP: 1e15 }
})
const [front, back] = instances as [(typeof instances)[0], (typeof instances)[0]]
await front.stopEvents()
const jsm = await managerOf(nc)
const settled = () =>
  waitFor(() => isSettled(store.db, jsm, ['content', 'users']), { message: 'all that follows is done' })

const FOLLOWERS = 3
const [author, reader] = [person('author'), person('reader')]
for (const someone of [author, reader]) await users.profile(someone)
for (let i = 0; i < FOLLOWERS; i++) await users.follow(i === 0 ? reader.id : person().id, author.id)
await settled()
await putJobsOff(store.db)
// Who follows is known from an author's last post on.
await author.post('the first', { tags: ['sea'] })
await settled()

const { rows, count } = countRows(settled, countRoundTrips(front.store.client), countRoundTrips(back.store.client, nc))

/** A request that is to succeed. */
async function send<T>(
  by: typeof author,
  line: string,
  options: { body?: object; as?: string; name?: string } = {}
): Promise<T> {
  const [method, path] = line.split(' ') as [Parameters<typeof by.send>[0], string]
  const name = options.name ?? `${method} ${options.as ?? path}`
  const headers: Record<string, string> = method === 'POST' ? { 'idempotency-key': newId(0) } : {}
  return count(name, async () => {
    const { status, body } = await by.send<T>(method, path, {
      instance: 0,
      headers,
      ...(options.body === undefined ? {} : { body: options.body })
    })
    if (status >= 300) throw new Error(`${line} answered ${status}: ${JSON.stringify(body)}`)
    return body
  })
}

t.test('what each route asks of the stores, and what follows it', async (t) => {
  const post = await send<Post>(author, 'POST /v1/posts', { body: { text: 'of which all is counted', tags: ['sea'] } })
  const at = `/v1/posts/${post.id}`
  await send(reader, `GET ${at}`, { as: '/v1/posts/:id' })
  await send(author, `PATCH ${at}`, { as: '/v1/posts/:id', body: { text: 'in other words' } })
  await send(reader, 'GET /v1/posts')
  await send(reader, 'GET /v1/feed')
  await send(reader, `PUT ${at}/like`, { as: '/v1/posts/:id/like' })
  await send(reader, `PUT ${at}/like`, { name: 'PUT /v1/posts/:id/like, again' })
  await send(reader, `DELETE ${at}/like`, { as: '/v1/posts/:id/like' })
  const comment = await send<Comment>(reader, `POST ${at}/comments`, {
    as: '/v1/posts/:id/comments',
    body: { text: 'well' }
  })
  await send(reader, `GET ${at}/comments`, { as: '/v1/posts/:id/comments' })
  await send(reader, `DELETE /v1/comments/${comment.id}`, { as: '/v1/comments/:id' })
  await send(author, `DELETE ${at}`, { as: '/v1/posts/:id' })
  await send(reader, 'GET /v1/trends')
  const late = person('late')
  await count('users.follow.created', () => users.follow(late.id, author.id))
  await count('users.follow.deleted', () => users.unfollow(late.id, author.id))
  await count('users.profile.updated', () => users.profile(author, 2))
  const { counted, kept } = await roundTripTable('content', rows, contentRoutes)
  t.equal(kept, counted)
})
