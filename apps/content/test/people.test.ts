import { newId } from '@skerry/store'
import t from 'tap'
import { findAuthors, saveAuthor } from '../src/data/authors.ts'
import { type AuthorNames, createAuthorNames } from '../src/domain/author-names.ts'
import { eventually, startContent } from './support/system.ts'

const { users, person, store } = await startContent(t, { instances: 2 })

t.test('names come by event and never go back', async (t) => {
  const ada = person('ada')
  const bob = person('bob')
  const { id } = await ada.post('hello')
  const comment = await ada.comment(id, 'me too')
  t.match((await bob.read(id)).author, { username: 'ada', displayName: ada.displayName }, 'from her token at first')
  t.equal(comment.author.displayName, ada.displayName)

  await users.profile({ ...ada, displayName: 'Ada v1' }, 1)
  await eventually('v1', async () => (await bob.read(id)).author.displayName === 'Ada v1')
  await users.profile({ ...ada, displayName: 'Ada v3' }, 3)
  await eventually('v3', async () => (await bob.read(id)).author.displayName === 'Ada v3')
  await users.profile({ ...ada, displayName: 'Ada v2' }, 2)
  const marker = person()
  await users.profile({ ...marker, displayName: 'later' }, 1)
  await eventually('what came after', async () => (await findAuthors(store, [marker.id])).size === 1)
  t.equal((await bob.read(id)).author.displayName, 'Ada v3')
  const again = await ada.post('again')
  t.equal(again.author.displayName, 'Ada v3', 'the token does not overrule what is known')
  t.equal((await bob.list(`?author=${ada.id}`)).items[1]?.author.displayName, 'Ada v3')
  const comments = await bob.send('GET', `/v1/posts/${id}/comments`)
  t.match(comments.body, { items: [{ author: { displayName: 'Ada v3' } }] })
})

t.test('a post of somebody nothing is known of is shown all the same', async (t) => {
  const authors = createAuthorNames(store, { ttlMs: 0, max: 10 })
  const id = newId(7)
  const authorOf = await authors.get([id])
  t.strictSame(authorOf(id), { id, username: 'unknown', displayName: 'Unknown', avatar: null })
  const asked = await authors.get([id], { userId: id, username: 'me', displayName: 'Me' })
  t.strictSame(asked(id), { id, username: 'me', displayName: 'Me', avatar: null })
})

t.test('names are remembered for a bounded time and number', async (t) => {
  const lasting = createAuthorNames(store, { ttlMs: 60_000, max: 3 })
  const brief = createAuthorNames(store, { ttlMs: 30, max: 3 })
  const people = Array.from({ length: 8 }, (_, i) => ({
    id: newId(i),
    username: `u${i}`,
    displayName: 'old',
    avatar: null
  }))
  for (const one of people) await saveAuthor(store, one, 1)
  const first = people[0]!
  const nameOf = async (authors: AuthorNames) => (await authors.get([first.id]))(first.id).displayName
  for (const authors of [lasting, brief]) t.equal(await nameOf(authors), 'old')
  await saveAuthor(store, { ...first, displayName: 'new' }, 2)
  t.equal(await nameOf(lasting), 'old', 'from memory')
  await eventually('the new name', async () => (await nameOf(brief)) === 'new')
  const authorOf = await lasting.get(people.map((one) => one.id))
  t.ok(people.every((one) => authorOf(one.id).username === one.username))
})
