import type { Comment, PageOf } from '@skerry/contracts'
import { newId } from '@skerry/store'
import t from 'tap'
import { startContent } from './support/system.ts'

const { person } = await startContent(t, { instances: 2, events: false })

t.test('liking twice is liking once, and so is taking it back', async (t) => {
  const ada = person()
  const bob = person()
  const { id } = await ada.post('like me')
  const like = (method: 'PUT' | 'DELETE') => bob.send(method, `/v1/posts/${id}/like`)
  t.strictSame([(await like('PUT')).status, (await like('PUT')).status], [204, 204])
  t.match(await bob.read(id), { liked: true, counts: { likes: 1 }, version: 1 })
  t.match(await ada.read(id), { liked: false, counts: { likes: 1 } })
  t.match((await bob.list(`?author=${ada.id}`)).items[0], { liked: true })
  t.strictSame([(await like('DELETE')).status, (await like('DELETE')).status], [204, 204])
  t.match(await bob.read(id), { liked: false, counts: { likes: 0 } })
  t.match(await bob.send('PUT', `/v1/posts/${newId(9)}/like`), { status: 404, body: { code: 'CNT_POST_NOT_FOUND' } })
})

t.test('storms of likes and comments keep the counts', async (t) => {
  const ada = person()
  const { id } = await ada.post('hot')
  const fans = Array.from({ length: 30 }, () => person())
  const url = `/v1/posts/${id}/like`
  // Everybody likes twice at once; every third takes it back and likes again, and every fifth ends without.
  await Promise.all(
    fans.map(async (fan, i) => {
      const both = await Promise.all([fan.persist('PUT', url), fan.persist('PUT', url)])
      t.ok(both.every((answer) => answer.status === 204))
      if (i % 3 === 0) {
        await Promise.all([fan.persist('DELETE', url), fan.persist('DELETE', url)])
        await fan.persist('PUT', url)
      }
      if (i % 5 === 0) await fan.persist('DELETE', url)
      const comment = { headers: { 'idempotency-key': `comment-${i}` }, body: { text: `comment ${i}` } }
      t.equal((await fan.persist('POST', `/v1/posts/${id}/comments`, comment)).status, 201)
    })
  )
  const liking = fans.filter((_, i) => i % 5 !== 0).length
  t.strictSame((await ada.read(id)).counts, { likes: liking, comments: 30 })
  const seen = await Promise.all(fans.map((fan) => fan.read(id)))
  t.equal(seen.filter((post) => post.liked).length, liking)
})

t.test('an edit during a storm is not lost, nor are the counts', async (t) => {
  const ada = person()
  const { id } = await ada.post('v1')
  const fans = Array.from({ length: 10 }, () => person())
  await Promise.all([
    ...fans.map((fan) => fan.persist('PUT', `/v1/posts/${id}/like`)),
    ...Array.from({ length: 5 }, (_, i) => ada.persist('PATCH', `/v1/posts/${id}`, { body: { text: `edit ${i}` } }))
  ])
  t.match(await ada.read(id), { counts: { likes: 10 }, version: 6, text: /^edit / })
})

t.test('comments: listed newest first, with their authors, in pages', async (t) => {
  const ada = person('ada')
  const bob = person('bob')
  const { id } = await ada.post('talk')
  const made: Comment[] = []
  for (const [i, who] of [ada, bob, ada, bob, ada].entries()) made.unshift(await who.comment(id, `c${i}`))
  t.match(made[0], { postId: id, text: 'c4', author: { id: ada.id, username: 'ada' } })
  const page = (query: string) => bob.send<PageOf<Comment>>('GET', `/v1/posts/${id}/comments${query}`)
  t.strictSame((await page('')).body, { items: made, nextCursor: null })
  const first = (await page('?limit=2')).body
  t.strictSame(first.items, made.slice(0, 2))
  const second = (await page(`?limit=3&cursor=${first.nextCursor}`)).body
  t.strictSame(second, { items: made.slice(2), nextCursor: null })
  t.equal((await ada.read(id)).counts.comments, 5)
  const elsewhere = (await ada.post('other')).id
  const strange = await bob.send('GET', `/v1/posts/${elsewhere}/comments?cursor=${first.nextCursor}`)
  t.match(strange, { status: 400, body: { code: 'BAD_CURSOR' } })
})

t.test('a comment goes by its author or by the author of the post, once', async (t) => {
  const ada = person()
  const bob = person()
  const eve = person()
  const { id } = await ada.post('talk')
  const byBob = await bob.comment(id, 'one')
  const another = await bob.comment(id, 'two')
  t.match(await eve.send('DELETE', `/v1/comments/${byBob.id}`), { status: 403, body: { code: 'FORBIDDEN' } })
  t.equal((await bob.send('DELETE', `/v1/comments/${byBob.id}`)).status, 204)
  const twice = await Promise.all(
    [0, 1, 0, 1].map((instance) => ada.send('DELETE', `/v1/comments/${another.id}`, { instance }))
  )
  t.strictSame(
    twice.map((answer) => answer.status),
    [204, 204, 204, 204]
  )
  for (const who of [ada, bob])
    t.equal((await who.send('DELETE', `/v1/comments/${byBob.id}`)).status, 204, 'whoever lost the answer may ask again')
  t.match(await eve.send('DELETE', `/v1/comments/${byBob.id}`), {
    status: 404,
    body: { code: 'CNT_COMMENT_NOT_FOUND' }
  })
  t.match(await ada.send('DELETE', `/v1/comments/${newId(9)}`), {
    status: 404,
    body: { code: 'CNT_COMMENT_NOT_FOUND' }
  })
  t.equal((await ada.read(id)).counts.comments, 0, 'each was counted once')
  t.strictSame((await ada.send<PageOf<Comment>>('GET', `/v1/posts/${id}/comments`)).body.items, [])
})

t.test('Idempotency-Key: one comment however often it is sent', async (t) => {
  const ada = person()
  const { id } = await ada.post('talk')
  const send = (instance: number) =>
    ada.send<Comment>('POST', `/v1/posts/${id}/comments`, {
      headers: { 'idempotency-key': 'c' },
      body: { text: 'once' },
      instance
    })
  const first = await send(0)
  const second = await send(1)
  t.strictSame([first.status, second.status], [201, 201])
  t.strictSame(second.body, first.body)
  t.equal((await ada.read(id)).counts.comments, 1)
  const gone = `/v1/posts/${newId(5)}/comments`
  const missing = () => ada.send('POST', gone, { headers: { 'idempotency-key': 'd' }, body: { text: 'x' } })
  t.match([await missing(), await missing()], [{ status: 404 }, { status: 404 }])
})

t.test('Idempotency-Key: sent to both instances at once', async (t) => {
  const ada = person()
  const { id } = await ada.post('talk')
  const send = (key: string, instance: number) =>
    ada.persist<Comment>('POST', `/v1/posts/${id}/comments`, {
      headers: { 'idempotency-key': key },
      body: { text: 'once' },
      instance
    })
  for (let round = 0; round < 10; round++) {
    const answers = await Promise.all([0, 1, 0, 1].map((instance) => send(`at-once-${round}`, instance)))
    t.strictSame(
      answers.map(({ status, body }) => [status, body.id]),
      answers.map(() => [201, answers[0]!.body.id])
    )
  }
  t.equal((await ada.read(id)).counts.comments, 10)
})
