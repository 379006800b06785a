import type { ExportItem } from '@skerry/events'
import { bucketOf, newId } from '@skerry/store'
import t from 'tap'
import { findArticle, type PostState } from '../src/data/articles.ts'
import { findComments } from '../src/data/comments.ts'
import { numberOf } from '../src/data/numbers.ts'
import { findPerson, saveName, saveProfile } from '../src/data/people.ts'
import { savePicture } from '../src/data/pictures.ts'
import { type Edge, favorites, follows } from '../src/data/relations.ts'
import { insertSession } from '../src/data/sessions.ts'
import { findSlug } from '../src/data/slugs.ts'
import {
  applyComment,
  applyCommentDeleted,
  applyPost,
  applyPostDeleted,
  applyRelationAnswer,
  applyRelationEvent,
  newsOf
} from '../src/domain/model.ts'
import { conduitPart } from '../src/domain/take-part.ts'
import { inTx, newUser, openWatched } from './support/model.ts'

const { store, all } = await openWatched(t)
const part = conduitPart(store)
const at = new Date().toISOString()
const expiresAt = new Date(Date.now() + 3_600_000)

async function write(authorId: string, title: string): Promise<PostState> {
  const postId = newId(bucketOf(authorId))
  const post = { ...{ postId, authorId, title, summary: `${title} in short`, text: `${title} at length` } }
  const state = { ...post, tags: [`${title}-tag`], createdAt: at, updatedAt: at, version: 1 }
  await inTx(store, (tx) => applyPost(store, tx, state))
  return state
}
async function say({ postId }: PostState, authorId: string, text: string): Promise<string> {
  const commentId = newId(bucketOf(postId))
  const number = await numberOf(store, commentId)
  await inTx(store, (tx) => applyComment(store, tx, { commentId, postId, authorId, text, createdAt: at }, number))
  return commentId
}
const event = (kind: typeof favorites, edge: Edge, on: boolean) =>
  inTx(store, (tx) => applyRelationEvent(store, kind, tx, edge, on))
async function answer(kind: typeof favorites, edge: Edge, on: boolean): Promise<void> {
  const news = await newsOf(store, kind, edge)
  await inTx(store, (tx) => applyRelationAnswer(store, kind, tx, edge, on, news))
}
const likesOf = async ({ postId }: PostState) => (await findArticle(store, postId))?.favorites

async function move(userId: string, username: string): Promise<void> {
  await saveName(store, { userId, username, version: 1 })
  await saveProfile(store, { userId, username, bio: `${username} tells`, avatarUrl: null, version: 1 })
  await savePicture(store, userId, `https://images.example/${username}.png`)
  for (const [i, sealed] of ['one', 'two'].entries()) {
    const [_id, bucket] = [newId(bucketOf(userId)), bucketOf(userId)]
    const rest = { userId, tokenHash: 'hash', accessUntil: expiresAt, version: 1, expiresAt }
    await insertSession(store, { _id, bucket, sealed: `${username} ${sealed} ${i}`, ...rest })
  }
}

async function exported(userId: string): Promise<ExportItem[]> {
  const items: ExportItem[] = []
  for await (const item of part.exportItems(userId)) items.push(item)
  return items
}

t.test('somebody is exported and erased, others keep what is theirs, and late events change nothing', async (t) => {
  const [ada, bob] = [newUser(), newUser()]
  await move(ada, 'ada')
  await move(bob, 'bob')
  const adas = [await write(ada, 'Adaone'), await write(ada, 'Adatwo')]
  const bobs = [await write(bob, 'Bobone'), await write(bob, 'Bobtwo'), await write(bob, 'Bobthree')]
  const said = await say(bobs[0]!, ada, 'ada comments')
  await say(bobs[0]!, bob, 'bob comments')
  await say(adas[0]!, bob, 'bob answers')
  // By an event; by an answer whose event is to come; and by one that is on its way for the end of it as well.
  const liked = bobs.map(({ postId }) => ({ from: ada, to: postId }))
  await event(favorites, liked[0]!, true)
  await answer(favorites, liked[1]!, true)
  await answer(favorites, liked[2]!, true)
  await answer(favorites, liked[2]!, false)
  await event(favorites, { from: bob, to: bobs[0]!.postId }, true)
  await event(follows, { from: ada, to: bob }, true)
  await event(follows, { from: bob, to: ada }, true)
  t.same(await Promise.all(bobs.map(likesOf)), [2, 1, 0])

  const items = await exported(ada)
  t.match(
    items.map(({ section, item }) => [section, item]),
    [
      ['sessions', { id: String, expiresAt }],
      ['sessions', { id: String, expiresAt }],
      ['picture', { url: 'https://images.example/ada.png' }],
      ['articles', { postId: adas[1]!.postId, slug: 'adatwo' }],
      ['articles', { postId: adas[0]!.postId, slug: 'adaone' }],
      ['comments', { commentId: said, postId: bobs[0]!.postId, number: 1 }]
    ]
  )
  t.notMatch(JSON.stringify(items), /hash|ada one|bob/, 'neither secrets nor what is of others')

  const counts = { sessions: 2, pictures: 1, articles: 2, comments: 1, favorites: 2, follows: 1 }
  t.same(await part.erase(ada), counts)
  t.same(
    (await all()).filter((text) => /ada ?(one|two|tells|comments|\.png)|"ada/i.test(text)),
    [],
    'nothing that she wrote or was called is left'
  )
  t.equal(await findPerson(store, 'ada'), undefined)
  t.same(await Promise.all([findSlug(store, 'adaone'), findSlug(store, 'adatwo')]), [undefined, undefined])
  const kept = async () => ({
    likes: await Promise.all(bobs.map(likesOf)),
    bob: (await findPerson(store, 'bob'))?.bio,
    comments: (await findComments(store, bobs[0]!.postId, 10)).map((comment) => comment.body),
    sessions: (await all()).filter((text) => text.startsWith('sessions ')).length,
    ada: (await all()).filter((text) => text.includes('ada at length')).length
  })
  const left = { likes: [1, 0, 0], bob: 'bob tells', comments: ['bob comments'], sessions: 2, ada: 0 }
  t.same(await kept(), left)

  // What was under way, and what the others tell of their own erasure, comes after it.
  await saveName(store, { userId: ada, username: 'ada', version: 2 })
  await event(favorites, liked[0]!, false)
  for (const edge of [liked[1]!, liked[2]!]) for (const on of [true, false]) await event(favorites, edge, on)
  await event(follows, { from: ada, to: bob }, false)
  await event(follows, { from: bob, to: ada }, false)
  await inTx(store, (tx) => applyCommentDeleted(store, tx, { commentId: said, postId: bobs[0]!.postId }))
  await inTx(store, (tx) => applyPost(store, tx, { ...adas[0]!, version: 2 }))
  for (const post of adas) await inTx(store, (tx) => applyPostDeleted(store, tx, post))
  t.same(await kept(), left)
  const none = Object.fromEntries(Object.keys(counts).map((name) => [name, 0]))
  t.same(await part.erase(ada), none, 'a second time finds nothing')
  t.same(await part.erase(newUser()), none, 'nor does it of somebody unknown')
  t.same(await exported(ada), [])
  const ids = (await all()).filter((text) => text.includes(ada)).map((text) => text.split(' ')[0])
  t.same([...new Set(ids)].sort(), ['articles', 'follows', 'people'], 'marks with the id')
})
