import { startRedisServer } from '@skerry/cache/test/redis-server'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startGateway, type TestGateway } from './helpers/gateway.ts'
import { idOf } from './helpers/tokens.ts'
import { startUpstream } from './helpers/upstream.ts'

const TIGHT = {
  // So slow that nothing is refilled while a busy machine runs these tests.
  LIMIT_USER_PER_SECOND: '0.01',
  LIMIT_USER_BURST: '20',
  LIMIT_ADDRESS_PER_SECOND: '0.01',
  LIMIT_ADDRESS_BURST: '10',
  LIMIT_SIGN_UP_PER_MINUTE: '1',
  LIMIT_SIGN_UP_BURST: '3'
}

async function withServices(t: Parameters<typeof startUpstream>[0], g: TestGateway): Promise<void> {
  await startUpstream(t, g.nc, {})
  await startUpstream(t, g.nc, { service: 'auth', prefixes: ['/v1/auth'] })
  await g.live('content', 1)
  await g.live('auth', 1)
}

/** Asks so often, one after the other; how many were let in. */
async function letIn(count: number, url: string, init: RequestInit = {}): Promise<number> {
  let allowed = 0
  for (let i = 0; i < count; i++) {
    const answer = await fetch(url, init)
    await answer.arrayBuffer()
    if (answer.status === 200) allowed++
  }
  return allowed
}

for (const redis of [true, false]) {
  t.test(redis ? 'limits in Redis' : 'limits without Redis', async (t) => {
    const g = await startGateway(t, { redis, env: TIGHT })
    await withServices(t, g)
    const posts = `${g.url}/v1/posts`

    t.test('a user', async (t) => {
      const ada = g.issuer.bearer({ sub: 'ada' })
      const allowed = await letIn(40, posts, { headers: ada })
      t.equal(allowed, 20)
      const refused = await fetch(posts, { headers: ada })
      t.equal(refused.status, 429)
      t.match(refused.headers.get('retry-after'), /^[1-9]\d*$/)
      t.equal(refused.headers.get('ratelimit-policy'), '"user";q=20;w=2000')
      t.match(refused.headers.get('ratelimit'), /^"user";r=0;t=\d+$/)
      t.match(await refused.json(), { code: 'RATE_LIMITED', status: 429 })
      t.equal(
        (await fetch(posts, { headers: g.issuer.bearer({ sub: 'ada' }) })).status,
        429,
        'another token, the same user'
      )
      t.equal((await fetch(posts, { headers: g.issuer.bearer({ sub: 'bob' }) })).status, 200, 'another user')
    })

    t.test('an address without a token', async (t) => {
      const first = await fetch(posts)
      t.match(first.headers.get('ratelimit'), /^"address";r=9;t=\d+$/)
      t.equal(await letIn(20, posts), 9)
      const signedIn = g.issuer.bearer({ sub: 'cat' })
      t.equal((await fetch(posts, { headers: signedIn })).status, 200, 'who is signed in is not that address')
    })

    t.test('bad tokens count for their address, apart', async (t) => {
      const ask = async (authorization: string) => (await fetch(posts, { headers: { authorization } })).status
      const known = g.issuer.bearer({ sub: 'dan' }).authorization
      t.equal(await ask(known), 200)
      const statuses = []
      for (let i = 0; i < 14; i++) statuses.push(await ask(`Bearer bad${i}`))
      t.strictSame(statuses, [...Array(10).fill(401), ...Array(4).fill(429)])
      t.equal(await ask(known), 200, 'a token that is known goes on')
    })

    t.test('signing in and up', async (t) => {
      const post = { method: 'POST' }
      t.equal(await letIn(8, `${g.url}/v1/auth/signup`, post), 3)
      t.equal(await letIn(8, `${g.url}/v1/auth/sign%75p`, post), 0, 'another spelling of the same path')
      const waits: number[] = []
      for (let i = 0; i < 3; i++) {
        const refused = await fetch(`${g.url}/v1/auth/signup`, post)
        t.equal(refused.status, 429)
        waits.push(Number(refused.headers.get('retry-after')))
      }
      t.ok(waits[0]! <= waits[1]! && waits[1]! <= waits[2]!, `they are told to come one after the other: ${waits}`)
      t.match(await g.metrics.text(), /skerry_gateway_limited_total\{policy="sign-up"[^}]*\} \d+/)
      const login = { ...post, headers: { 'x-forwarded-for': '203.0.113.9' } }
      t.equal(await letIn(8, `${g.url}/v1/auth/login`, login), 0, 'signing in is a request of its address as any other')
    })
  })
}

t.test('an exempt address has no limits by address', async (t) => {
  const g = await startGateway(t, { env: { ...TIGHT, LIMIT_EXEMPT: '127.0.0.0/8' } })
  await withServices(t, g)
  t.equal(await letIn(30, `${g.url}/v1/posts`), 30)
  t.equal(await letIn(30, `${g.url}/v1/auth/signup`, { method: 'POST' }), 30)
  t.notOk((await fetch(`${g.url}/v1/posts`)).headers.has('ratelimit'))
  t.equal(await letIn(40, `${g.url}/v1/posts`, { headers: g.issuer.bearer({ sub: 'ada' }) }), 20, 'a user still has')
})

t.test('two gateways count together', async (t) => {
  const redis = await startRedisServer(t)
  const prefix = { REDIS_PREFIX: 'shared:' }
  const one = await startGateway(t, { redis: redis.url, env: { ...TIGHT, ...prefix } })
  const two = await startGateway(t, { redis: redis.url, env: { ...TIGHT, ...prefix } })
  await withServices(t, one)
  await withServices(t, two)
  t.equal(
    (await letIn(3, `${one.url}/v1/auth/signup`, { method: 'POST' })) +
      (await letIn(3, `${two.url}/v1/auth/signup`, { method: 'POST' })),
    3,
    'exactly, where it matters'
  )
  const both = await Promise.all([one, two].map((g) => letIn(15, `${g.url}/v1/posts`)))
  const sum = (both[0] ?? 0) + (both[1] ?? 0)
  t.equal(sum, 10)
})

t.test('a crowd at once is counted right', async (t) => {
  const g = await startGateway(t, { redis: true, env: { ...TIGHT, LIMIT_USER_BURST: '100' } })
  await withServices(t, g)
  const headers = g.issuer.bearer({ sub: 'crowd' })
  const answers = await Promise.all(
    Array.from({ length: 200 }, async () => (await fetch(`${g.url}/v1/posts`, { headers })).status)
  )
  const allowed = answers.filter((status) => status === 200).length
  t.equal(allowed, 100)
})

t.test('Redis dies and comes back', async (t) => {
  const redis = await startRedisServer(t)
  const g = await startGateway(t, { redis: redis.url, env: { ...TIGHT, LIMIT_USER_BURST: '50' } })
  await withServices(t, g)
  const posts = `${g.url}/v1/posts`
  const ada = { headers: g.issuer.bearer({ sub: 'ada' }) }
  t.equal(await letIn(5, posts, ada), 5)

  await redis.kill()
  const allowed = await letIn(100, posts, ada)
  t.ok(allowed >= 45 && allowed <= 50, `${allowed} of 100: the gateway goes on counting by itself`)
  const told = (what: string) => g.lines.filter(({ msg }) => String(msg).startsWith(`Redis is ${what}`)).length
  // That it is gone is known once it cannot be connected to; on a busy machine it may have looked away, and back, before.
  const away = () => told('unavailable') - told('available again')
  await waitFor(() => away() > 0, { message: 'it is told' })
  t.equal(away(), 1, 'told once')

  await redis.start()
  await waitFor(() => g.redis?.connected() === true)
  const bob = { headers: g.issuer.bearer({ sub: 'bob' }) }
  await waitFor(async () => {
    await letIn(1, posts, bob)
    return (await g.redis!.run((client) => client.keys(`*limit:user:${idOf('bob')}`)))?.length === 1
  })
  t.pass('and counts in Redis again')
})

t.test('a Redis that hangs is not asked for each request', async (t) => {
  const redis = await startRedisServer(t)
  const g = await startGateway(t, { redis: redis.url, redisTimeoutMs: 100, env: TIGHT })
  await withServices(t, g)
  redis.freeze()
  const statuses = new Set<number>()
  for (let i = 0; i < 50; i++) {
    statuses.add((await fetch(`${g.url}/v1/posts`, { headers: g.issuer.bearer({ sub: `user${i}` }) })).status)
  }
  t.strictSame([...statuses], [200])
  // ioredis keeps the commands that nobody answered.
  const { length } = (g.redis!.client as unknown as { commandQueue: { length: number } }).commandQueue
  t.ok(length <= 10, `${length} of 50 requests waited for it`)
  redis.thaw()
})
