import { once } from 'node:events'
import { buffer } from 'node:stream/consumers'
import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import t from 'tap'
import { describeCoding, describeVariants, varyByCoding } from '../src/bytes/coding-headers.ts'
import { compressible } from '../src/bytes/compressible.ts'
import { createCompressor } from '../src/bytes/compressor.ts'
import { encodeWhole } from '../src/bytes/encode-whole.ts'
import { etagFor, retag, untagHeader } from '../src/bytes/etags.ts'
import { type Coding, negotiate, ON_THE_WAY, TO_KEEP } from '../src/bytes/negotiate.ts'

const decode = { br: brotliDecompressSync, zstd: zstdDecompressSync, gzip: gunzipSync }
const CODINGS = ['br', 'zstd', 'gzip'] as const

t.test('negotiate', async (t) => {
  const cases: [header: string | undefined, way: Coding | undefined, kept?: Coding | undefined][] = [
    [undefined, undefined],
    ['', undefined],
    ['gzip', 'gzip'],
    ['x-gzip', 'gzip'],
    ['GZIP', 'gzip'],
    ['gzip, deflate, br', 'br'],
    ['gzip, deflate, br, zstd', 'zstd', 'br'],
    ['br;q=1.0, gzip;q=0.8, *;q=0.1', 'br'],
    ['gzip;q=1.0, br;q=0.5, zstd;q=0.5', 'gzip'],
    ['*', 'zstd', 'br'],
    ['*;q=0', undefined],
    ['br;q=0, *', 'zstd', 'zstd'],
    ['gzip;q=0', undefined],
    ['gzip;q=0.000', undefined],
    ['gzip;q=0.001', 'gzip'],
    ['identity', undefined],
    ['identity;q=0, gzip;q=0.1', 'gzip'],
    ['identity;q=0', undefined],
    ['gzip;q=0.5, identity;q=0.6', undefined],
    ['gzip;q=0.5, identity;q=0.5', 'gzip'],
    ['deflate', undefined],
    ['gzip ; q=0.5 , br ; q=0.7', 'br'],
    ['gzip;level=1;q=0', undefined],
    ['gzip;q=2, br;q=0.1', 'br'],
    ['gzip;q=x', undefined],
    [',,gzip,,', 'gzip'],
    ['brx, gzipy', undefined]
  ]
  for (const [header, way, kept = way] of cases) {
    for (const again of [false, true]) {
      t.equal(negotiate(header, ON_THE_WAY), way, `${header} on the way${again ? ', remembered' : ''}`)
      t.equal(negotiate(header, TO_KEEP), kept, `${header} to keep`)
    }
  }
  t.equal(negotiate('br, gzip', ['gzip']), 'gzip', 'only what is offered')
  for (let i = 0; i < 2_000; i++) negotiate(`gzip, made-up-${i}`, ON_THE_WAY)
  t.equal(negotiate('gzip, deflate, br', ON_THE_WAY), 'br', 'headers made up do not push out what is right')
  t.equal(negotiate(`gzip, ${'x'.repeat(10_000)}`, ON_THE_WAY), 'gzip')
})

t.test('compressible', async (t) => {
  const json = { 'content-type': 'application/json; charset=utf-8' }
  const is = (
    headers: Record<string, string | string[]>,
    { method = 'GET', status = 200, length = 5_000 as number | undefined } = {}
  ) => compressible(method, status, headers, length, 1_024)
  t.ok(is(json))
  t.ok(is(json, { status: 404 }))
  t.ok(compressible('GET', 200, json, undefined, 1_024), 'of a length not known yet')
  t.ok(is(json, { length: 1_024 }))
  t.notOk(is(json, { length: 1_023 }))
  t.notOk(is(json, { method: 'HEAD' }))
  for (const status of [101, 103, 204, 205, 206, 304]) t.notOk(is(json, { status }), String(status))
  for (const type of [
    'text/html',
    'TEXT/PLAIN;charset=utf-8',
    'application/problem+json; charset=utf-8',
    'image/svg+xml',
    'application/xml',
    'application/javascript',
    'application/wasm',
    'application/vnd.api+json',
    'font/ttf'
  ]) {
    t.ok(is({ 'content-type': type }), type)
  }
  for (const type of [
    'text/event-stream',
    'text/event-stream; charset=utf-8',
    'image/png',
    'image/webp',
    'video/mp4',
    'font/woff2',
    'application/zip',
    'application/octet-stream',
    'application/x-ndjson',
    'application/jsonx',
    'multipart/mixed; boundary="application/json"'
  ]) {
    t.notOk(is({ 'content-type': type }), type)
  }
  t.notOk(is({}), 'no type')
  for (const [name, value] of [
    ['content-encoding', 'gzip'],
    ['content-encoding', 'identity'],
    ['content-range', 'bytes 0-1/2'],
    ['content-digest', 'sha-256=:x:'],
    ['repr-digest', 'sha-256=:x:'],
    ['cache-control', 'no-transform'],
    ['cache-control', 'private, No-Store']
  ] as const) {
    t.notOk(is({ ...json, [name]: value }), `${name}: ${value}`)
  }
  t.notOk(is({ ...json, 'cache-control': ['public', 'no-transform'] }))
  t.ok(is({ ...json, 'cache-control': 'private, no-cache' }))
})

const feed = (items: number) =>
  Buffer.from(
    JSON.stringify({
      items: Array.from({ length: items }, (_, i) => ({
        id: `01hx${i * 7919}`,
        text: `post ${i} of the day`,
        likes: i
      }))
    })
  )

t.test('whole bodies', async (t) => {
  const compressor = createCompressor({ concurrency: 2, streams: 1 })
  for (const coding of CODINGS) {
    for (const quality of ['fast', 'best'] as const) {
      for (const items of [30, 300, 3_000]) {
        const body = feed(items)
        const encoded = await compressor.encode(body, coding, quality)
        t.ok(encoded !== undefined && encoded.length < body.length / 2, `${coding} ${quality} ${items} is smaller`)
        t.ok(decode[coding](encoded!).equals(body))
      }
    }
    t.ok(Buffer.isBuffer(compressor.encode(feed(30), coding, 'fast')), 'a small one is there at once')
    const noise = Buffer.from(Array.from({ length: 2_000 }, (_, i) => (i * i * 31 + i * 7) % 251))
    const less = await compressor.encode(noise, coding, 'fast')
    t.ok(less === undefined || less.length < noise.length, 'never larger')
  }
  t.equal(compressor.encode(Buffer.from('x'), 'br', 'fast'), undefined)
  t.equal(compressor.inFlight, 0)
})

t.test('the thread pool is bounded', async (t) => {
  const compressor = createCompressor({ concurrency: 2, streams: 1 })
  const body = feed(3_000)
  const first = [1, 2].map(() => compressor.encode(body, 'br', 'best'))
  t.equal(compressor.inFlight, 2)
  t.equal(compressor.encode(body, 'br', 'best'), undefined, 'the third goes out as it is')
  t.ok(compressor.encode(feed(30), 'br', 'fast'), 'what needs no thread is not affected')
  for (const encoded of await Promise.all(first)) t.ok(decode.br(encoded!).equals(body))
  t.equal(compressor.inFlight, 0)
  t.ok(await compressor.encode(body, 'br', 'best'))
})

t.test('streams', async (t) => {
  const compressor = createCompressor({ concurrency: 1, streams: 1 })
  for (const coding of CODINGS) {
    const encoder = compressor.createEncoder(coding)!
    t.equal(compressor.createEncoder(coding), undefined, 'no more than allowed')
    const whole = buffer(encoder)
    const parts = Array.from({ length: 40 }, (_, i) => feed(100 + i))
    for (const part of parts) if (!encoder.write(part)) await once(encoder, 'drain')
    encoder.end()
    t.ok(decode[coding](await whole).equals(Buffer.concat(parts)), coding)
    await (encoder.closed || once(encoder, 'close'))
  }
  const held = compressor.createEncoder('br')!
  let written = 0
  while (held.write(Buffer.alloc(16_384, `${written} `))) written++
  t.ok(written < 100, 'what nobody reads stops its writer')
  held.destroy()
  await once(held, 'close')
  t.ok(compressor.createEncoder('gzip'), 'one that was broken off is counted off')
})

t.test('entity tags', async (t) => {
  t.equal(etagFor('"3.abc"', 'br'), '"3.abc~br"')
  t.equal(etagFor('W/"abc"', 'br'), 'W/"abc"')
  t.equal(etagFor('abc', 'br'), 'abc')
  t.equal(etagFor('"', 'br'), '"')
  t.equal(new Set(CODINGS.map((coding) => etagFor('"a"', coding))).size, 3)
  for (const coding of CODINGS) t.equal(untagHeader(etagFor('"a"', coding)), '"a"')
  t.equal(untagHeader('"a~br", "b", W/"c", "d~gzip"'), '"a", "b", W/"c", "d"')
  t.equal(untagHeader('"a~b"'), '"a~b"')
  t.equal(untagHeader('*'), '*')
  t.equal(untagHeader('"a~br~br"'), '"a~br"')
  t.equal(
    untagHeader('"a~br", W/"a~gzip"', 'gzip, deflate'),
    '"a~br", W/"a"',
    'one that it cannot read it must not get'
  )
  t.equal(untagHeader('"a~br", "a~gzip"', ''), '"a~br", "a~gzip"')
  const plain = '"a", "b"'
  t.equal(untagHeader(plain), plain)

  t.equal(retag('"a"', '"a~br"'), '"a~br"')
  t.equal(retag('"a"', '"x~br", "a~zstd"'), '"a~zstd"')
  t.equal(retag('"a"', '"a~br", "a"'), '"a"')
  t.equal(retag('"a"', '*'), '"a"')
  t.equal(retag('"a"', '"b~br"'), '"a"')
  t.equal(retag('"a"', '"a~br", "a~gzip"', 'gzip'), '"a~gzip"')
  t.equal(retag('"a"', 'W/"a~gzip"', 'gzip'), '"a~gzip"', 'a proxy in front made it weak')
})

t.test('the head of an encoded answer', async (t) => {
  t.equal(varyByCoding(undefined), 'accept-encoding')
  t.equal(varyByCoding(''), 'accept-encoding')
  t.equal(varyByCoding('Origin'), 'Origin, accept-encoding')
  t.equal(varyByCoding('origin, Accept-Encoding'), 'origin, Accept-Encoding')
  t.equal(varyByCoding('*'), '*')
  t.equal(varyByCoding('x-accept-encoding'), 'x-accept-encoding, accept-encoding')

  const head = [
    ...['content-type', 'application/json', 'content-length', '5000', 'etag', '"a"'],
    ...['accept-ranges', 'bytes', 'vary', 'origin', 'x-a', '1', 'vary', 'x-b']
  ]
  describeCoding(head, 'br', 400)
  t.strictSame(head, [
    ...['content-type', 'application/json', 'etag', '"a~br"', 'vary', 'origin', 'x-a', '1'],
    ...['vary', 'x-b, accept-encoding', 'content-encoding', 'br', 'content-length', '400']
  ])
  const streamed = ['etag', 'W/"a"', 'content-length', '9']
  describeCoding(streamed, 'zstd', undefined)
  t.strictSame(streamed, ['etag', 'W/"a"', 'content-encoding', 'zstd', 'vary', 'accept-encoding'])
  const named = ['vary', 'accept-encoding', 'vary', 'origin']
  describeVariants(named)
  t.strictSame(named, ['vary', 'accept-encoding', 'vary', 'origin'])
})

t.test('a body that cannot be encoded goes out as it is', async (t) => {
  const body = Buffer.from('x'.repeat(100))
  const encode = async (work: () => Buffer | undefined | Promise<Buffer | undefined>) =>
    encodeWhole({ encode: work }, body, 'br', 'fast')
  const noMemory = new Error('out of memory')
  t.equal(
    await encode(() => {
      throw noMemory
    }),
    undefined
  )
  t.equal(await encode(() => Promise.reject(noMemory)), undefined)
  t.equal(await encode(() => undefined), undefined)
  t.equal(await encode(() => body), body)
  t.equal(await encode(async () => body), body)
})
