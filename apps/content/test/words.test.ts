import type { Comment, PageOf, Post, Problem } from '@skerry/contracts'
import { bucketOf, collectionOf, newId } from '@skerry/store'
import t from 'tap'
import { posts } from '../src/data/posts.ts'
import { tagged } from '../src/data/tagged.ts'
import { findFormerTags } from '../src/domain/former-tags.ts'
import { startContent } from './support/system.ts'

const { person, store } = await startContent(t, { instances: 2, events: false })

t.test('tags are one whatever their case and however their accents are typed', async (t) => {
  const ada = person()
  const typed = ['Caf\u00e9', 'cafe\u0301', 'CAF\u00c9', ' Sea\u200b ', 'می\u200cخواهم']
  const first = await ada.post('one', { tags: typed })
  t.same(first.tags, ['café', 'sea', 'می\u200cخواهم'], 'each once, in the order in which it came')
  const second = await ada.post('two', { tags: ['CAFE\u0301'] })
  for (const asked of ['caf\u00e9', 'cafe\u0301', 'CAFÉ', ' café '])
    for (const author of ['', `&author=${ada.id}`]) {
      const { items } = await ada.list(`?tag=${encodeURIComponent(asked)}${author}`)
      t.same(
        items.map(({ id }) => id),
        [second.id, first.id],
        `${encodeURI(asked)}${author === '' ? '' : ' of one'}`
      )
    }
  const same = await ada.send<Post>('PATCH', `/v1/posts/${second.id}`, { body: { tags: ['Café'] } })
  t.equal(same.body.version, 1, 'an edit to the same tag changes nothing')
})

t.test('posts from before stay under the tag as they carry it', async (t) => {
  const ada = person()
  const ids: string[] = []
  for (let i = 0; i < 4; i++) ids.unshift((await ada.post(`post ${i}`, { tags: ['harbour'] })).id)
  // As a release before tags had one form kept it.
  for (const id of [ids[0]!, ids[2]!]) {
    await collectionOf(store.db, tagged).deleteOne({ _id: `harbour#${id}` })
    await collectionOf(store.db, tagged).insertOne({ _id: `Harbour#${id}`, authorId: ada.id })
    await collectionOf(store.db, posts).updateOne({ bucket: bucketOf(id), _id: id }, { $set: { tags: ['Harbour'] } })
  }
  const listed = async (query: string) => (await ada.list(query)).items.map(({ id }) => id)
  t.same(await listed('?tag=Harbour'), ids)
  t.same(await listed(`?tag=Harbour&author=${ada.id}`), ids)
  t.same(await listed('?tag=harbour'), [ids[1], ids[3]])
  const seen: string[] = []
  for (let cursor = ''; ; ) {
    const page = await ada.list(`?tag=Harbour&limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`)
    seen.push(...page.items.map(({ id }) => id))
    if (page.nextCursor === null) break
    cursor = page.nextCursor
  }
  t.same(seen, ids, 'page by page')

  const edited = await ada.send<Post>('PATCH', `/v1/posts/${ids[0]}`, { body: { tags: ['harbour', 'Boats'] } })
  t.same(edited.body.tags, ['harbour', 'boats'])
  t.same(await listed('?tag=harbour'), [ids[0], ids[1], ids[3]], 'an edit brings it under the key')
  t.same(await collectionOf(store.db, tagged).findOne({ _id: `Harbour#${ids[0]}` }), null)
})

t.test('texts are kept in one form, and with their lines', async (t) => {
  const ada = person()
  const made = await ada.post('  cafe\u0301\r\n\tsoft\u00adhyphen \u2068שלום\u2069\u0007\n\n', {
    title: ' One\nline ',
    summary: 'Sum\u202emary'
  })
  t.match(made, { text: '  café\n\tsoft\u00adhyphen \u2068שלום\u2069', title: 'One line', summary: 'Summary' })
  const comment = await ada.send<Comment>('POST', `/v1/posts/${made.id}/comments`, {
    body: { text: 'e\u0301 👩\u200d🚀 ' }
  })
  t.same([comment.status, comment.body.text], [201, 'é 👩\u200d🚀'])
  const { items } = (await ada.send<PageOf<Comment>>('GET', `/v1/posts/${made.id}/comments`)).body
  t.equal(items[0]?.text, 'é 👩\u200d🚀')
})

t.test('words are as long as what is kept of them, however accents are typed', async (t) => {
  const ada = person()
  const accents = (count: number) => 'e\u0301'.repeat(count)
  const made = await ada.post(accents(20_000), { title: accents(200), summary: accents(500), tags: [accents(50)] })
  t.same([made.title, made.tags], ['é'.repeat(200), ['é'.repeat(50)]])
  const comments = `/v1/posts/${made.id}/comments`
  t.equal((await ada.send('POST', comments, { body: { text: accents(5_000) } })).status, 201)
  // NFC writes these Devanagari letters as two signs: what was kept could not be sent again.
  const refused = async (method: 'POST' | 'PATCH', url: string, body: object, path: string) =>
    t.match(
      await ada.send(method, url, { body }),
      { status: 400, body: { errors: [{ path, code: 'too_long' }] } },
      path
    )
  const letters = (count: number) => '\u0958'.repeat(count)
  await refused('POST', '/v1/posts', { text: letters(10_001) }, 'body.text')
  await refused('PATCH', `/v1/posts/${made.id}`, { title: letters(101) }, 'body.title')
  await refused('PATCH', `/v1/posts/${made.id}`, { tags: [letters(26)] }, 'body.tags.0')
  await refused('POST', comments, { text: letters(2_501) }, 'body.text')
})

t.test('what cannot be seen is refused with its place', async (t) => {
  const ada = person()
  const { id } = await ada.post('something')
  const refused = async (method: 'POST' | 'PATCH' | 'GET', url: string, body: object | undefined, errors: object[]) => {
    const answer = await ada.send<Problem>(method, url, body === undefined ? {} : { body })
    t.match(
      answer,
      { status: 400, body: { code: 'BAD_REQUEST', errors } },
      `${method} ${encodeURI(JSON.stringify(body))}`
    )
    t.equal(answer.body.errors?.length, errors.length)
  }
  for (const blank of [' ', '\n\t', '\u200b\u00ad', '\u3164', '\u2800', '\u0301', '\u202e']) {
    await refused('POST', '/v1/posts', { text: blank }, [{ path: 'body.text', code: 'blank' }])
    await refused('POST', `/v1/posts/${id}/comments`, { text: blank }, [{ path: 'body.text', code: 'blank' }])
  }
  await refused('PATCH', `/v1/posts/${id}`, { title: '\u200b', summary: '\u00a0' }, [
    { path: 'body.title', code: 'blank' },
    { path: 'body.summary', code: 'blank' }
  ])
  await refused('POST', '/v1/posts', { text: 'x', tags: ['sea', '\u200b', 'a\u202eb', 'a\u0085b'] }, [
    { path: 'body.tags.1', code: 'blank' },
    { path: 'body.tags.2', code: 'bidi' },
    { path: 'body.tags.3', code: 'control' }
  ])
  await refused('GET', '/v1/posts?tag=%E2%80%8B', undefined, [{ path: 'query.tag', code: 'blank' }])
})

t.test('tags in a form from before are found page by page, each once', async (t) => {
  const authorId = newId(1)
  const [first, second] = [newId(1), newId(1)].sort() as [string, string]
  const stored = Array.from({ length: 450 }, (_, i) => `Old!${i}`)
  await collectionOf(store.db, tagged).insertMany(
    [...stored, 'old!7', 'Old', 'Old"quoted', '\u200b'].flatMap((tag) =>
      [first, second].map((id) => ({ _id: `${tag}#${id}`, authorId }))
    )
  )
  const found = []
  let pages = 1
  for (let after: string | undefined; ; pages++) {
    const page = await findFormerTags(store, after)
    found.push(...page.items)
    if (page.next === null) break
    after = page.next
  }
  t.ok(pages >= 3, 'no page is large', { pages })
  const old = found.filter((one) => one.stored.startsWith('Old'))
  t.same(old.map((one) => one.stored).sort(), [...stored, 'Old', 'Old"quoted'].sort())
  t.same(
    old.filter(({ holders }) => holders.length > 0),
    [{ kind: 'tag', stored: 'Old!7', form: 'old!7', ids: [second, first], holders: [second, first] }]
  )
})
