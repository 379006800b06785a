import type { PageOf, Post } from '@skerry/contracts'
import { bucketOf, collectionOf } from '@skerry/store'
import t from 'tap'
import { feeds } from '../src/data/feeds.ts'
import { deleteFollow } from '../src/data/follows.ts'
import { fanOut } from '../src/domain/fan-out.ts'
import type { Client } from './support/client.ts'
import { eventually, startContent } from './support/system.ts'

const { users, person, store, first } = await startContent(t, {
  instances: 2,
  config: { FEED_KEEP: 32, FEED_BACKFILL: 5, FANOUT_CHUNK: 3 }
})

const idsOf = (page: PageOf<Post>) => page.items.map((post) => post.id)

/** The whole feed, page by page. */
async function wholeFeed(reader: Client, limit = 100): Promise<string[]> {
  const ids: string[] = []
  let cursor = ''
  for (;;) {
    const page = await reader.feed(`?limit=${limit}${cursor}`)
    ids.push(...idsOf(page))
    if (page.nextCursor === null) return ids
    cursor = `&cursor=${page.nextCursor}`
  }
}

t.test('what an author posts comes to followers, and goes when they unfollow', async (t) => {
  const ada = person('ada')
  const bob = person('bob')
  const eve = person('eve')
  const before = await ada.post('before the follow')
  await users.follow(bob.id, ada.id)
  await eventually('the backfill', async () => (await bob.feed()).items.some((post) => post.id === before.id))
  const after = await ada.post('after the follow')
  const own = await bob.post('my own')
  t.equal((await bob.feed()).items[0]?.id, own.id, 'own posts are there at once')
  await eventually('the fan-out', async () => (await bob.feed()).items.length === 3)
  const feed = await bob.feed()
  t.strictSame(idsOf(feed), [own.id, after.id, before.id])
  t.equal(feed.nextCursor, null)
  t.strictSame((await eve.feed()).items, [], 'nobody else gets them')

  await users.unfollow(bob.id, ada.id)
  await eventually('the unfollow', async () => (await bob.feed()).items.length === 1)
  await users.follow(bob.id, ada.id)
  await eventually('following again', async () => (await bob.feed()).items.length === 3)
  await ada.send('DELETE', `/v1/posts/${after.id}`)
  t.strictSame(idsOf(await bob.feed()), [own.id, before.id], 'a deleted post is gone at once')
})

t.test('a page has a bound in bytes, and lists have all the same', async (t) => {
  const ada = person()
  const ids: string[] = []
  for (let i = 0; i < 20; i++) ids.unshift((await ada.post('ä'.repeat(20_000), { tags: ['long'] })).id)
  for (const list of ['/v1/feed?', `/v1/posts?author=${ada.id}&`, '/v1/posts?tag=long&']) {
    const found: string[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { body: page }: { body: PageOf<Post> } = await ada.send<PageOf<Post>>('GET', `${list}limit=50${cursor}`)
      t.ok(JSON.stringify(page).length <= 300_000, 'a page')
      found.push(...idsOf(page))
      cursor = page.nextCursor === null ? null : `&cursor=${page.nextCursor}`
    }
    t.strictSame(found, ids, list.replace(ada.id, 'ada'))
  }
})

t.test('a follow brings the newest posts of the author, and no more', async (t) => {
  const ada = person()
  const bob = person()
  const eve = person()
  await users.follow(eve.id, ada.id)
  const ids = [(await ada.post('first')).id]
  await eventually('eve follows', async () => (await eve.feed()).items.length === 1)
  for (let i = 0; i < 7; i++) ids.unshift((await ada.post(`p${i}`)).id)
  // A post whose fan-out is still to come reaches who follows meanwhile as well.
  await eventually('the fan-out', async () => (await eve.feed()).items.length === 8)
  await users.follow(bob.id, ada.id)
  await eventually('the backfill', async () => (await bob.feed()).items.length >= 5)
  t.strictSame(await wholeFeed(bob), ids.slice(0, 5))
})

t.test('pages have no holes where posts are gone', async (t) => {
  const ada = person()
  const ids: string[] = []
  for (let i = 0; i < 12; i++) ids.unshift((await ada.post(`p${i}`)).id)
  // As when a deleted post still stands in a feed.
  const gone = [0, 1, 2, 5, 11]
  for (const i of gone) {
    await ada.send('DELETE', `/v1/posts/${ids[i]}`)
    await collectionOf(store.db, feeds).insertOne({
      _id: `${ada.id}:${ids[i]}`,
      bucket: bucketOf(ada.id),
      authorId: ada.id
    })
  }
  const left = ids.filter((_, i) => !gone.includes(i))
  t.strictSame(idsOf(await ada.feed('?limit=4')), left.slice(0, 4), 'a full page')
  for (const limit of [1, 2, 3, 7]) t.strictSame(await wholeFeed(ada, limit), left, `pages of ${limit}`)
})

t.test('complete under parallel writers, and follows meanwhile', async (t) => {
  const writers = Array.from({ length: 6 }, () => person())
  const readers = Array.from({ length: 8 }, () => person())
  const made: string[] = []
  // The first half of the readers follows everybody before, the other half while the posts come in.
  const followAll = (some: typeof readers) =>
    Promise.all(some.flatMap((reader) => writers.map((writer) => users.follow(reader.id, writer.id))))
  await followAll(readers.slice(0, 4))
  await Promise.all([
    ...writers.map(async (writer) => {
      for (let i = 0; i < 5; i++) made.push((await writer.post(`post ${i}`)).id)
    }),
    followAll(readers.slice(4))
  ])
  const expected = made.sort().reverse()
  for (const reader of readers) {
    await eventually('the whole feed', async () => (await wholeFeed(reader)).length >= expected.length)
    t.strictSame(await wholeFeed(reader, 7), expected)
  }
})

t.test('an unfollow during the fan-out leaves nothing behind', async (t) => {
  const ada = person()
  const fans = Array.from({ length: 7 }, () => person())
  const friend = person()
  for (const fan of [...fans, friend]) await users.follow(fan.id, ada.id)
  const marker = await ada.post('marker')
  for (const fan of [...fans, friend]) {
    await eventually('the follow', async () => idsOf(await fan.feed()).includes(marker.id))
  }
  const posts = await Promise.all(Array.from({ length: 6 }, (_, i) => ada.post(`p${i}`)))
  await Promise.all([
    ...fans.map((fan) => users.unfollow(fan.id, ada.id)),
    // Again and by hand, as an instance would that is late.
    ...posts.map((post) => fanOut(first.deps, [{ postId: post.id, authorId: ada.id }]))
  ])
  await eventually('the fan-out', async () => (await friend.feed()).items.length === 7)
  for (const fan of fans) await eventually('the unfollow', async () => (await fan.feed()).items.length === 0)
  const left = () =>
    Promise.all(
      fans.map((fan) =>
        collectionOf(store.db, feeds).countDocuments({
          bucket: bucketOf(fan.id),
          _id: { $gte: `${fan.id}:`, $lt: `${fan.id};` }
        })
      )
    )
  await eventually('nothing is left', async () => (await left()).every((count) => count === 0))
  t.equal((await friend.feed()).items.length, 7, 'who still follows has all')
})

t.test('what should not be in a feed any more is not shown', async (t) => {
  const ada = person()
  const bob = person()
  const mine = await bob.post('mine')
  await ada.post('hers')
  await users.follow(bob.id, ada.id)
  await eventually('the backfill', async () => (await bob.feed()).items.length === 2)
  await deleteFollow(store, { followerId: bob.id, followedId: ada.id })
  t.strictSame(idsOf(await bob.feed()), [mine.id])
})

t.test('feeds are cut back to their newest entries', async (t) => {
  const ada = person()
  const bob = person()
  await users.follow(bob.id, ada.id)
  const marker = await ada.post('marker')
  await eventually('the follow', async () => idsOf(await bob.feed()).includes(marker.id))
  const posts = await Promise.all(Array.from({ length: 20 }, () => ada.post('x')))
  const ids = [marker, ...posts].map((post) => post.id).sort()
  ids.reverse()
  for (const reader of [ada, bob])
    await eventually('all fanned out', async () => (await wholeFeed(reader)).length === ids.length)

  // A feed is cut after each quarter of its length on average; after each entry where 4 are kept.
  const deps = { ...first.deps, feeds: { ...first.deps.feeds, FEED_KEEP: 4 } }
  await fanOut(deps, [{ postId: ids[0]!, authorId: ada.id }])
  t.strictSame(await wholeFeed(bob), ids.slice(0, 4))
  t.strictSame(await wholeFeed(ada), ids.slice(0, 4), "the author's own as well")
})
