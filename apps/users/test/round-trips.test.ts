import { type Profile, usersRoutes } from '@skerry/contracts'
import { managerOf } from '@skerry/service'
import { countRoundTrips, countRows, isSettled, putJobsOff, roundTripTable, waitFor } from '@skerry/testing'
import t from 'tap'
import { startUsers } from './support/system.ts'

// The first instance serves requests alone, and the second does what follows, so that each is counted by itself.
const { person, neighbours, store, stores, nc, stopEvents } = await startUsers(t, { instances: 2 })
const [front, back] = stores as [typeof store, typeof store]
await stopEvents(0)
const jsm = await managerOf(nc)
const settled = () =>
  waitFor(() => isSettled(store.db, jsm, ['auth', 'content', 'users']), { message: 'all that follows is done' })

const [ada, bob] = [person('ada'), person('bob')]
for (const someone of [ada, bob]) await neighbours.created(someone)
await putJobsOff(store.db)
await settled()
await ada.me()

const { rows, count } = countRows(settled, countRoundTrips(front.client), countRoundTrips(back.client, nc))

/** A request that is to succeed. */
function send(
  by: typeof ada,
  line: string,
  options: { body?: object; as?: string; name?: string } = {}
): Promise<Profile> {
  const [method, path] = line.split(' ') as [Parameters<typeof by.send>[0], string]
  return count(options.name ?? `${method} ${options.as ?? path}`, async () => {
    const { status, body } = await by.send(method, path, {
      at: 0,
      ...(options.body === undefined ? {} : { body: options.body })
    })
    if (status >= 300) throw new Error(`${line} answered ${status}: ${JSON.stringify(body)}`)
    return body
  })
}

t.test('what each route asks of the stores, and what follows it', async (t) => {
  const at = `/v1/users/${bob.id}`
  await send(ada, 'GET /v1/users/me')
  await send(ada, 'PATCH /v1/users/me', { body: { bio: 'counts' } })
  await send(ada, `GET ${at}`, { as: '/v1/users/:id' })
  await send(ada, 'GET /v1/users?username=bob', { as: '/v1/users' })
  await send(ada, `PUT ${at}/follow`, { as: '/v1/users/:id/follow' })
  await send(ada, `PUT ${at}/follow`, { name: 'PUT /v1/users/:id/follow, again' })
  await send(ada, `GET ${at}/followers`, { as: '/v1/users/:id/followers' })
  await send(bob, `GET /v1/users/${ada.id}/following`, { as: '/v1/users/:id/following' })
  await send(ada, `DELETE ${at}/follow`, { as: '/v1/users/:id/follow' })
  const cleo = person('cleo')
  await count('auth.account.created', () => neighbours.created(cleo))
  await count('auth.account.updated', () => neighbours.renamed(cleo, 'cleopatra', 2))
  const postId = await count('content.post.created', () => neighbours.posted(ada.id))
  await count('content.post.deleted', () => neighbours.unposted(ada.id, postId))
  const { counted, kept } = await roundTripTable('users', rows, usersRoutes)
  t.equal(kept, counted)
})
