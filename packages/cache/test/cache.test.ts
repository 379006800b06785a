import { remainingMs, withDeadline } from '@skerry/deadline'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { type Cache, createCache, openRedis, type RedisLink } from '../src/index.ts'
import { connectedLink, openCache } from './open-cache.ts'
import { startRedisServer } from './redis-server.ts'

const TTL = { ttlMs: 60_000, staleMs: 60_000 }

function gate<T>() {
  return Promise.withResolvers<T>()
}

/** How many commands are given to a connection from now on, sent or not. */
function countCommands({ client }: RedisLink): () => number {
  const send = client.sendCommand.bind(client)
  let count = 0
  client.sendCommand = (...args) => {
    count++
    return send(...args)
  }
  return () => count
}

function memoryOnly(maxEntries = 100): Cache {
  return createCache({ prefix: 'x:', maxEntries })
}

t.test('memory alone', async (t) => {
  t.test('a load has nobody’s deadline, since others may join it', async (t) => {
    const cache = memoryOnly()
    const late = { remainingMs: () => 0 }
    const left = await withDeadline(late, () => cache.get('k', TTL, async () => String(remainingMs())))
    t.equal(left, 'Infinity')
  })

  t.test('one load answers all who ask at once', async (t) => {
    const cache = memoryOnly()
    let loads = 0
    const load = async () => ++loads
    const answers = await Promise.all(Array.from({ length: 1_000 }, () => cache.get('k', TTL, load)))
    t.equal(loads, 1)
    t.ok(answers.every((answer) => answer === 1))
    t.equal(await cache.get('k', TTL, load), 1, 'and those who ask later')
  })

  t.test('a failed load is told to all who waited and not kept', async (t) => {
    const cache = memoryOnly()
    const failing = () => Promise.reject(new Error('no'))
    const both = await Promise.allSettled([cache.get('k', TTL, failing), cache.get('k', TTL, failing)])
    t.strictSame(
      both.map((one) => one.status),
      ['rejected', 'rejected']
    )
    t.equal(await cache.get('k', TTL, async () => 'yes'), 'yes')
  })

  t.test('a load that never ends holds nobody up for longer than its bound', async (t) => {
    const cache = createCache({ prefix: 'x:', maxEntries: 10, loadMs: 20 })
    const lost = gate<string>()
    const waiting = [cache.get('k', TTL, () => lost.promise), cache.get('k', TTL, async () => 'joins the first')]
    for (const one of waiting) await t.rejects(one, { code: 'UNAVAILABLE' })
    t.equal(await cache.get('k', TTL, async () => 'new'), 'new')
    lost.resolve('late')
    await lost.promise
    await new Promise((resolve) => setImmediate(resolve))
    t.equal(await cache.get('k', TTL, async () => 'not asked'), 'new', 'what came late is not kept')
  })

  t.test('after its time a value is served stale while a new one is loaded', async (t) => {
    const cache = memoryOnly()
    let version = 0
    const load = async () => ++version
    const how = { ttlMs: 0, staleMs: 60_000 }
    t.equal(await cache.get('k', how, load), 1)
    t.equal(await cache.get('k', how, load), 1, 'stale, and a load behind it')
    await waitFor(() => version === 2)
    t.equal(await cache.get('k', how, load), 2)
  })

  t.test('a refresh that fails leaves the stale value and waits before the next', async (t) => {
    let time = 1_000
    const cache = createCache({ prefix: 'x:', maxEntries: 100, now: () => time })
    let calls = 0
    const how = { ttlMs: 0, staleMs: 60_000 }
    await cache.get('k', how, async () => 'old')
    const failing = async () => {
      calls++
      throw new Error('down')
    }
    const answers = new Set()
    for (let i = 0; i < 50; i++) {
      answers.add(await cache.get('k', how, failing))
      await new Promise(setImmediate)
    }
    t.strictSame([...answers], ['old'])
    t.equal(calls, 1)
    time += 1_000
    t.equal(await cache.get('k', how, failing), 'old')
    await waitFor(() => calls === 2, { message: 'the next attempt' })
  })

  t.test('beyond its time a value is gone', async (t) => {
    const cache = memoryOnly()
    let loads = 0
    await cache.get('k', { ttlMs: 1 }, async () => ++loads)
    await waitFor(async () => (await cache.get('k', { ttlMs: 1 }, async () => ++loads)) === 2)
    t.equal(loads, 2)
  })

  t.test('invalidation takes every key of the tag and no other', async (t) => {
    const cache = memoryOnly()
    const put = (key: string, tags: string[], value: string) => cache.get(key, { ...TTL, tags }, async () => value)
    await put('a', ['u:1'], 'a1')
    await put('b', ['u:1', 'u:2'], 'b1')
    await put('c', ['u:3'], 'c1')
    await cache.invalidate(['u:1'])
    t.equal(await put('a', ['u:1'], 'a2'), 'a2')
    t.equal(await put('b', ['u:1', 'u:2'], 'b2'), 'b2')
    t.equal(await put('c', ['u:3'], 'c2'), 'c1')
    await cache.invalidate(['*'])
    t.equal(await put('c', ['u:3'], 'c3'), 'c3')
  })

  t.test('a load that began before an invalidation is not kept, and nobody new waits for it', async (t) => {
    const cache = memoryOnly()
    const how = { ...TTL, tags: ['u:1'] }
    const old = gate<string>()
    const early = cache.get('k', how, () => old.promise)
    await cache.invalidate(['u:1'])
    t.equal(await cache.get('k', how, async () => 'new'), 'new', 'did not join the old load')
    old.resolve('old')
    t.equal(await early, 'old')
    t.equal(await cache.get('k', how, async () => 'newer'), 'new', 'and the old value did not come after it')
  })

  t.test('is bounded by entries and by bytes', async (t) => {
    const cache = memoryOnly(10)
    for (let i = 0; i < 100; i++) await cache.get(`k${i}`, { ...TTL, tags: ['all'] }, async () => i)
    t.equal(cache.stats().entries, 10)
    const small = createCache({ prefix: 'x:', maxEntries: 1_000, maxBytes: 1_000 })
    await small.get('huge', TTL, async () => 'x'.repeat(500))
    t.equal(small.stats().entries, 0, 'one value may not push out all others')
    for (let i = 0; i < 100; i++) await small.get(`k${i}`, TTL, async () => 'x'.repeat(90))
    t.equal(small.stats().entries, 10)
  })

  t.test('null is a value, undefined is not kept', async (t) => {
    const cache = memoryOnly()
    t.equal(await cache.get('n', TTL, async () => null), null)
    t.equal(await cache.get('n', TTL, async () => 1), null)
    t.equal(await cache.get('u', TTL, async () => undefined), undefined)
    t.equal(await cache.get('u', TTL, async () => 1), 1)
  })
})

t.test('two processes and Redis', async (t) => {
  const redis = await startRedisServer(t)
  const link = await connectedLink(t, redis.url)
  const here = await openCache(t, link)
  const there = await openCache(t, await connectedLink(t, redis.url))
  const how = { ...TTL, tags: ['u:1'] }

  t.test('what one loaded the other need not', async (t) => {
    t.strictSame(await here.get('shared', how, async () => ({ name: 'ada' })), { name: 'ada' })
    await waitFor(async () => (await link.client.exists('x:v:shared')) === 1)
    t.strictSame(await there.get('shared', how, async () => ({ name: 'other' })), { name: 'ada' })
    t.equal(there.stats().redisHits, 1)
    t.equal(there.stats().loads, 0)
  })

  t.test('an invalidation reaches the memory of the other', async (t) => {
    await here.get('k', how, async () => 'v1')
    await there.get('k', how, async () => 'v1')
    await here.invalidate(['u:1'])
    t.equal(await here.get('k', how, async () => 'v2'), 'v2', 'at once where it was asked for')
    await waitFor(async () => (await there.get('k', how, async () => 'v2')) === 'v2')
  })

  t.test('a load of the other that began before the invalidation is not kept there nor in Redis', async (t) => {
    const old = gate<string>()
    let began = false
    const early = there.get('race', how, () => {
      began = true
      return old.promise
    })
    await waitFor(() => began)
    await here.invalidate(['u:1'])
    old.resolve('old')
    t.equal(await early, 'old')
    t.equal(await here.get('race', how, async () => 'new'), 'new')
    await waitFor(async () => (await there.get('race', how, async () => 'new')) === 'new')
  })

  t.test('a third that starts now and finds the old value in Redis does not believe it', async (t) => {
    await here.get('late', how, async () => 'v1')
    await here.invalidate(['u:1'])
    const third = await openCache(t, await connectedLink(t, redis.url))
    t.equal(await third.get('late', how, async () => 'v2'), 'v2')
  })

  t.test('an invalidation that was published while a process was deaf', async (t) => {
    await here.get('deaf', how, async () => 'v1')
    await there.get('deaf', how, async () => 'v1')
    await link.client.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await here.invalidate(['u:1'])
    await waitFor(async () => (await there.get('deaf', how, async () => 'v2')) === 'v2')
    t.pass('forgets what it held when it listens again')
  })

  t.test('a stale value in Redis is served and refreshed once', async (t) => {
    const stale = { ttlMs: 1, staleMs: 60_000, tags: ['s'] }
    await here.get('stale', stale, async () => 1)
    await waitFor(async () => (await link.client.exists('x:v:stale')) === 1)
    await waitFor(async () => (await link.client.pttl('x:v:stale')) < 60_000, {
      message: 'its first millisecond is over'
    })
    let loads = 0
    const load = async () => {
      loads++
      return 2
    }
    const lasting = { ...stale, ttlMs: 60_000 }
    t.match(await there.read('stale', lasting, load), { value: 1, from: 'redis' })
    await waitFor(() => there.find('stale')?.value === 2, { message: 'it is refreshed by itself' })
    for (let i = 0; i < 5; i++) t.equal(await there.get('stale', lasting, load), 2)
    t.equal(loads, 1)
  })
})

t.test('Redis goes away and comes back', async (t) => {
  const redis = await startRedisServer(t)
  const away = await connectedLink(t, redis.url)
  const here = await openCache(t, away)
  const link = await connectedLink(t, redis.url)
  const there = await openCache(t, link)
  const how = { ...TTL, tags: ['u:1'] }
  await here.get('k', how, async () => 'v1')
  await there.get('k', how, async () => 'v1')

  await redis.kill()
  await waitFor(() => !here.stats().listening && !away.connected())
  const asked = countCommands(away)
  const answers = []
  for (let i = 0; i < 200; i++) answers.push(await here.get(`away${i}`, how, async () => i))
  t.ok(answers.every((answer, i) => answer === i))
  t.equal(asked(), 0, 'what is known to be away is not asked')
  t.equal(await there.get('k', how, async () => 'v2'), 'v1', 'memory goes on')

  await here.invalidate(['u:1'])
  t.equal(await here.get('k', how, async () => 'v2'), 'v2', 'an invalidation holds where it was asked for')

  await redis.start()
  await waitFor(async () => (await there.get('k', how, async () => 'v2')) === 'v2')
  t.pass('and everywhere once Redis is back, although its message was lost')
  await waitFor(() => link.connected())
})

t.test('a Redis that hangs', async (t) => {
  const redis = await startRedisServer(t)
  const link = await connectedLink(t, redis.url, 2_000)
  const patient = await connectedLink(t, redis.url)
  const cache = await openCache(t, link)
  const how = { ...TTL, tags: ['u:1'] }
  await cache.get('before', how, async () => 'old')
  await waitFor(async () => (await patient.client.exists('x:v:before')) === 1)
  redis.freeze()
  const asked = countCommands(link)
  const answers = []
  for (let i = 0; i < 100; i++) answers.push(await cache.get(`k${i}`, TTL, async () => i))
  t.ok(answers.every((answer, i) => answer === i))
  // The first finds out; then pauses double, up to 2 s.
  t.ok(asked() > 0 && asked() < 10, 'is asked seldom, not once a request')
  await cache.invalidate(['u:1'])
  redis.thaw()
  const other = await openCache(t, await connectedLink(t, redis.url))
  await waitFor(async () => (await other.get('before', how, async () => 'new')) === 'new')
  t.equal(await cache.get('before', how, async () => 'new'), 'new', 'what was invalidated meanwhile is not read back')
})

t.test('a Redis that never was', async (t) => {
  const lines: string[] = []
  const log = { info: () => {}, warn: (_details: object, message: string) => lines.push(message) }
  const link = openRedis({ url: 'redis://127.0.0.1:1', log })
  t.teardown(() => link.close())
  const cache = createCache({ redis: link, prefix: 'x:', maxEntries: 10 })
  t.teardown(() => cache.close())
  t.equal(await cache.get('k', TTL, async () => 1), 1)
  await cache.invalidate(['u:1'])
  let attempts = 0
  link.client.on('reconnecting', () => attempts++)
  await waitFor(() => attempts >= 3, { message: 'it is tried again and again' })
  t.strictSame(lines, ['Redis is unavailable: continuing without it'], 'is told once')
  t.throws(() => openRedis({ url: 'nonsense' }), { message: /redis:\/\// })
})
