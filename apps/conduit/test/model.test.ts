import { bucketOf, newId } from '@skerry/store'
import t from 'tap'
import { findArticle, findArticles, findTags, type PostState } from '../src/data/articles.ts'
import { deleteComments, findComment, findComments } from '../src/data/comments.ts'
import { numberOf } from '../src/data/numbers.ts'
import { findPeople, findPerson, saveName, saveProfile } from '../src/data/people.ts'
import { findPictures, savePicture } from '../src/data/pictures.ts'
import { favorites, findHeld, findTargets, follows } from '../src/data/relations.ts'
import { findSlug } from '../src/data/slugs.ts'
import { forgetPerson } from '../src/domain/forget.ts'
import {
  apply,
  applyComment,
  applyCommentDeleted,
  applyPost,
  applyPostDeleted,
  applyRelationAnswer,
  applyRelationEvent,
  newsOf
} from '../src/domain/model.ts'
import { inTx, newUser, openModel, orders } from './support/model.ts'

const store = await openModel(t)
const WINDOW = { offset: 0, limit: 20, countMax: 100 }

function postOf(title: string | null, authorId = newUser()): PostState {
  const at = new Date().toISOString()
  const postId = newId(bucketOf(authorId))
  return { postId, authorId, title, summary: 's', text: 'x', tags: ['t'], createdAt: at, updatedAt: at, version: 1 }
}
const put = (post: PostState) => inTx(store, (tx) => applyPost(store, tx, post))
const remove = (post: PostState) => inTx(store, (tx) => applyPostDeleted(store, tx, post))

t.test('an answer and its event at the same moment, of somebody new', async (t) => {
  for (let round = 0; round < 20; round++) {
    const userId = newUser()
    const username = `same${userId}`
    await Promise.all([
      ...[1, 2, 1, 2].map((version) => saveName(store, { userId, username, version })),
      ...[1, 2].map((version) => saveProfile(store, { userId, username, bio: `${version}`, avatarUrl: null, version })),
      ...[1, 2].map((n) => savePicture(store, userId, `https://images.example/${n}.png`))
    ])
    t.match((await findPeople(store, [userId])).get(userId), { username, accountVersion: 2, bio: '2' })
    t.match((await findPictures(store, [userId])).get(userId), /^https:/)
  }
})

t.test('versions of a post and its end come in any order, and twice', async (t) => {
  for (const end of [false, true]) {
    for (const order of orders(end ? [1, 2, 3, 0] : [1, 2, 3])) {
      const post = postOf('One title')
      const steps = order.map((version) =>
        version === 0
          ? () => remove(post)
          : () => put({ ...post, title: `Title ${version} of ${post.postId}`, version })
      )
      for (const step of [...steps, ...steps]) await step()
      const found = await findArticle(store, post.postId)
      if (end) t.match(found, { gone: true, slug: undefined, live: undefined, body: undefined }, order.join())
      else t.match(found, { version: 3, title: `Title 3 of ${post.postId}`, live: true, favorites: 0 }, order.join())
      const led = [1, 2, 3].map((version) => findSlug(store, `title-${version}-of-${post.postId}`))
      t.same(await Promise.all(led), [undefined, undefined, end ? undefined : post.postId], 'one slug, or none')
    }
  }
})

t.test('slugs are unique, stay with their article, and are free again', async (t) => {
  const [first, second] = [postOf('Same Title!'), postOf('same title')]
  await put(first)
  await put(second)
  const slugOf = async (post: PostState) => (await findArticle(store, post.postId))?.slug
  t.equal(await slugOf(first), 'same-title')
  t.equal(await slugOf(second), `same-title-${second.postId.slice(-6)}`)
  await put({ ...first, title: 'Other', version: 2 })
  await put({ ...second, text: 'new', version: 2 })
  t.equal(await slugOf(second), `same-title-${second.postId.slice(-6)}`, 'while the title stays')
  await put({ ...second, title: null, version: 3 })
  t.match(await findArticle(store, second.postId), { live: undefined, version: 3 }, 'no article without a title')
  await put({ ...second, title: 'Same title', version: 4 })
  t.equal(await slugOf(second), 'same-title')
  // At once from both sides, as an answer and its event, and against another with the same title.
  const [third, fourth] = [postOf('Race'), postOf('Race')]
  const race = [third, fourth, third, fourth].map((post) => apply(store, {}, (tx) => applyPost(store, tx, post)))
  await Promise.all(race)
  t.equal(new Set([await slugOf(third), await slugOf(fourth)]).size, 2)
})

t.test('likes and follows: answers and events in any order that can be', async (t) => {
  const edge = () => ({ from: newUser(), to: postOf('x').postId })
  const event = (one: ReturnType<typeof edge>, on: boolean) =>
    inTx(store, (tx) => applyRelationEvent(store, favorites, tx, one, on))
  const answer = (one: ReturnType<typeof edge>, on: boolean, before: number) =>
    inTx(store, (tx) => applyRelationAnswer(store, favorites, tx, one, on, before))
  const shown = async ({ from, to }: ReturnType<typeof edge>) => [
    (await findHeld(store, favorites, from, [to])).has(to),
    (await findArticle(store, to))?.favorites ?? 0
  ]

  const ahead = edge()
  await answer(ahead, true, 0)
  t.same(await shown(ahead), [true, 1])
  await answer(ahead, false, 0)
  await event(ahead, true)
  t.same(await shown(ahead), [false, 0], 'an old event does not bring back what was taken away')
  await event(ahead, false)
  t.same(await shown(ahead), [false, 0])
  await event(ahead, true)
  t.same(await shown(ahead), [true, 1], 'and what comes after it counts')

  const late = edge()
  await answer(late, true, 0)
  // While the API takes the like back, the event of the like comes: it was expected, and is not the answer's.
  const beforeLate = await newsOf(store, favorites, late)
  await event(late, true)
  await answer(late, false, beforeLate)
  t.same(await shown(late), [false, 0])
  await event(late, false)
  await event(late, true)
  t.same(await shown(late), [true, 1])

  const behind = edge()
  const before = await newsOf(store, favorites, behind)
  await event(behind, true)
  await answer(behind, true, before)
  t.same(await shown(behind), [true, 1], 'the event was first')
  await event(behind, false)
  t.same(await shown(behind), [false, 0], 'and is not waited for')

  const crossed = edge()
  // A phone takes back what was liked here, and both events come before the answer is applied.
  await event(crossed, true)
  await event(crossed, false)
  await answer(crossed, true, 0)
  t.same(await shown(crossed), [false, 0])

  const twice = edge()
  await Promise.all(
    [1, 2, 3, 4].map(() => apply(store, {}, (tx) => applyRelationAnswer(store, favorites, tx, twice, true, 0)))
  )
  t.same(await shown(twice), [true, 1], 'four at once are one')

  const early = edge()
  await event(early, true)
  await put({ ...postOf('Liked before it was known'), postId: early.to })
  t.match(await findArticle(store, early.to), { favorites: 1, live: true })
})

t.test('comments come and go in any order, under one number', async (t) => {
  const post = postOf('Discussed')
  await put(post)
  const comment = () => ({
    commentId: newId(bucketOf(post.authorId)),
    postId: post.postId,
    authorId: newUser(),
    text: 'x',
    createdAt: post.createdAt
  })
  const add = async (one: ReturnType<typeof comment>) => {
    const number = await numberOf(store, one.commentId)
    await apply(store, {}, (tx) => applyComment(store, tx, one, number))
    return number
  }
  const one = comment()
  const numbers = await Promise.all([add(one), add(one), add(one)])
  t.equal(new Set(numbers).size, 1, 'answer and events draw the same')
  const other = comment()
  t.not(await add(other), numbers[0])
  t.match(await findComment(store, post.postId, numbers[0]!), { _id: one.commentId })
  await inTx(store, (tx) => applyCommentDeleted(store, tx, one))
  await add(one)
  const early = comment()
  await inTx(store, (tx) => applyCommentDeleted(store, tx, early))
  await add(early)
  t.same(
    (await findComments(store, post.postId, 10)).map((found) => found._id),
    [other.commentId]
  )
  await remove(post)
  await deleteComments(store, post.postId)
  await add(comment())
  t.same(await findComments(store, post.postId, 10), [], 'none comes to what is gone')
})

t.test('names are the account’s, profiles the profile’s; the newer stays', async (t) => {
  const stepsFor = (userId: string) => {
    const profile = { userId, username: 'old', bio: 'first', avatarUrl: null, version: 1 }
    return [
      () => saveName(store, { userId, username: 'old', version: 1 }),
      () => saveName(store, { userId, username: `New${userId}`, version: 2 }),
      () => saveProfile(store, profile),
      () => saveProfile(store, { ...profile, bio: '$second', version: 2 })
    ]
  }
  for (const order of orders([0, 1, 2, 3])) {
    const userId = newUser()
    const steps = stepsFor(userId)
    for (const step of order) await steps[step]!()
    const found = (await findPeople(store, [userId])).get(userId)
    t.match(found, { username: `New${userId}`, bio: '$second' }, order.join())
  }
  const userId = newUser()
  for (const step of stepsFor(userId)) await step()
  t.equal((await findPerson(store, `NEW${userId}`))?._id, userId)
  await inTx(store, (tx) => applyRelationEvent(store, follows, tx, { from: userId, to: newUser() }, true))
  await forgetPerson(store, userId)
  for (const step of stepsFor(userId)) await step()
  t.same((await findPeople(store, [userId])).get(userId), { _id: userId, bucket: bucketOf(userId), gone: true })
  t.same(await findTargets(store, follows, userId, 10), [])
})

t.test('lists are found by index and on their shards', async (t) => {
  const [ada, bob] = [newUser(), newUser()]
  const posts = [postOf('a', ada), postOf('b', bob), postOf('c', ada)].map((post) => ({ ...post, tags: [ada] }))
  for (const post of posts) await put(post)
  const ids = async (selection: Parameters<typeof findArticles>[1], window = WINDOW) => {
    const { page, count } = await findArticles(store, selection, window)
    return [page.map((article) => article._id), count]
  }
  const newest = posts
    .map((post) => post.postId)
    .sort()
    .reverse()
  const adas = newest.filter((id) => id !== posts[1]!.postId)
  t.same(await ids({ tags: [ada] }), [newest, 3])
  t.same(await ids({ tags: [ada] }, { offset: 1, limit: 1, countMax: 2 }), [[newest[1]], 2])
  t.same(await ids({ authorIds: [ada] }), [adas, 2])
  t.same(await ids({ authorIds: [ada, bob] }), [newest, 3])
  t.same(await ids({ postIds: newest, authorIds: [ada] }), [adas, 2])
  t.same(await ids({}, { ...WINDOW, limit: 0 }).then(([page]) => page), [])
  t.same(
    (await findArticles(store, {}, WINDOW)).page.slice(0, 3).map((article) => article._id),
    newest
  )
  t.same(await findTags(store, { from: 3, limit: 5 }), [ada])
})
