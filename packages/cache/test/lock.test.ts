import { waitFor } from '@skerry/testing'
import t from 'tap'
import type { GetOptions } from '../src/index.ts'
import { connectedLink, openCache } from './open-cache.ts'
import { startRedisServer } from './redis-server.ts'

/** So long that a test which has to wait for its end fails by its own time. */
const LONG = 600_000
const how = { ttlMs: 60_000, tags: ['u:1'] }

function gate<T>() {
  let asked = 0
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  const load = () => {
    asked++
    return promise
  }
  return { load, resolve, reject, asked: () => asked }
}

t.test('processes that share a lock', async (t) => {
  const redis = await startRedisServer(t)
  const link = await connectedLink(t, redis.url)
  const here = await openCache(t, link, { lockMs: LONG })
  const there = await openCache(t, await connectedLink(t, redis.url), { lockMs: LONG })

  /** Starts a load here, then one there, which has looked into Redis when this resolves. */
  async function both(
    key: string,
    mine: () => Promise<string>,
    theirs: () => Promise<string>,
    mineHow: GetOptions<string> = how
  ) {
    const first = here.read(key, mineHow, mine)
    await waitFor(async () => (await link.client.exists(`x:l:${key}`)) === 1)
    const looks = async () => (await link.client.info('commandstats')).match(/cmdstat_evalsha:calls=(\d+)/)?.[1]
    const before = await looks()
    const second = there.read(key, how, theirs)
    await waitFor(async () => (await looks()) !== before)
    return { first, second }
  }

  t.test('load once', async (t) => {
    const { load, resolve } = gate<string>()
    const { first, second } = await both('once', load, () => Promise.reject(new Error('was not to be asked')))
    resolve('v1')
    t.match(await first, { value: 'v1', from: 'load' })
    t.match(await second, { value: 'v1', from: 'redis' })
    t.equal(await link.client.exists('x:l:once'), 0, 'and the lock is given back')
  })

  t.test('take turns when a load fails', async (t) => {
    const { load, reject } = gate<string>()
    const { first, second } = await both('fails', load, async () => 'v2')
    reject(new Error('down'))
    await t.rejects(first, { message: 'down' })
    t.match(await second, { value: 'v2', from: 'load' })
  })

  t.test('take turns when a value is not kept', async (t) => {
    const { load, resolve } = gate<string>()
    const unkept = { ...how, ttlOf: () => undefined }
    const { first, second } = await both('unkept', load, async () => 'v2', unkept)
    resolve('v1')
    t.match(await first, { value: 'v1', from: 'load' })
    t.match(await second, { value: 'v2', from: 'load' })
  })

  t.test('do not wait for a load that began before an invalidation', async (t) => {
    const { load, resolve } = gate<string>()
    const { first, second } = await both('ended', load, async () => 'v2')
    // Not published, so that only the tokens tell the other.
    await here.invalidate(['u:1'], { publish: false })
    t.match(await second, { value: 'v2', from: 'load' })
    resolve('v1')
    t.match(await first, { value: 'v1' }, 'who asked before gets what it asked for')
    for (const cache of [here, there]) t.equal(await cache.get('ended', how, async () => 'v3'), 'v2')
  })
})

t.test('a lock whose owner is gone ends by itself, and so does the wait for it', async (t) => {
  const redis = await startRedisServer(t)
  const link = await connectedLink(t, redis.url)
  const here = await openCache(t, link, { lockMs: LONG })
  const there = await openCache(t, await connectedLink(t, redis.url), { lockMs: 50 })
  const { load, resolve, asked } = gate<string>()
  const first = here.read('k', how, load)
  await waitFor(() => asked() === 1)
  t.match(await there.read('k', how, async () => 'v2'), { value: 'v2', from: 'load' }, 'the wait is bounded')
  resolve('v1')
  await first

  await link.client.set('x:l:lost', 'somebody', 'PX', 50)
  t.match(await here.read('lost', how, async () => 'v1'), { value: 'v1', from: 'load' })
})

t.test('an invalidation that the others know of by other means is not published', async (t) => {
  const redis = await startRedisServer(t)
  const link = await connectedLink(t, redis.url)
  const here = await openCache(t, link)
  const there = await openCache(t, await connectedLink(t, redis.url))
  const other = { ttlMs: 60_000, tags: ['u:2'] }
  await here.get('k', how, async () => 'v1')
  await there.get('k', how, async () => 'v1')
  await there.get('k2', other, async () => 'v1')
  await here.invalidate(['u:1'], { publish: false })
  await here.invalidate(['u:2'])
  await waitFor(() => there.find('k2') === undefined)
  t.equal(there.find('k')?.value, 'v1', 'only the second one was heard')
  t.equal(await here.get('k', how, async () => 'v2'), 'v2', 'but Redis was told of both')
})
