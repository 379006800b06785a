import { bucketOf, collectionOf, type Store } from '@skerry/store'
import t from 'tap'
import { feeds } from '../src/data/feeds.ts'
import type { Deps } from '../src/domain/deps.ts'
import { fanOut } from '../src/domain/fan-out.ts'
import { follow, unfollow } from '../src/domain/follow.ts'
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
  await fanOut(racing, { postId: post.id, authorId: author.id })
  t.equal(left, true)
  t.same(await entries(reader.id), [post.id])
})

t.test('who leaves while a post is written into feeds, and stays away, does not keep it', async (t) => {
  const [author, reader] = [person(), person()]
  const pair = { followerId: reader.id, followedId: author.id }
  await follow(deps, pair)
  const post = await author.post('once more')
  const racing: Deps = { ...deps, store: pausedBefore(store, 'feeds', 'insertMany', () => unfollow(deps, pair)) }
  await fanOut(racing, { postId: post.id, authorId: author.id })
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
