import t from 'tap'
import { createEtagCache } from '../src/etag-cache.ts'
import { createClient, paginate } from '../src/index.ts'
import { grant, serve } from './server.ts'

const ID = '06b1n7v4kc0j5m3q8w2x9y6z1a'

t.test('a 304 gives the cached resource, a fresh copy each time', async (t) => {
  const server = await serve(t, (r) =>
    r.headers['if-none-match'] === '"1"'
      ? { status: 304, headers: { etag: '"1"' } }
      : { status: 200, body: { id: ID, tags: ['a'] }, headers: { etag: '"1"' } }
  )
  const client = createClient({ baseUrl: server.url, cacheEntries: 10 })
  const first = await client.posts.get(ID)
  first.tags.push('mine')
  const second = await client.posts.get(ID)
  t.same(second, { id: ID, tags: ['a'] })
  t.equal(server.seen[1]?.headers['if-none-match'], '"1"')
  t.equal(client.etagOf(second), '"1"')
  await client.posts.get(ID, { fields: ['id'] })
  t.equal(server.seen[2]?.headers['if-none-match'], undefined, 'another set of fields is another resource')
})

t.test('nobody is shown what was cached for somebody else', async (t) => {
  let n = 0
  const server = await serve(t, (r) => {
    if (r.path !== '/v1/auth/login') return { status: 200, body: { id: ID }, headers: { etag: '"1"' } }
    n++
    const g = grant(n)
    return { status: 200, body: { ...g, user: { ...g.user, id: `user-${n}` } } }
  })
  const client = createClient({ baseUrl: server.url, cacheEntries: 10 })
  await client.auth.login({ login: 'a', password: 'x' })
  await client.users.me()
  await client.auth.login({ login: 'b', password: 'x' })
  await client.users.me()
  t.equal(server.seen.at(-1)?.headers['if-none-match'], undefined)
})

t.test('ifMatch takes a resource that was read, or an ETag', async (t) => {
  const server = await serve(t, () => ({ status: 200, body: { id: ID }, headers: { etag: '"7"' } }))
  const client = createClient({ baseUrl: server.url })
  const post = await client.posts.get(ID)
  await client.posts.update(ID, { text: 'new' }, { ifMatch: post })
  t.equal(server.seen[1]?.headers['if-match'], '"7"')
  await client.posts.update(ID, { text: 'new' }, { ifMatch: '"8"' })
  t.equal(server.seen[2]?.headers['if-match'], '"8"')
  await t.rejects(client.posts.update(ID, { text: 'new' }, { ifMatch: {} }), TypeError)
  t.equal(server.seen.length, 3)
})

t.test('the cache is bounded by number and by size, the least used goes first', async (t) => {
  const cache = createEtagCache(2)
  cache.set('a', { etag: '1', body: 'a' })
  cache.set('b', { etag: '1', body: 'b' })
  cache.get('a')
  cache.set('c', { etag: '1', body: 'c' })
  t.same(
    ['a', 'b', 'c'].map((k) => cache.get(k)?.body),
    ['a', undefined, 'c']
  )
  const big = createEtagCache(1000)
  for (let i = 0; i < 20; i++) big.set(`k${i}`, { etag: '1', body: 'x'.repeat(900_000) })
  t.equal(Array.from({ length: 20 }, (_, i) => big.get(`k${i}`)).filter(Boolean).length, 4)
  big.set('huge', { etag: '1', body: 'x'.repeat(2_000_000) })
  t.equal(big.get('huge'), undefined)
})

t.test('paginate walks all pages and stops at a list that goes nowhere', async (t) => {
  const pages = [
    { items: [{ id: 'a' }, { id: 'b' }], nextCursor: 'p1' },
    { items: [], nextCursor: 'p2' },
    { items: [{ id: 'c' }], nextCursor: null }
  ]
  const server = await serve(t, (r) => {
    const cursor = new URLSearchParams(r.query).get('cursor')
    return { status: 200, body: pages[cursor === null ? 0 : Number(cursor.slice(1))] }
  })
  const client = createClient({ baseUrl: server.url })
  const ids: string[] = []
  for await (const post of paginate((cursor) => client.feed.list(cursor === undefined ? {} : { cursor }))) {
    ids.push(post.id)
  }
  t.same(ids, ['a', 'b', 'c'])
  const loop = paginate(async () => ({ items: [1], nextCursor: 'same' }))
  await t.rejects(async () => {
    for await (const _ of loop);
  }, /same cursor/)
})
