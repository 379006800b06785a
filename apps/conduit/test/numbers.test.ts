import { type Comment, CommentCreated, type DataOf } from '@skerry/contracts'
import type { Incoming } from '@skerry/events'
import { bucketOf, collectionOf, newId, type Store } from '@skerry/store'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import type { Api } from '../src/api.ts'
import { findComments } from '../src/data/comments.ts'
import { counters, numberOf } from '../src/data/numbers.ts'
import { addComment } from '../src/domain/comments.ts'
import { applyPost } from '../src/domain/model.ts'
import { modelSubscriptions } from '../src/events.ts'
import { inTx, LIMITS, newUser, openInstances } from './support/model.ts'

const [answering, consuming] = (await openInstances(t, 2)) as [Store, Store]
const [ada, bob] = [newUser(), newUser()]
const at = new Date().toISOString()
const postId = newId(bucketOf(ada))
await inTx(answering, (tx) =>
  applyPost(answering, tx, {
    ...{ postId, authorId: ada, title: 'Numbers', summary: 's', text: 'x', tags: [] },
    ...{ createdAt: at, updatedAt: at, version: 1 }
  })
)
const visit = { call: { remainingMs: () => Number.POSITIVE_INFINITY } as never, forwardedFor: undefined }
const session = {
  ...{ id: newId(bucketOf(bob)), userId: bob, token: 't', version: 1 },
  ...{ accessToken: 'a', refreshToken: 'r', email: 'bob@example.com' }
}
const subscription = modelSubscriptions(consuming).find(({ event }) => event === CommentCreated)!

/** The event of a comment, as the consumer of the other instance applies it. */
async function applyEvent(commentId: string): Promise<void> {
  const data: DataOf<typeof CommentCreated> = {
    ...{ commentId, postId, postAuthorId: ada, authorId: bob, text: commentId, createdAt: at }
  }
  await inTx(consuming, (tx) => subscription.handle([{ data } as Incoming<never>], tx))
}

/** A front end's comment, whose API answers after `meanwhile`. Resolves with the number that the front end gets. */
async function answer(commentId: string, meanwhile = async () => {}): Promise<number> {
  const api = (async () => {
    await meanwhile()
    const body = { id: commentId, author: { id: bob }, text: commentId, createdAt: at } as Comment
    return { status: 201, body, problem: undefined }
  }) as unknown as Api
  const deps = { store: answering, api, limits: LIMITS, now: Date.now }
  return (await addComment(deps, session, { slug: 'numbers', body: commentId }, visit)).comment.id
}
const newComment = () => newId(bucketOf(postId))
const lastGiven = async () => (await collectionOf(answering.db, counters).findOne({ _id: 'comments' }))?.last ?? 0
const shownAs = async (commentId: string) =>
  (await findComments(consuming, postId, 100)).filter((found) => found._id === commentId).map(({ number }) => number)

t.test('the answer comes first', async (t) => {
  const [before, id] = [await lastGiven(), newComment()]
  t.equal(await answer(id), before + 1)
  await applyEvent(id)
  t.same(await shownAs(id), [before + 1])
  t.equal(await lastGiven(), before + 1)
})

t.test('the event comes first, while the API is still being asked', async (t) => {
  const [before, id] = [await lastGiven(), newComment()]
  t.equal(await answer(id, () => applyEvent(id)), before + 1)
  t.same(await shownAs(id), [before + 1])
  t.equal(await lastGiven(), before + 1)
})

t.test('both draw at the same moment', async (t) => {
  const [before, id] = [await lastGiven(), newComment()]
  // Until both have found no number and ask the counter, a transaction of this test keeps it.
  const holder = answering.client.startSession()
  holder.startTransaction()
  await collectionOf(answering.db, counters).updateOne({ _id: 'comments' }, { $inc: { last: 1 } }, { session: holder })
  const drawing = [answering, consuming].map((store) => {
    let drew = false
    store.client.on('commandStarted', ({ commandName, command }) => {
      if (commandName === 'findAndModify' && command.findAndModify === 'counters') drew = true
    })
    return () => drew
  })
  const both = Promise.all([answer(id), applyEvent(id)])
  await waitFor(() => drawing.every((drew) => drew()), { message: 'both ask the counter' })
  await holder.abortTransaction()
  await holder.endSession()
  const [number] = await both
  t.equal(number, before + 1)
  t.same(await shownAs(id), [number])
  t.equal(await lastGiven(), before + 1, 'and the counter has gone on by one')
})

t.test('many at once, each from both sides: one number each, and none is left out', async (t) => {
  const before = await lastGiven()
  const ids = Array.from({ length: 20 }, newComment)
  const drawn = await Promise.all(ids.map((id) => Promise.all([numberOf(answering, id), numberOf(consuming, id)])))
  for (const [one, other] of drawn) t.equal(one, other)
  t.same(
    drawn.map(([number]) => number).sort((a, b) => a - b),
    ids.map((_, i) => before + 1 + i)
  )
})
