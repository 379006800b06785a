import { bucketOf, collectionOf, type Store } from '@skerry/store'
import t from 'tap'
import { feeds } from '../src/data/feeds.ts'
import type { Deps } from '../src/domain/deps.ts'
import { fanOut } from '../src/domain/fan-out.ts'
import { follow, unfollow } from '../src/domain/follow.ts'
import { createKnownFollowers } from '../src/domain/known-followers.ts'
import { startContent } from './support/system.ts'

const {
  person,
  store,
  first: { deps }
} = await startContent(t, { events: false })

/** The same store, whose next command of a kind waits for `before`. */
function pausedBefore(store: Store, collection: string, method: string, before: () => Promise<void>): Store {
  let paused = false
  const wrapped = (name: string) => {
    const real = store.db.collection(name)
    return new Proxy(real, {
      get(target, member) {
        const value = Reflect.get(target, member, target) as unknown
        if (typeof value !== 'function') return value
        if (name !== collection || member !== method || paused) return value.bind(target)
        return async (...all: unknown[]) => {
          paused = true
          await before()
          return (value as (...all: unknown[]) => unknown).apply(target, all)
        }
      }
    })
  }
  const db = new Proxy(store.db, {
    get: (target, member) => (member === 'collection' ? wrapped : Reflect.get(target, member, target))
  })
  return { ...store, db }
}

const entries = async (ownerId: string) =>
  (
    await collectionOf(store.db, feeds)
      .find({ bucket: bucketOf(ownerId), _id: { $gte: `${ownerId}:`, $lt: `${ownerId};` } })
      .toArray()
  ).map(({ _id }) => _id.slice(27))

t.test('who unfollows and follows again while a post is written into feeds has it', async (t) => {
  const [author, reader] = [person('author'), person('reader')]
  const pair = { followerId: reader.id, followedId: author.id }
  await follow(deps, pair)
  const post = await author.post('while somebody comes and goes')
  // Before the entry is written the reader leaves; before it is taken away they are back.
  let left = false
  const racing: Deps = {
    ...deps,
    store: pausedBefore(
      pausedBefore(store, 'feeds', 'deleteMany', () => follow(deps, pair)),
      'feeds',
      'insertMany',
      async () => {
        left = true
        await unfollow(deps, pair)
      }
    )
  }
  await fanOut(racing, [{ postId: post.id, authorId: author.id }])
  t.equal(left, true)
  t.same(await entries(reader.id), [post.id])
})

t.test('who leaves while a post is written into feeds, and stays away, does not keep it', async (t) => {
  const [author, reader] = [person(), person()]
  const pair = { followerId: reader.id, followedId: author.id }
  await follow(deps, pair)
  const post = await author.post('once more')
  const racing: Deps = { ...deps, store: pausedBefore(store, 'feeds', 'insertMany', () => unfollow(deps, pair)) }
  await fanOut(racing, [{ postId: post.id, authorId: author.id }])
  t.same(await entries(reader.id), [])
})

t.test('a follow that ended and began again while an earlier one was late has all posts', async (t) => {
  const [author, reader] = [person(), person()]
  const pair = { followerId: reader.id, followedId: author.id }
  const post = await author.post('from before')
  const late = pausedBefore(
    pausedBefore(store, 'feeds', 'deleteMany', () => follow(deps, pair)),
    'feeds',
    'insertMany',
    () => unfollow(deps, pair)
  )
  await follow({ ...deps, store: late }, pair)
  t.same(await entries(reader.id), [post.id])
})

/** What is asked of the database while `work` runs, as `command collection`. */
async function commandsOf(work: () => Promise<void>): Promise<string[]> {
  const seen: string[] = []
  const note = ({ commandName, command }: { commandName: string; command: Record<string, unknown> }) =>
    void (commandName !== 'explain' && seen.push(`${commandName} ${command[commandName]}`))
  store.client.on('commandStarted', note)
  await work()
  store.client.off('commandStarted', note)
  return seen
}

t.test('posts of several authors are written by one write, after one look at who follows', async (t) => {
  const authors = [person(), person(), person()]
  const readers = [person(), person(), person(), person()]
  for (const author of authors)
    for (const reader of readers) await follow(deps, { followerId: reader.id, followedId: author.id })
  const post = async () => {
    const all = await Promise.all([...authors, authors[0]!].map((author) => author.post('one of many')))
    return all.map(({ id, author }) => ({ postId: id, authorId: author.id }))
  }
  await fanOut(deps, await post())
  const posts = await post()
  // Newest entries are cut back by chance, by as many commands.
  const keeping: Deps = { ...deps, feeds: { ...deps.feeds, FEED_KEEP: 1e12 } }
  t.same(await commandsOf(() => fanOut(keeping, posts)), ['insert feeds', 'find followers'])
  for (const reader of readers) t.equal((await entries(reader.id)).length, 8)
})

t.test('who came or went since an author last posted gets, or does not keep, what is written', async (t) => {
  const [author, other] = [person(), person()]
  const [stays, goes, comes] = [person(), person(), person()]
  const pairOf = (reader: { id: string }, followed = author) => ({ followerId: reader.id, followedId: followed.id })
  for (const reader of [stays, goes]) await follow(deps, pairOf(reader))
  await follow(deps, pairOf(goes, other))
  const post = async (by = author) => ({ postId: (await by.post('again')).id, authorId: by.id })
  const before = await post()
  await fanOut(deps, [before])
  // As another instance is told of it: this one guesses who followed last time.
  const elsewhere = { ...deps, knownFollowers: createKnownFollowers(10) }
  await unfollow(elsewhere, pairOf(goes))
  await follow(elsewhere, pairOf(comes))
  const [after, others] = [await post(), await post(other)]
  await fanOut(deps, [after, others])
  t.same(await entries(stays.id), [before.postId, after.postId])
  t.same(await entries(comes.id), [before.postId, after.postId])
  t.same(await entries(goes.id), [others.postId])
})

t.test('what is remembered of followers is bounded', (t) => {
  const known = createKnownFollowers(10)
  known.keep('a', ['x', 'y', 'z'])
  known.keep('b', ['x', 'y', 'z'])
  known.keep('a', ['x', 'y'])
  known.keep('c', 'many')
  t.strictSame([known.of('a'), known.of('b'), known.of('c')], [['x', 'y'], ['x', 'y', 'z'], 'many'])
  known.keep('d', ['x', 'y'])
  t.strictSame(
    [known.of('a'), known.of('b'), known.of('c'), known.of('d')],
    [['x', 'y'], undefined, 'many', ['x', 'y']]
  )
  known.forget('a')
  t.equal(known.of('a'), undefined)
  t.end()
})
