import { contentRoutes } from '@skerry/contracts'
import { encodeCursor, newId } from '@skerry/store'
import t from 'tap'
import { identity, somebody, tokenOf } from './support/people.ts'
import { startContent } from './support/system.ts'

const { person, first, store } = await startContent(t, { events: false })
const ada = person('ada')
const post = await ada.post('a post', { tags: ['x'] })
const other = await ada.post('another')
const comment = await ada.comment(post.id, 'a comment')

const id = post.id
type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
type Row = [what: string, method: Method, url: string, body: unknown, path: string | undefined, status?: number]

const long = (length: number) => 'x'.repeat(length)
const badIds = [
  'x',
  '0',
  long(26),
  `${id}a`,
  `Z${id.slice(1)}`,
  `${id.slice(0, 25)}u`,
  '%00',
  '..%2f',
  '%F0%9F%98%80',
  long(2000)
]

const rows: Row[] = [
  // every id in a path
  ...badIds.flatMap((bad): Row[] => [
    ['id', 'GET', `/v1/posts/${bad}`, undefined, 'params.id'],
    ['id', 'PATCH', `/v1/posts/${bad}`, { text: 'x' }, 'params.id'],
    ['id', 'DELETE', `/v1/posts/${bad}`, undefined, 'params.id'],
    ['id', 'PUT', `/v1/posts/${bad}/like`, undefined, 'params.id'],
    ['id', 'DELETE', `/v1/posts/${bad}/like`, undefined, 'params.id'],
    ['id', 'GET', `/v1/posts/${bad}/comments`, undefined, 'params.id'],
    ['id', 'POST', `/v1/posts/${bad}/comments`, { text: 'x' }, 'params.id'],
    ['id', 'DELETE', `/v1/comments/${bad}`, undefined, 'params.id']
  ]),
  // bodies of a new post
  ['no body', 'POST', '/v1/posts', undefined, 'body'],
  ['not JSON', 'POST', '/v1/posts', '{"text":', undefined],
  ['a string', 'POST', '/v1/posts', '"text"', 'body'],
  ['an array', 'POST', '/v1/posts', [], 'body'],
  ['null', 'POST', '/v1/posts', 'null', 'body'],
  ['empty', 'POST', '/v1/posts', {}, 'body.text'],
  ['text empty', 'POST', '/v1/posts', { text: '' }, 'body.text'],
  ['text a number', 'POST', '/v1/posts', { text: 1 }, 'body.text'],
  ['text null', 'POST', '/v1/posts', { text: null }, 'body.text'],
  ['text an object', 'POST', '/v1/posts', { text: { $ne: 1 } }, 'body.text'],
  ['text too long', 'POST', '/v1/posts', { text: long(20_001) }, 'body.text'],
  ['NUL', 'POST', '/v1/posts', '{"text":"a\\u0000b"}', 'body.text'],
  ['a lone surrogate', 'POST', '/v1/posts', '{"text":"a\\ud800"}', 'body.text'],
  ['title too long', 'POST', '/v1/posts', { text: 'x', title: long(201) }, 'body.title'],
  ['summary too long', 'POST', '/v1/posts', { text: 'x', summary: long(501) }, 'body.summary'],
  ['tags a string', 'POST', '/v1/posts', { text: 'x', tags: 'x' }, 'body.tags'],
  ['a tag empty', 'POST', '/v1/posts', { text: 'x', tags: [''] }, 'body.tags.0'],
  ['a tag with a space', 'POST', '/v1/posts', { text: 'x', tags: ['a', 'b c'] }, 'body.tags.1'],
  ['a tag with #', 'POST', '/v1/posts', { text: 'x', tags: ['a#b'] }, 'body.tags.0'],
  ['a tag too long', 'POST', '/v1/posts', { text: 'x', tags: [long(51)] }, 'body.tags.0'],
  ['a tag twice', 'POST', '/v1/posts', { text: 'x', tags: ['a', 'a'] }, 'body.tags'],
  [
    'too many tags',
    'POST',
    '/v1/posts',
    { text: 'x', tags: Array.from({ length: 21 }, (_, i) => `t${i}`) },
    'body.tags'
  ],
  ['NUL in a tag', 'POST', '/v1/posts', '{"text":"x","tags":["\\u0000"]}', 'body.tags.0'],
  ['media not ids', 'POST', '/v1/posts', { text: 'x', mediaIds: ['x'] }, 'body.mediaIds.0'],
  ['media unknown', 'POST', '/v1/posts', { text: 'x', mediaIds: [newId(1)] }, 'body.mediaIds.0'],
  ['unknown', 'POST', '/v1/posts', { text: 'x', authorId: newId(1) }, 'body.authorId'],
  ['__proto__', 'POST', '/v1/posts', '{"text":"x","__proto__":{"a":1}}', 'body.__proto__'],
  ['an unknown query', 'POST', '/v1/posts?x=1', { text: 'x' }, 'query.x'],
  ['nested deep', 'POST', '/v1/posts', `${'['.repeat(10_000)}${']'.repeat(10_000)}`, undefined],
  ['too big', 'POST', '/v1/posts', { text: long(1_100_000) }, undefined, 413],
  // edits
  ['nothing', 'PATCH', `/v1/posts/${id}`, {}, 'body'],
  ['text null', 'PATCH', `/v1/posts/${id}`, { text: null }, 'body'],
  ['title a number', 'PATCH', `/v1/posts/${id}`, { title: 1 }, 'body.title'],
  ['counts', 'PATCH', `/v1/posts/${id}`, { counts: { likes: 9 } }, 'body.counts'],
  ['version', 'PATCH', `/v1/posts/${id}`, { text: 'x', version: 9 }, 'body.version'],
  ['media', 'PATCH', `/v1/posts/${id}`, { mediaIds: [] }, 'body.mediaIds'],
  // comments
  ['empty', 'POST', `/v1/posts/${id}/comments`, {}, 'body.text'],
  ['too long', 'POST', `/v1/posts/${id}/comments`, { text: long(5_001) }, 'body.text'],
  ['unknown', 'POST', `/v1/posts/${id}/comments`, { text: 'x', likes: 1 }, 'body.likes'],
  ['a body', 'PUT', `/v1/posts/${id}/like`, { like: true }, 'body.like'],
  ['a body', 'DELETE', `/v1/comments/${comment.id}`, { x: 1 }, 'body.x'],
  // lists
  ...['/v1/posts', '/v1/feed', `/v1/posts/${id}/comments`].flatMap((url): Row[] => [
    ['limit 0', 'GET', `${url}?limit=0`, undefined, 'query.limit'],
    ['limit 101', 'GET', `${url}?limit=101`, undefined, 'query.limit'],
    ['limit text', 'GET', `${url}?limit=ten`, undefined, 'query.limit'],
    ['limit empty', 'GET', `${url}?limit=`, undefined, 'query.limit'],
    ['limit 1.5', 'GET', `${url}?limit=1.5`, undefined, 'query.limit'],
    ['limit twice', 'GET', `${url}?limit=1&limit=2`, undefined, 'query.limit'],
    ['fields', 'GET', `${url}?fields=secret`, undefined, 'query.fields'],
    ['fields', 'GET', `${url}?fields=text,,id`, undefined, 'query.fields'],
    ['unknown', 'GET', `${url}?page=2`, undefined, 'query.page'],
    ['cursor', 'GET', `${url}?cursor=%00`, undefined, 'query.cursor'],
    ['cursor', 'GET', `${url}?cursor=abc`, undefined, 'query.cursor'],
    ['cursor', 'GET', `${url}?cursor=${long(513)}`, undefined, 'query.cursor'],
    ['cursor twice', 'GET', `${url}?cursor=a&cursor=b`, undefined, 'query.cursor'],
    ['cursor of another list', 'GET', `${url}?cursor=${encodeCursor('sessions', [id])}`, undefined, 'query.cursor'],
    ['cursor of a number', 'GET', `${url}?cursor=${encodeCursor('feed', [7])}`, undefined, 'query.cursor'],
    [
      'cursor of an object',
      'GET',
      `${url}?cursor=${Buffer.from('{"a":1}').toString('base64url')}`,
      undefined,
      'query.cursor'
    ]
  ]),
  ['author', 'GET', '/v1/posts?author=ada', undefined, 'query.author'],
  ['author object', 'GET', '/v1/posts?author[$ne]=x', undefined, 'query.author[$ne]'],
  ['tag', 'GET', '/v1/posts?tag=a%20b', undefined, 'query.tag'],
  ['tag with NUL', 'GET', '/v1/posts?tag=a%00', undefined, 'query.tag'],
  ['tag empty', 'GET', '/v1/posts?tag=', undefined, 'query.tag'],
  ['fields of one', 'GET', `/v1/posts/${id}?fields=author.password`, undefined, 'query.fields'],
  ['query of one', 'GET', `/v1/posts/${id}?limit=1`, undefined, 'query.limit'],
  // methods and addresses
  ['method', 'PUT', `/v1/posts/${id}`, { text: 'x' }, undefined, 405],
  ['method', 'DELETE', '/v1/posts', undefined, undefined, 405],
  ['method', 'POST', '/v1/feed', {}, undefined, 405],
  ['method', 'GET', `/v1/posts/${id}/like`, undefined, undefined, 405],
  ['nowhere', 'GET', '/v1/postings', undefined, undefined, 404],
  ['bad escape', 'GET', '/v1/posts/%E0%A4%A', undefined, undefined]
]

for (const [what, method, url, body, path, status = 400] of rows) {
  t.test(`${method} ${url.slice(0, 60)}: ${what}`, async (t) => {
    const answer = await ada.send(method, url, body === undefined ? {} : { body })
    t.equal(answer.status, status, 'its status', { body: answer.body })
    t.match(answer.headers['content-type'], 'application/problem+json')
    t.match(answer.body, { status, code: String, title: String, requestId: String })
    if (path !== undefined) t.match(answer.body.errors, [{ path }])
    if (status === 405) t.ok(answer.headers.allow)
    t.notMatch(JSON.stringify(answer.body), /Mongo|node_modules|at \w+ \(/)
  })
}

t.test('every route but the public one needs a good token', async (t) => {
  const eve = somebody()
  const forged = `${eve.token.slice(0, -8)}AAAAAAAA`
  const none = `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${eve.token.split('.')[1]}.`
  const expired = tokenOf(eve, { exp: Math.floor(Date.now() / 1000) - 10 })
  for (const { method, path, auth } of Object.values(contentRoutes)) {
    if (auth === 'none') continue
    const url = path.replace(':id', id)
    for (const token of [undefined, '', 'x', forged, none, expired, tokenOf(eve, { aud: 'other' })]) {
      const answer = await first.app.inject({
        method,
        url,
        ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })
      })
      t.equal(answer.statusCode, 401, `${method} ${path} ${token?.slice(0, 8)}`, { body: answer.body })
    }
  }
  t.ok(identity.ready())
})

t.test('media types, If-Match and Idempotency-Key', async (t) => {
  const form = await ada.send('POST', '/v1/posts', { body: 'text=x', headers: { 'content-type': 'text/plain' } })
  t.equal(form.status, 415)
  const patch = { 'content-type': 'application/merge-patch+json' }
  t.equal((await ada.send('POST', '/v1/posts', { body: { text: 'x' }, headers: patch })).status, 415)
  const cleared = await ada.send('PATCH', `/v1/posts/${id}`, { body: { text: null }, headers: patch })
  t.match(cleared, { status: 400, body: { errors: [{ path: 'body.text' }] } }, 'a text cannot be cleared')
  for (const etag of ['x', '"', '"abc"', 'W/"9.x"', '"8.x", "9.y"', '"-1"', '"99999999999999999999"']) {
    const answer = await ada.send('PATCH', `/v1/posts/${id}`, { body: { text: 'y' }, headers: { 'if-match': etag } })
    t.equal(answer.status, 412, etag)
  }
  for (const key of ['', ' ', 'a b', 'ü', long(256)]) {
    const answer = await ada.send('POST', '/v1/posts', { body: { text: 'y' }, headers: { 'idempotency-key': key } })
    t.equal(answer.status, 400, JSON.stringify(key))
  }
})

t.test('none of it changed anything', async (t) => {
  t.strictSame(await ada.read(id), { ...post, counts: { likes: 0, comments: 1 } })
  const list = await ada.list(`?author=${ada.id}`)
  t.strictSame(
    list.items.map((one) => one.id),
    [other.id, id]
  )
  await store.ping()
})
