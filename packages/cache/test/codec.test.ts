import { waitFor } from '@skerry/testing'
import t from 'tap'
import { type CacheCodec, createCache } from '../src/index.ts'
import { connectedLink, openCache } from './open-cache.ts'
import { startRedisServer } from './redis-server.ts'

type Blob = { name: string; bytes: Buffer; more: Buffer[] }

const codec: CacheCodec = {
  encode: (value) => {
    const { name, bytes } = value as Blob
    return Buffer.concat([Buffer.from(`${name}\n`), bytes])
  },
  decode: (bytes): Blob => {
    const end = bytes.indexOf(10)
    if (end === -1) throw new Error('not one of ours')
    return { name: bytes.toString('utf8', 0, end), bytes: bytes.subarray(end + 1), more: [] }
  },
  sizeOf: (value) => {
    const { bytes, more } = value as Blob
    return bytes.length + more.reduce((sum, one) => sum + one.length, 0)
  }
}
const TTL = { ttlMs: 60_000 }
const blob = (bytes: Buffer): Blob => ({ name: 'blob', bytes, more: [] })

t.test('any bytes go through Redis', async (t) => {
  const redis = await startRedisServer(t)
  const link = await connectedLink(t, redis.url)
  const here = await openCache(t, link, { codec })
  const there = await openCache(t, await connectedLink(t, redis.url), { codec })
  const all = Buffer.from(Array.from({ length: 1_024 }, (_, i) => i & 255))
  await here.get('k', TTL, async () => blob(all))
  await waitFor(async () => (await link.client.exists('x:v:k')) === 1)
  const read = await there.read<Blob>('k', TTL, async () => blob(Buffer.from('other')))
  t.equal(read.from, 'redis')
  t.strictSame(read.value.bytes, all)

  t.test('what cannot be read counts as absent', async (t) => {
    const entry = await link.client.getBuffer('x:v:k')
    const tokens = entry?.subarray(0, entry.indexOf(10) + 1)
    await link.client.set('x:v:k', Buffer.concat([tokens!, Buffer.from('garbage')]), 'PX', 60_000)
    const third = await openCache(t, await connectedLink(t, redis.url), { codec })
    t.match(await third.read('k', TTL, async () => blob(Buffer.from('new'))), { from: 'load' })
  })
})

t.test('memory is counted as the codec says, also for what has grown', async (t) => {
  const cache = createCache({ prefix: 'x:', maxEntries: 100, maxBytes: 1_000, codec })
  const value = blob(Buffer.alloc(60))
  await cache.get('k', TTL, async () => value)
  t.equal(cache.stats().bytes, 60)
  value.more.push(Buffer.alloc(30))
  cache.resize('k', value)
  t.equal(cache.stats().bytes, 90)
  cache.resize('k', blob(Buffer.alloc(10)))
  cache.resize('nothing', value)
  t.equal(cache.stats().bytes, 90, 'only the one in memory counts')
  for (let i = 0; i < 20; i++) await cache.get(`k${i}`, TTL, async () => blob(Buffer.alloc(50)))
  t.ok(cache.stats().bytes <= 1_000)
  const last = (await cache.get('k19', TTL, async () => blob(Buffer.alloc(1)))) as Blob
  last.more.push(Buffer.alloc(60))
  cache.resize('k19', last)
  t.equal(cache.find('k19'), undefined, 'one may not push out all others by growing either')
})
