import type { Profile } from '@skerry/contracts'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startUsers } from './support/system.ts'

const { person, readEvents } = await startUsers(t, { instances: 2 })

t.test('follow and unfollow, each as often as liked', async (t) => {
  const ada = person('ada')
  const bob = person('bob')
  t.match(await ada.send('PUT', `/v1/users/${bob.id}/follow`), { status: 404, body: { code: 'USR_NOT_FOUND' } })
  await bob.me()
  for (let i = 0; i < 3; i++) t.equal((await ada.send('PUT', `/v1/users/${bob.id}/follow`)).status, 204)
  t.same((await ada.me()).counts, { followers: 0, following: 1, posts: 0 })
  t.same((await bob.me()).counts, { followers: 1, following: 0, posts: 0 })
  t.match((await ada.page(`/v1/users/${bob.id}/followers`)).items, [{ username: 'ada' }])
  t.match((await bob.page(`/v1/users/${ada.id}/following`)).items, [{ username: 'bob' }])
  for (let i = 0; i < 3; i++) t.equal((await ada.send('DELETE', `/v1/users/${bob.id}/follow`)).status, 204)
  t.same((await ada.me()).counts, { followers: 0, following: 0, posts: 0 })
  t.same((await bob.me()).counts, { followers: 0, following: 0, posts: 0 })
  t.match(await ada.send('PUT', `/v1/users/${ada.id}/follow`), { status: 400, body: { code: 'USR_SELF_FOLLOW' } })
  for (let i = 0; i < 2; i++) t.equal((await ada.send('DELETE', `/v1/users/${ada.id}/follow`)).status, 204)
  t.equal((await ada.send('PUT', `/v1/users/${bob.id}/follow`)).status, 204, 'and it holds nobody up')
  t.equal((await ada.send('DELETE', `/v1/users/${bob.id}/follow`)).status, 204)
  const nobody = '00000000000000000000000000'
  for (const [method, url] of [
    ['PUT', `/v1/users/${nobody}/follow`],
    ['DELETE', `/v1/users/${nobody}/follow`],
    ['GET', `/v1/users/${nobody}/followers`],
    ['GET', `/v1/users/${nobody}/following`],
    ['GET', `/v1/users/${nobody}`]
  ] as const) {
    t.match(await ada.send(method, url), { status: 404, body: { code: 'USR_NOT_FOUND' } })
  }
  await waitFor(async () => (await events(ada.id, bob.id)).length === 4)
  const both = ['users.follow.created.v1', 'users.follow.deleted.v1']
  t.same(await events(ada.id, bob.id), [...both, ...both])
})

t.test('a storm keeps counts, lists and events right', async (t) => {
  const star = person('star')
  await star.me()
  const fans = Array.from({ length: 12 }, (_, i) => person(`fan${i}`))
  const answers = await Promise.all(
    fans.flatMap((fan, i) =>
      ['PUT', 'PUT', 'DELETE', 'PUT', i % 3 === 0 ? 'DELETE' : 'PUT'].map((method) =>
        untilTaken(() => fan.send(method as 'PUT', `/v1/users/${star.id}/follow`))
      )
    )
  )
  t.same([...new Set(answers)], [204], 'each is taken in the end')
  const listed = (await star.page(`/v1/users/${star.id}/followers?limit=100`)).items
  t.equal((await star.me()).counts.followers, listed.length)
  let following = 0
  for (const fan of fans) {
    const theirs = (await fan.page(`/v1/users/${fan.id}/following`)).items.length
    t.equal((await fan.me()).counts.following, theirs)
    t.equal(
      listed.some((p) => p.id === fan.id),
      theirs === 1
    )
    following += theirs
    const net = async () =>
      (await events(fan.id, star.id)).reduce((sum, s) => sum + (s === 'users.follow.created.v1' ? 1 : -1), 0)
    await waitFor(async () => (await net()) === theirs, { message: 'events tell the same' })
    const order = await events(fan.id, star.id)
    t.same(
      order,
      order.map((_, i) => (i % 2 === 0 ? 'users.follow.created.v1' : 'users.follow.deleted.v1')),
      'in turn'
    )
  }
  t.equal(following, listed.length)
})

t.test('lists are newest first and hold while they grow', async (t) => {
  const star = person('nova')
  await star.me()
  const fans = Array.from({ length: 7 }, (_, i) => person(`page${i}`))
  for (const fan of fans.slice(0, 6)) await fan.send('PUT', `/v1/users/${star.id}/follow`)
  const first = await star.page(`/v1/users/${star.id}/followers?limit=4`)
  await fans[6]!.send('PUT', `/v1/users/${star.id}/follow`)
  await fans[1]!.send('DELETE', `/v1/users/${star.id}/follow`)
  const second = await star.page(`/v1/users/${star.id}/followers?limit=4&cursor=${first.nextCursor}`)
  const names = (items: Profile[]) => items.map((p) => p.username)
  t.same(names(first.items), ['page5', 'page4', 'page3', 'page2'])
  t.same(names(second.items), ['page0'])
  t.equal(second.nextCursor, null)
  const elsewhere = await star.send('GET', `/v1/users/${star.id}/following?cursor=${first.nextCursor}`)
  t.match(elsewhere, { status: 400, body: { code: 'BAD_CURSOR' } })
})

async function events(followerId: string, followedId: string): Promise<string[]> {
  const all = await readEvents()
  return all.filter((e) => e.data.followerId === followerId && e.data.followedId === followedId).map((e) => e.subject)
}

/** Tries again what is refused for now, as every client does: a busy machine may take a request only later. */
async function untilTaken(send: () => Promise<{ status: number; headers: Record<string, unknown> }>): Promise<number> {
  for (;;) {
    const { status, headers } = await send()
    if (status !== 503 || headers['retry-after'] === undefined) return status
  }
}
