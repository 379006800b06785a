import type { Post } from '@skerry/contracts'
import { bucketOf, collectionOf } from '@skerry/store'
import t, { type Test } from 'tap'
import { bigAuthors, findBigState } from '../src/data/big-authors.ts'
import { feeds } from '../src/data/feeds.ts'
import { followers } from '../src/data/follows.ts'
import type { Client } from './support/client.ts'
import { eventually, startContent } from './support/system.ts'

const { users, person, store } = await startContent(t, {
  instances: 2,
  config: { FANOUT_MAX: 3, FEED_BACKFILL: 100, MERGE_CHECK_MS: 0 }
})

type Reader = Client & { id: string }

async function feedOf(reader: Reader, limit = 100): Promise<string[]> {
  const ids: string[] = []
  let cursor = ''
  for (;;) {
    const page = await reader.feed(`?limit=${limit}${cursor}`)
    ids.push(...page.items.map((post) => post.id))
    if (page.nextCursor === null) return ids
    cursor = `&cursor=${page.nextCursor}`
  }
}

async function settles(t: Test, who: Reader, expected: readonly Post[], what: string): Promise<void> {
  const ids = expected.map((post) => post.id)
  await eventually(what, async () => JSON.stringify(await feedOf(who)) === JSON.stringify(ids))
  t.strictSame(await feedOf(who, 2), ids, `${what}: the same in small pages`)
}

const entriesOf = (ownerId: string, post: Post) =>
  collectionOf(store.db, feeds).countDocuments({ bucket: bucketOf(ownerId), _id: `${ownerId}:${post.id}` })

const followersOf = (id: string) =>
  collectionOf(store.db, followers).countDocuments({ bucket: bucketOf(id), _id: { $gte: `${id}:`, $lt: `${id};` } })

t.test(
  'an author who grows beyond the bound, shrinks below it and grows again is in every feed all the time',
  async (t) => {
    const star = person('star')
    const other = person('other')
    const fans = Array.from({ length: 3 }, () => person())
    const [fan] = fans
    for (const { id } of fans) await users.follow(id, star.id)
    await users.follow(fan!.id, other.id)
    await eventually('the follows', async () => (await followersOf(star.id)) === 3)

    const small = await star.post('written into feeds')
    for (const who of fans) await settles(t, who, [small], 'small')
    t.equal(await entriesOf(fan!.id, small), 1)

    const late = person()
    await users.follow(late.id, star.id)
    await settles(t, late, [small], 'the late fan has what was there')
    const big = await star.post('merged when read')
    for (const who of [...fans, late]) await settles(t, who, [big, small], 'big')
    t.equal(await entriesOf(fan!.id, big), 0, 'it is not in the feed collection')
    t.equal(await findBigState(store, star.id), 'big')

    const latest = person()
    await users.follow(latest.id, star.id)
    await settles(t, latest, [big, small], 'who follows a big author')
    const between = await other.post('between')
    const second = await star.post('again')
    await settles(t, fan!, [second, between, big, small], 'merged in order')
    t.equal(await entriesOf(fan!.id, second), 0)

    for (const who of [late, latest]) await users.unfollow(who.id, star.id)
    for (const who of [late, latest]) await settles(t, who, [], 'the unfollow')
    const down = await star.post('written again')
    await settles(t, fan!, [down, second, between, big, small], 'below the bound nothing is missing')
    await eventually('the fan-out', async () => (await entriesOf(fan!.id, down)) === 1)
    t.equal(await findBigState(store, star.id), 'was')
    const joined = person()
    await users.unfollow(fan!.id, star.id)
    await users.follow(joined.id, star.id)
    await settles(t, fan!, [between], 'who leaves keeps nothing')
    await settles(t, joined, [down, second, big, small], 'who joins gets all')

    for (const who of [fan!, late]) await users.follow(who.id, star.id)
    await eventually('the follows', async () => (await followersOf(star.id)) === 5)
    const up = await star.post('merged again')
    for (const who of [fans[1]!, fans[2]!, late, joined])
      await settles(t, who, [up, down, second, big, small], 'big again')
    await settles(t, fan!, [up, down, second, between, big, small], 'big again, with others')
    t.equal(await entriesOf(late.id, up), 0)
    await star.send('DELETE', `/v1/posts/${up.id}`)
    await settles(t, late, [down, second, big, small], 'a deleted post')
  }
)

t.test('crossing the bound while posts and follows come in loses nothing', async (t) => {
  const star = person()
  const fans = Array.from({ length: 8 }, () => person())
  const posts: Post[] = []
  await Promise.all([
    (async () => {
      for (let i = 0; i < 15; i++) posts.unshift(await star.post(`p${i}`))
    })(),
    (async () => {
      for (const fan of fans) {
        await users.follow(fan.id, star.id)
        await eventually('the follow', async () => (await followersOf(star.id)) > 0)
      }
    })()
  ])
  for (const fan of fans) await settles(t, fan, posts, 'the whole list')
  // As after an end in the middle of marking: the next post goes on with it.
  await collectionOf(store.db, bigAuthors).updateOne({ _id: star.id }, { $set: { state: 'marking' } }, { upsert: true })
  posts.unshift(await star.post('one more'))
  for (const fan of fans) await settles(t, fan, posts, 'after an end in between')
  await eventually('marked', async () => (await findBigState(store, star.id)) === 'big')
})

t.test('several big authors in one feed', async (t) => {
  const stars = [person(), person(), person()]
  const fans = Array.from({ length: 4 }, () => person())
  for (const star of stars) for (const fan of fans) await users.follow(fan.id, star.id)
  for (const star of stars) await eventually('the follows', async () => (await followersOf(star.id)) === 4)
  const posts: Post[] = []
  for (let i = 0; i < 9; i++) posts.unshift(await stars[i % 3]!.post(`p${i}`))
  const own = await fans[0]!.post('own')
  await settles(t, fans[0]!, [own, ...posts], 'merged with their own')
  t.equal(await entriesOf(fans[0]!.id, posts[0]!), 0)
  await users.unfollow(fans[0]!.id, stars[1]!.id)
  const left = posts.filter((post) => post.author.id !== stars[1]!.id)
  await settles(t, fans[0]!, [own, ...left], 'one is unfollowed')
})
