import type { PageOf, Post } from '@skerry/contracts'
import { bucketOf, collectionOf, newId } from '@skerry/store'
import t from 'tap'
import { comments } from '../src/data/comments.ts'
import { posts } from '../src/data/posts.ts'
import { tagged } from '../src/data/tagged.ts'
import { clearPost } from '../src/domain/clear-post.ts'
import { startContent } from './support/system.ts'

const { person, store, first } = await startContent(t, { instances: 2, events: false })

t.test('a post is what was sent, on every instance at once', async (t) => {
  const ada = person('ada')
  const made = await ada.post('the text', { title: 'A title', summary: 'In short', tags: ['sea', 'Ölbild'] })
  t.match(made, {
    author: { id: ada.id, username: 'ada', displayName: ada.displayName, avatar: null },
    title: 'A title',
    summary: 'In short',
    text: 'the text',
    tags: ['sea', 'ölbild'],
    counts: { likes: 0, comments: 0 },
    liked: false,
    version: 1
  })
  t.strictSame(made.media, [])
  t.equal(made.createdAt, made.updatedAt)
  for (const instance of [0, 1]) {
    const read = await ada.send<Post>('GET', `/v1/posts/${made.id}`, { instance })
    t.strictSame(read.body, made)
    const list = await ada.send<PageOf<Post>>('GET', `/v1/posts?author=${ada.id}`, { instance })
    t.strictSame(list.body, { items: [made], nextCursor: null })
    const feed = await ada.send<PageOf<Post>>('GET', '/v1/feed', { instance })
    t.strictSame(feed.body, { items: [made], nextCursor: null })
  }
  const bare = await ada.post('only text')
  t.match(bare, { title: null, summary: null, tags: [] })
})

t.test('an edit makes a version; what changes nothing does not', async (t) => {
  const ada = person()
  const made = await ada.post('one', { title: 'T', tags: ['a', 'b'] })
  const url = `/v1/posts/${made.id}`
  const patch = { 'content-type': 'application/merge-patch+json' }
  const edited = await ada.send<Post>('PATCH', url, {
    body: { text: 'two', title: null, tags: ['b', 'c'] },
    headers: patch
  })
  t.equal(edited.status, 200)
  t.match(edited.body, { text: 'two', title: null, tags: ['b', 'c'], version: 2, createdAt: made.createdAt })
  for (const instance of [0, 1]) t.strictSame((await ada.send('GET', url, { instance })).body, edited.body)
  const again = await ada.send<Post>('PATCH', url, { body: { text: 'two', title: null }, headers: patch })
  t.strictSame(again.body, edited.body, 'the same again is no new version')
  const tag = (name: string) => ada.list(`?tag=${name}&author=${ada.id}`).then((page) => page.items.length)
  t.strictSame([await tag('a'), await tag('b'), await tag('c')], [0, 1, 1])
})

t.test('clients that send null for what they leave out write what they mean', async (t) => {
  const ada = person()
  const asked = { text: 'one', title: null, summary: null, tags: null, mediaIds: null }
  const created = await ada.send<Post>('POST', '/v1/posts', { body: asked })
  t.match(created, { status: 201, body: { text: 'one', title: null, summary: null, tags: [] } })
  const made = await ada.post('two', { title: 'T', summary: 'S', tags: ['a'] })
  const url = `/v1/posts/${made.id}`
  const edited = await ada.send<Post>('PATCH', url, { body: { text: 'three', title: null, summary: null, tags: [] } })
  t.match(edited, { status: 200, body: { text: 'three', title: 'T', summary: 'S', tags: ['a'] } })
  const headers = { 'content-type': 'application/merge-patch+json' }
  const cleared = await ada.send<Post>('PATCH', url, { body: { summary: null }, headers })
  t.match(cleared, { status: 200, body: { text: 'three', title: 'T', summary: null, tags: ['a'] } })
  const untagged = await ada.send<Post>('PATCH', url, { body: { tags: null }, headers })
  t.match(untagged, { status: 200, body: { title: 'T', tags: [] } })
})

t.test('only the author may change or delete; what is gone is gone', async (t) => {
  const ada = person()
  const bob = person()
  const made = await ada.post('mine')
  const url = `/v1/posts/${made.id}`
  for (const method of ['PATCH', 'DELETE'] as const) {
    const body = method === 'PATCH' ? { body: { text: 'yours' } } : {}
    const refused = await bob.send(method, url, body)
    t.match(refused, { status: 403, body: { code: 'FORBIDDEN' } })
    const missing = await ada.send(method, `/v1/posts/${newId(3)}`, body)
    t.match(missing, { status: 404, body: { code: 'CNT_POST_NOT_FOUND' } })
  }
  t.equal((await ada.read(made.id)).text, 'mine')
  t.equal((await ada.send('DELETE', url)).status, 204)
  for (const instance of [0, 1])
    t.equal((await ada.send('DELETE', url, { instance })).status, 204, 'whoever lost the answer may ask again')
  t.match(await bob.send('DELETE', url), { status: 404, body: { code: 'CNT_POST_NOT_FOUND' } })
  const requests = [
    ['GET', url],
    ['PATCH', url, { text: 'x' }],
    ['PUT', `${url}/like`],
    ['DELETE', `${url}/like`],
    ['GET', `${url}/comments`],
    ['POST', `${url}/comments`, { text: 'x' }]
  ] as const
  for (const [method, at, body] of requests) {
    for (const who of [ada, bob]) {
      const answer = await who.send(method, at, body === undefined ? {} : { body })
      t.match(answer, { status: 404, body: { code: 'CNT_POST_NOT_FOUND' } }, `${method} ${at}`)
    }
  }
  t.strictSame((await ada.list(`?author=${ada.id}`)).items, [])
  t.strictSame((await ada.feed()).items, [])
})

t.test('a DELETE with If-Match is done again from the version that it named, and from no other', async (t) => {
  const ada = person()
  const { id, version } = await ada.post('mine')
  const url = `/v1/posts/${id}`
  const remove = (of: number) => ada.send('DELETE', url, { headers: { 'if-match': `"${of}"` } })
  t.match(await remove(version + 1), { status: 412, body: { code: 'PRECONDITION_FAILED' } })
  t.equal((await remove(version)).status, 204)
  t.equal((await remove(version)).status, 204)
  t.match(await remove(version + 1), { status: 412, body: { code: 'PRECONDITION_FAILED' } })
  t.equal((await ada.send('DELETE', url, { headers: { 'if-match': '*' } })).status, 204)
})

t.test('a tombstone keeps nothing of what was said', async (t) => {
  const ada = person()
  const { id } = await ada.post('private', { title: 'private', summary: 'private', tags: ['private'] })
  const comment = await ada.comment(id, 'private')
  await ada.send('DELETE', `/v1/posts/${id}`)
  const post = await collectionOf(store.db, posts).findOne({ bucket: bucketOf(id), _id: id })
  t.match(post, { authorId: ada.id, text: '', title: null, summary: null, deletedAt: Date })
  t.notMatch(JSON.stringify(post), 'private')
  t.equal(await collectionOf(store.db, tagged).countDocuments({ _id: { $gte: 'private#', $lt: 'private$' } }), 0)
  await clearPost(first.deps, id)
  const buried = await collectionOf(store.db, comments).findOne({ bucket: bucketOf(id), _id: comment.id })
  t.match(buried, { text: '', deletedAt: Date, authorId: ada.id })
  t.equal((await ada.send('DELETE', `/v1/comments/${comment.id}`)).status, 204, 'what went with its post is gone')
  t.match(await person().send('DELETE', `/v1/comments/${comment.id}`), { status: 404 })
})

t.test('If-Match and If-None-Match', async (t) => {
  const ada = person()
  const { id } = await ada.post('v1')
  const url = `/v1/posts/${id}`
  const first = await ada.send('GET', url)
  const etag = String(first.headers.etag)
  t.match(etag, /^"1\./)
  t.equal((await ada.send('GET', url, { headers: { 'if-none-match': etag } })).status, 304)
  const edited = await ada.send('PATCH', url, { headers: { 'if-match': etag }, body: { text: 'v2' } })
  t.equal(edited.status, 200)
  t.equal((await ada.send('GET', url, { headers: { 'if-none-match': etag } })).status, 200, 'no old body for its owner')
  t.equal((await ada.send('GET', url, { headers: { 'if-none-match': String(edited.headers.etag) } })).status, 304)
  const late = await ada.send('PATCH', url, { headers: { 'if-match': etag }, body: { text: 'v3' } })
  t.match(late, { status: 412, body: { code: 'PRECONDITION_FAILED' } })
  t.equal((await ada.send('DELETE', url, { headers: { 'if-match': etag } })).status, 412)
  t.equal((await ada.send('DELETE', url, { headers: { 'if-match': 'W/"1.x", "7"' } })).status, 412)
  const weak = `"99", W/${edited.headers.etag}`
  t.equal(
    (await ada.send('DELETE', url, { headers: { 'if-match': weak } })).status,
    204,
    'through a proxy that compresses'
  )
})

t.test('Idempotency-Key: one post however often it is sent', async (t) => {
  const ada = person()
  const headers = { 'idempotency-key': 'k-1' }
  const send = (text: string, instance: number) =>
    ada.send<Post>('POST', '/v1/posts', { headers, body: { text }, instance })
  const first = await send('once', 0)
  t.equal(first.status, 201)
  const second = await send('once', 1)
  t.equal(second.status, 201)
  t.strictSame(second.body, first.body)
  t.equal(second.headers['idempotency-replayed'], 'true')
  t.match(await send('other', 0), { status: 422, body: { code: 'IDEMPOTENCY_MISMATCH' } })
  t.equal((await ada.list(`?author=${ada.id}`)).items.length, 1)

  const storm = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      ada.persist<Post>('POST', '/v1/posts', {
        headers: { 'idempotency-key': 'k-2' },
        body: { text: 'storm' },
        instance: i
      })
    )
  )
  const made = storm.filter((answer) => answer.status === 201)
  t.ok(made.length > 0)
  t.equal(new Set(made.map((answer) => answer.body.id)).size, 1)
  t.ok(storm.every((answer) => answer.status === 201 || answer.status === 409))
  t.equal((await ada.list(`?author=${ada.id}`)).items.length, 2)
})

t.test('lists: by author, by tag, both, and all; pages are stable while posts come in', async (t) => {
  const ada = person()
  const bob = person()
  const tag = `t${newId(1)}`
  const ids: string[] = []
  for (let i = 0; i < 7; i++) ids.unshift((await ada.post(`a${i}`, { tags: [tag] })).id)
  const other = await bob.post('b', { tags: [tag, `${tag}:x`] })
  for (const query of [`author=${ada.id}`, `author=${ada.id}&tag=${tag}`]) {
    const seen: string[] = []
    let cursor = ''
    for (let pages = 1; ; pages++) {
      const page = await bob.list(`?${query}&limit=3${cursor}`)
      seen.push(...page.items.map((post) => post.id))
      await ada.post('meanwhile')
      if (page.nextCursor === null) {
        t.equal(pages, 3)
        break
      }
      cursor = `&cursor=${page.nextCursor}`
    }
    if (query.includes('tag')) t.strictSame(seen, ids)
    else t.strictSame(seen.slice(-7), ids)
    for (const post of (await ada.list(`?author=${ada.id}&limit=100`)).items) {
      if (post.text === 'meanwhile') await ada.send('DELETE', `/v1/posts/${post.id}`)
    }
  }
  t.strictSame(
    (await bob.list(`?tag=${tag}`)).items.map((post) => post.id),
    [other.id, ...ids]
  )
  t.strictSame(
    (await bob.list(`?tag=${encodeURIComponent(`${tag}:x`)}`)).items.map((post) => post.id),
    [other.id]
  )
  await bob.send('DELETE', `/v1/posts/${other.id}`)
  const byTag = await bob.list(`?tag=${tag}&limit=4`)
  t.strictSame(
    byTag.items.map((post) => post.id),
    ids.slice(0, 4)
  )
  const rest = await bob.list(`?tag=${tag}&limit=4&cursor=${byTag.nextCursor}`)
  t.strictSame(
    rest.items.map((post) => post.id),
    ids.slice(4)
  )
  t.equal(rest.nextCursor, null)
  const all = await bob.list('?limit=5')
  t.strictSame(
    all.items.map((post) => post.id),
    ids.slice(0, 5)
  )
  const older = await bob.list(`?limit=2&cursor=${all.nextCursor}`)
  t.strictSame(
    older.items.map((post) => post.id),
    ids.slice(5)
  )
  const strange = await bob.send('GET', `/v1/posts?limit=2&tag=${tag}&cursor=${all.nextCursor}`)
  t.match(strange, { status: 400, body: { code: 'BAD_CURSOR', errors: [{ path: 'query.cursor' }] } })
})

t.test('fields', async (t) => {
  const ada = person('ada')
  const { id } = await ada.post('text')
  const one = await ada.send('GET', `/v1/posts/${id}?fields=id,author.username`)
  t.strictSame(one.body, { id, author: { username: 'ada' } })
  const page = await ada.send('GET', '/v1/feed?fields=text')
  t.strictSame(page.body, { items: [{ text: 'text' }], nextCursor: null })
})

t.test('mediaIds of uploads that do not exist are refused', async (t) => {
  const ada = person()
  const refused = await ada.send('POST', '/v1/posts', { body: { text: 'x', mediaIds: [newId(1)] } })
  t.match(refused, { status: 400, body: { code: 'BAD_REQUEST', errors: [{ path: 'body.mediaIds.0' }] } })
  t.equal((await ada.send('POST', '/v1/posts', { body: { text: 'x', mediaIds: [] } })).status, 201)
})
