import { waitFor } from '@skerry/testing'
import t from 'tap'
import { createCache } from '../src/index.ts'
import { connectedLink, openCache } from './open-cache.ts'
import { startRedisServer } from './redis-server.ts'

/** A cache in memory whose time is told by hand. */
function withClock(options: { lines?: unknown[]; maxBytes?: number } = {}) {
  let time = 1_000
  const warn = (details: object) => void options.lines?.push(details)
  const cache = createCache({
    prefix: 'x:',
    maxEntries: 100,
    now: () => time,
    log: { info: () => {}, warn },
    ...(options.maxBytes === undefined ? {} : { maxBytes: options.maxBytes })
  })
  return {
    cache,
    pass: (ms: number) => {
      time += ms
    }
  }
}

const down = () => Promise.reject(new Error('down'))
const HOW = { ttlMs: 100, staleMs: 50, errorMs: 5_000 }

t.test('when loading fails an old value is served for its time, and says so', async (t) => {
  const lines: unknown[] = []
  const { cache, pass } = withClock({ lines })
  t.strictSame(await cache.read('k', HOW, async () => 'v1'), { value: 'v1', from: 'load', freshMs: 100 })
  pass(40)
  t.strictSame(await cache.read('k', HOW, down), { value: 'v1', from: 'memory', freshMs: 60 })
  pass(160)
  t.equal(cache.find('k'), undefined, 'neither fresh nor to be served while it is refreshed')
  t.strictSame(await cache.read('k', HOW, down), { value: 'v1', from: 'stale-if-error', freshMs: -100 })
  t.match(lines, [{ key: 'k', reason: 'down', failures: 1 }])

  let calls = 0
  const counted = () => {
    calls++
    return down()
  }
  pass(500)
  t.match(await cache.read('k', HOW, counted), { value: 'v1', from: 'stale-if-error' })
  t.equal(calls, 0, 'within a second of a failure it is not tried again')
  pass(500)
  t.match(await cache.read('k', HOW, counted), { value: 'v1', from: 'stale-if-error' })
  t.equal(calls, 1)
  t.equal(lines.length, 1, 'an outage is not a line for each failure')

  pass(1_000)
  t.match(await cache.read('k', HOW, async () => 'v2'), { value: 'v2', from: 'load' })
  pass(100 + 5_000)
  await t.rejects(cache.read('k', HOW, down), { message: 'down' }, 'not beyond its time')
  t.equal(cache.stats().entries, 0)
  t.equal(cache.stats().errorServed, 3)
})

t.test('all who wait for a load that fails get the old value', async (t) => {
  const { cache, pass } = withClock()
  await cache.get('k', HOW, async () => 'v1')
  pass(200)
  const { promise, reject } = Promise.withResolvers<string>()
  let loads = 0
  const load = () => {
    loads++
    return promise
  }
  const all = Array.from({ length: 100 }, () => cache.read('k', HOW, load))
  await waitFor(() => loads > 0)
  reject(new Error('down'))
  for (const one of await Promise.all(all)) t.match(one, { value: 'v1', from: 'stale-if-error' })
  t.equal(loads, 1)
})

t.test('an old value that was ended is not served when loading fails', async (t) => {
  const { cache, pass } = withClock()
  const how = { ...HOW, tags: ['u:1'] }
  await cache.get('k', how, async () => 'v1')
  pass(200)
  await cache.invalidate(['u:1'])
  await t.rejects(cache.read('k', how, down), { message: 'down' })

  await cache.get('k', how, async () => 'v2')
  pass(200)
  const { promise, reject } = Promise.withResolvers<string>()
  const early = cache.read('k', how, () => promise)
  await cache.invalidate(['u:1'])
  reject(new Error('down'))
  await t.rejects(early, { message: 'down' }, 'nor when it was ended while loading')
})

t.test('find needs no promise, and a refresh follows one at a time', async (t) => {
  const { cache, pass } = withClock()
  t.equal(cache.find('k'), undefined)
  await cache.get('k', HOW, async () => 'v1')
  t.match(cache.find('k'), { value: 'v1', freshUntil: 1_100 })
  pass(120)
  t.match(cache.find('k'), { value: 'v1' }, 'stale')

  const { promise, resolve } = Promise.withResolvers<string>()
  let loads = 0
  const load = () => {
    loads++
    return promise
  }
  for (let i = 0; i < 10; i++) cache.refresh('k', HOW, load)
  await waitFor(() => loads > 0)
  t.match(cache.find('k'), { value: 'v1' }, 'still served')
  resolve('v2')
  await waitFor(() => cache.find('k')?.value === 'v2')
  t.equal(loads, 1)
})

t.test('a loaded value may say how long it is kept, or that it is not', async (t) => {
  const { cache, pass } = withClock()
  const ttlOf = (value: { ttl: number | undefined }) => value.ttl
  const how = { ttlMs: 100, staleMs: 50, ttlOf }
  const load = (ttl: number | undefined) => async () => ({ ttl })
  t.match(await cache.read('k', how, load(10)), { from: 'load', freshMs: 10 })
  pass(10)
  t.match(cache.find('k'), { freshUntil: 1_010 }, 'stale after its own time')
  pass(50)
  t.equal(cache.find('k'), undefined)
  t.match(await cache.read('k', how, load(1_000)), { freshMs: 100 }, 'never longer than the caller said')

  cache.refresh('k', how, load(undefined))
  await waitFor(() => cache.find('k') === undefined)
  t.pass('one that is not kept ends the one before it')
  t.match(await cache.read('k', how, load(undefined)), { value: { ttl: undefined }, from: 'load' })
  t.equal(cache.stats().entries, 0)
})

t.test('an old value of Redis is served when loading fails, unless it was ended', async (t) => {
  const redis = await startRedisServer(t)
  const here = await openCache(t, await connectedLink(t, redis.url))
  const how = { ttlMs: 1, errorMs: 60_000, tags: ['u:1'] }
  const link = await connectedLink(t, redis.url)
  await here.get('k', how, async () => 'v1')
  await waitFor(async () => (await link.client.exists('x:v:k')) === 1)
  // Its clock stands: the second below does not pass, however busy the machine is.
  const there = await openCache(t, link, { now: () => 1_000 })
  await waitFor(async () => (await link.client.pttl('x:v:k')) < 60_000)
  t.match(await there.read('k', how, down), { value: 'v1', from: 'stale-if-error' })
  t.match(await there.read('k', how, async () => 'v2'), { value: 'v1' }, 'and then from memory for a second')

  const { promise, reject } = Promise.withResolvers<string>()
  let asked = false
  const third = await openCache(t, await connectedLink(t, redis.url))
  await third.get('heard', { ...how, ttlMs: 60_000 }, async () => 'v1')
  const early = third.read('k', how, () => {
    asked = true
    return promise
  })
  await waitFor(() => asked)
  await here.invalidate(['u:1'])
  await waitFor(() => there.stats().entries === 0 && third.find('heard') === undefined)
  await t.rejects(there.read('k', how, down), { message: 'down' })
  reject(new Error('down'))
  await t.rejects(early, { message: 'down' }, 'nor by who had looked into Redis before')
})
