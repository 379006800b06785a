import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import { announce } from '@skerry/service'
import Fastify from 'fastify'
import t from 'tap'
import { createCompressor } from '../src/bytes/compressor.ts'
import { createSender, ownDocument } from '../src/documents/send-document.ts'
import { getters } from './helpers/clients.ts'
import { asyncDocumentOf, eventOf, publisherOf, startEventsPort } from './helpers/events.ts'
import { startGateway } from './helpers/gateway.ts'

const decode = { br: brotliDecompressSync, zstd: zstdDecompressSync, gzip: gunzipSync }
const CONTROL = 'public, max-age=0, must-revalidate'
const EVENT = 'ships.ship.sailed.v1'

t.test('own answers have the codings, tags and times that caches need', async (t) => {
  const { url, nc, live } = await startGateway(t, { env: { DOCUMENT_TIMEOUT_MS: '20000', COMPRESS_MIN_BYTES: '200' } })
  const ops = await startEventsPort(t, asyncDocumentOf(eventOf(EVENT)))
  await announce(nc, publisherOf('ships', ops))
  await live('ships', 1)
  const paths = [
    '/openapi.json',
    '/asyncapi.json',
    '/docs',
    '/docs/events',
    '/docs/scalar.js',
    `/schemas/events/${EVENT}.json`
  ]
  for (const [protocol, get] of Object.entries(getters(t, url)))
    for (const path of paths)
      await t.test(`${protocol} ${path}`, async (t) => {
        const plain = await get(path)
        t.equal(plain.status, 200)
        t.equal(plain.headers['content-encoding'], undefined)
        const { etag = '', vary } = plain.headers
        t.match(etag, /^"[\w-]{43}"$/)
        t.equal(vary, 'accept-encoding')
        t.equal(plain.headers['cache-control'], CONTROL)
        const tags = new Set([etag])
        for (const coding of ['br', 'zstd', 'gzip'] as const) {
          const coded = await get(path, { 'accept-encoding': coding })
          t.equal(coded.headers['content-encoding'], coding)
          t.ok(coded.body.length < plain.body.length, `${coding}: ${coded.body.length} of ${plain.body.length} bytes`)
          t.equal(coded.headers['content-length'], String(coded.body.length))
          t.ok(decode[coding](coded.body).equals(plain.body))
          t.equal(coded.headers['content-type'], plain.headers['content-type'])
          t.equal(coded.headers.vary, vary)
          const tag = coded.headers.etag ?? ''
          tags.add(tag)

          const same = await get(path, { 'accept-encoding': `${coding}, deflate`, 'if-none-match': `"x", ${tag}` })
          t.equal(same.status, 304)
          t.equal(same.body.length, 0)
          t.match(same.headers, { etag: tag, vary, 'cache-control': CONTROL })
          t.equal(same.headers['content-encoding'], undefined)
          const head = await get(path, { 'accept-encoding': coding }, 'HEAD')
          t.equal(head.body.length, 0)
          t.match(head.headers, {
            etag: tag,
            vary,
            'content-encoding': coding,
            'content-length': String(coded.body.length)
          })
        }
        t.equal(tags.size, 4, 'each coding has its own tag')
        const best = await get(path, { 'accept-encoding': 'gzip, deflate, br, zstd' })
        t.equal(best.headers['content-encoding'], 'br', 'the smallest')

        const held = [...tags].join(', ')
        const unread = await get(path, { 'accept-encoding': 'gzip', 'if-none-match': best.headers.etag! })
        t.equal(unread.status, 200, 'a cache in front holds a body that this client cannot read')
        t.equal(unread.headers['content-encoding'], 'gzip')
        const chosen = await get(path, {
          'accept-encoding': 'zstd, identity;q=0',
          'if-none-match': held.replace(etag, '"x"')
        })
        t.equal(chosen.headers.etag, `${etag.slice(0, -1)}~zstd"`, 'of all that a cache holds the one for this client')
        const weak = await get(path, { 'accept-encoding': 'gzip', 'if-none-match': `W/${unread.headers.etag}` })
        t.equal(weak.status, 304)
        t.equal((await get(path, { 'if-none-match': best.headers.etag! })).status, 304, 'who says nothing takes any')
      })
  const missing = await getters(t, url)['HTTP/1.1']('/schemas/events/none.json', { 'accept-encoding': 'br' })
  t.equal(missing.status, 404)
})

t.test('where origins differ they differ by coding as well', async (t) => {
  const { url } = await startGateway(t, { env: { CORS_ORIGINS: 'https://app.example' } })
  const get = getters(t, url)['HTTP/1.1']
  for (const origin of ['https://app.example', 'https://other.example'])
    t.equal((await get('/openapi.json', { origin, 'accept-encoding': 'br' })).headers.vary, 'accept-encoding, origin')
  t.equal((await get('/livez', { origin: 'https://app.example' })).headers.vary, 'origin')
})

t.test('a document is encoded once in each coding, and small ones not at all', async (t) => {
  const compressor = createCompressor({ concurrency: 1, streams: 1 })
  const made: string[] = []
  let full = false
  const send = createSender(
    {
      encode(body, coding, quality) {
        made.push(`${coding} ${quality}`)
        return full ? undefined : compressor.encode(body, coding, quality)
      }
    },
    1_024
  )
  const large = ownDocument('application/json', JSON.stringify(Array.from({ length: 5_000 }, (_, i) => ({ i }))))
  const small = ownDocument('application/json', '{}')
  const app = Fastify()
  app.get('/large', (request, reply) => send(request, reply, large))
  app.get('/small', (request, reply) => send(request, reply, small))
  t.teardown(() => app.close())
  const get = (url: string, coding: string) => app.inject({ url, headers: { 'accept-encoding': coding } })

  full = true
  const busy = await get('/large', 'br')
  t.equal(busy.headers['content-encoding'], undefined, 'while others are encoded it goes out as it is')
  t.match(busy.headers, { etag: large.etag, vary: 'accept-encoding' })
  full = false
  const answers = await Promise.all(['br', 'br', 'gzip', 'br'].map((coding) => get('/large', coding)))
  t.same(
    answers.map(({ headers }) => headers['content-encoding']),
    ['br', 'br', undefined, 'br'],
    'one at a time'
  )
  await get('/large', 'gzip')
  await get('/large', 'gzip')
  await get('/large', 'br')
  t.same(made, ['br best', 'br best', 'gzip best', 'gzip best'])
  const plain = await get('/small', 'br')
  t.equal(plain.headers['content-encoding'], undefined)
  t.equal(plain.headers.vary, undefined)
  t.equal(plain.headers.etag, small.etag)
})
