import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import t from 'tap'
import { getters } from './helpers/clients.ts'
import { startGateway } from './helpers/gateway.ts'
import { startUpstream } from './helpers/upstream.ts'

const decode = { br: brotliDecompressSync, zstd: zstdDecompressSync, gzip: gunzipSync }
const BODY = JSON.stringify({ text: 'a skerry is a small rocky island. '.repeat(200) })

t.test('answers of services have a tag for each coding, and nobody is told to take what it cannot read', async (t) => {
  const g = await startGateway(t)
  await startUpstream(t, g.nc, {
    service: 'things',
    prefixes: ['/v1/things', '/v1/kept'],
    routes: [{ method: 'GET', path: '/v1/kept', auth: 'none', cache: { scope: 'public', ttl: 600 } }],
    answer(request, response) {
      response.setHeader('etag', '"7.x"')
      response.setHeader('vary', 'x-tenant')
      const known = request.headers['if-none-match']?.split(', ').includes('"7.x"')
      if (known) response.writeHead(304).end()
      else response.writeHead(200, { 'content-type': 'application/json', 'content-length': BODY.length }).end(BODY)
    }
  })
  await g.live('things', 1)
  for (const [protocol, get] of Object.entries(getters(t, g.url)))
    for (const path of ['/v1/things', '/v1/kept'])
      await t.test(`${protocol} ${path}`, async (t) => {
        for (const coding of ['br', 'zstd', 'gzip'] as const) {
          const coded = await get(path, { 'accept-encoding': coding })
          t.match(coded.headers, { 'content-encoding': coding, etag: `"7.x~${coding}"`, vary: 'accept-encoding' })
          t.equal(decode[coding](coded.body).toString(), BODY)
          const held = { 'accept-encoding': coding, 'if-none-match': '"6.x~br", "7.x~br", "7.x~zstd", "7.x~gzip"' }
          const same = await get(path, held)
          t.equal(same.status, 304)
          t.equal(same.headers.etag, `"7.x~${coding}"`, 'of all that a cache in front holds the one for this client')
          t.match(same.headers.vary, 'accept-encoding', 'it goes on keeping them apart')
          const others = { br: 'zstd', zstd: 'gzip', gzip: 'br' } as const
          const unread = await get(path, { 'accept-encoding': coding, 'if-none-match': `"7.x~${others[coding]}"` })
          t.equal(unread.status, 200)
          t.equal(unread.headers['content-encoding'], coding)
        }
        t.equal((await get(path, { 'if-none-match': '"7.x~br"' })).status, 304, 'who says nothing takes any')
        t.equal((await get(path, { 'accept-encoding': 'br', 'if-none-match': '"7.x"' })).headers.etag, '"7.x"')
        const head = await get(path, {}, 'HEAD')
        t.equal(head.status, 200)
        t.equal(head.headers['content-length'], String(BODY.length))
        t.equal(head.body.length, 0)
      })
})
