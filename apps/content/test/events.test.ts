import {
  CommentCreated,
  CommentDeleted,
  LikeCreated,
  LikeDeleted,
  PostCreated,
  PostDeleted,
  PostUpdated,
  wireSubject
} from '@skerry/contracts'
import t from 'tap'
import { eventually, startContent } from './support/system.ts'

const { person, users, first, readEvents } = await startContent(t, { instances: 2 })

t.test('each change is one event, and no change is none', async (t) => {
  const ada = person()
  const bob = person()
  const trace = '4bf92f3577b34da6a3ce929d0e0e4736'
  const made = await ada.send<{ id: string }>('POST', '/v1/posts', {
    body: { text: 'one', tags: ['x'] },
    headers: { traceparent: `00-${trace}-00f067aa0ba902b7-01`, 'idempotency-key': 'once' }
  })
  const { id } = made.body
  await ada.send('POST', '/v1/posts', { body: { text: 'one', tags: ['x'] }, headers: { 'idempotency-key': 'once' } })
  const url = `/v1/posts/${id}`
  for (const _ of [1, 2]) await ada.send('PATCH', url, { body: { text: 'two' } })
  await bob.send('PATCH', url, { body: { text: 'not mine' } })
  for (const _ of [1, 2]) await bob.send('PUT', `${url}/like`)
  for (const _ of [1, 2]) await bob.send('DELETE', `${url}/like`)
  const comment = await bob.comment(id, 'hm')
  for (const _ of [1, 2]) await bob.send('DELETE', `/v1/comments/${comment.id}`)
  for (const _ of [1, 2]) await ada.send('DELETE', url)
  const end = await ada.post('the end')

  // Order holds within an entity only, so the events are compared by subject.
  const ours = await eventually('all of them', async () => {
    const all = await readEvents()
    const found = all.filter((event) => JSON.stringify(event.data).includes(id))
    return all.some((event) => event.data.postId === end.id) && found.length >= 7 && found
  })
  const bySubject = ours.sort((a, b) => (a.subject < b.subject ? -1 : 1))
  const like = { postId: id, postAuthorId: ada.id, userId: bob.id }
  const said = { commentId: comment.id, postId: id, postAuthorId: ada.id, authorId: bob.id }
  t.match(
    bySubject.map(({ subject, data }) => ({ subject, data })),
    [
      { subject: wireSubject(CommentCreated), data: { ...said, text: 'hm' } },
      { subject: wireSubject(CommentDeleted), data: said },
      { subject: wireSubject(LikeCreated), data: like },
      { subject: wireSubject(LikeDeleted), data: like },
      {
        subject: wireSubject(PostCreated),
        data: { postId: id, authorId: ada.id, text: 'one', tags: ['x'], version: 1 }
      },
      { subject: wireSubject(PostDeleted), data: { postId: id, authorId: ada.id } },
      { subject: wireSubject(PostUpdated), data: { postId: id, text: 'two', version: 2 } }
    ]
  )
  t.equal(ours.length, 7)
  t.match(bySubject[4]?.traceparent, new RegExp(`^00-${trace}-`), 'the trace goes on')
})

t.test('posts that are made while one instance ends reach every feed', async (t) => {
  const ada = person()
  const bob = person()
  await users.follow(bob.id, ada.id)
  const posts = [await ada.post('one')]
  await first.stopEvents()
  for (let i = 0; i < 5; i++) posts.push(await ada.post(`p${i}`))
  await eventually('all of them', async () => (await bob.feed()).items.length === posts.length)
  t.strictSame(
    (await bob.feed()).items.map((post) => post.id),
    posts.map((post) => post.id).reverse()
  )
})
