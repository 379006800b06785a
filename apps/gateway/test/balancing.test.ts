import { Agent, type RequestListener, request } from 'node:http'
import type { RouteRules } from '@skerry/contracts'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startGateway } from './helpers/gateway.ts'
import { startProcess } from './helpers/processes.ts'
import { startUpstream } from './helpers/upstream.ts'

const NO_LIMIT = { LIMIT_ADDRESS_BURST: '1000000', LIMIT_ADDRESS_PER_SECOND: '1000000' }

/** One request on a kept connection: its status, 0 when the connection broke. */
function ask(agent: Agent, url: string, method: string, headers: Record<string, string> = {}): Promise<number> {
  return new Promise((resolve) => {
    const asking = request(url, { agent, method, headers }, (answer) => {
      answer.resume()
      answer.once('close', () => resolve(answer.complete ? (answer.statusCode ?? 0) : 0))
    })
    asking.once('error', () => resolve(0))
    asking.end()
  })
}

/** Clients that ask one request after the other until they are stopped. Answers how often each status came. */
function startTraffic(url: string, methods: string[]) {
  const agent = new Agent({ keepAlive: true, maxSockets: 20 })
  const counts: Record<string, number> = {}
  let stopped = false
  const clients = Array.from({ length: 12 }, async (_, i) => {
    while (!stopped) {
      const method = methods[i % methods.length]!
      const key = `${method} ${await ask(agent, url, method)}`
      counts[key] = (counts[key] ?? 0) + 1
    }
  })
  const total = () => Object.values(counts).reduce((sum, count) => sum + count, 0)
  return {
    counts,
    total,
    /** Waits until so many more have been answered. */
    more: async (count: number) => {
      const from = total()
      await waitFor(() => total() >= from + count)
    },
    async stop() {
      stopped = true
      await Promise.all(clients)
      agent.destroy()
    }
  }
}

t.test('over two instances', async (t) => {
  const g = await startGateway(t, { env: NO_LIMIT })
  const held: (() => void)[] = []
  const answer: RequestListener = (request, response) => {
    if (request.url !== '/v1/posts/held') response.end('{}')
    else if (held.push(() => response.end('{}')) === 40) for (const end of held) end()
  }
  const one = await startUpstream(t, g.nc, { answer })
  const two = await startUpstream(t, g.nc, { answer })
  await g.live('content', 2)
  // All at once, and answered when all are there: what each has in line decides, not how fast the machine lets it answer.
  await Promise.all(Array.from({ length: 40 }, async () => (await fetch(`${g.url}/v1/posts/held`)).text()))
  t.equal(one.requests.length + two.requests.length, 40)
  t.ok(one.requests.length > 5 && two.requests.length > 5, `${one.requests.length} and ${two.requests.length}`)

  await one.leave()
  await g.live('content', 1)
  const before = one.requests.length
  for (let i = 0; i < 50; i++) await (await fetch(`${g.url}/v1/posts`)).text()
  t.equal(one.requests.length, before, 'one that left gets no more')
  await two.leave()
  await g.live('content', 0)
  const away = await fetch(`${g.url}/v1/posts`)
  t.equal(away.status, 503, 'announced before, now away')
  t.equal(away.headers.get('retry-after'), '1')
  t.match(await away.json(), { code: 'UNAVAILABLE' })
})

t.test('a slow instance gets less', async (t) => {
  const g = await startGateway(t, { env: NO_LIMIT })
  // Slow by the other's answers rather than by the clock: each request waits for 20 of them, or until nobody else asks.
  const held: { until: number; end: () => void }[] = []
  let asking = 8
  const release = () => {
    while (held[0] !== undefined && (fast.requests.length >= held[0].until || held.length >= asking))
      held.shift()?.end()
  }
  const fast = await startUpstream(t, g.nc, {
    answer: (_req, res) => {
      res.end('{}')
      release()
    }
  })
  const slow = await startUpstream(t, g.nc, {
    answer: (_req, res) => {
      held.push({ until: fast.requests.length + 20, end: () => res.end('{}') })
      release()
    }
  })
  await g.live('content', 2)
  await Promise.all(
    Array.from({ length: asking }, async () => {
      for (let i = 0; i < 40; i++) await (await fetch(`${g.url}/v1/posts`)).text()
      asking--
      release()
    })
  )
  t.ok(fast.requests.length > slow.requests.length * 3, `${fast.requests.length} and ${slow.requests.length}`)
})

t.test('an instance that is full is passed over, and all full is a 503', async (t) => {
  const g = await startGateway(t, { env: { ...NO_LIMIT, UPSTREAM_IN_FLIGHT: '2' } })
  const held: (() => void)[] = []
  const posts = await startUpstream(t, g.nc, { answer: (_req, res) => void held.push(() => res.end('{}')) })
  await g.live('content', 1)
  const two = [fetch(`${g.url}/v1/posts`), fetch(`${g.url}/v1/posts`)]
  await waitFor(() => posts.requests.length === 2)
  const third = await fetch(`${g.url}/v1/posts`)
  t.equal(third.status, 503)
  t.equal(third.headers.get('retry-after'), '1')
  for (const end of held) end()
  t.strictSame(
    (await Promise.all(two)).map((answer) => answer.status),
    [200, 200]
  )
})

t.test('what is tried again elsewhere', async (t) => {
  const g = await startGateway(t, { env: { ...NO_LIMIT, EJECT_MS: '1', EJECT_LONGEST_MS: '1' } })
  let broken = 0
  // It honours keys for its posts, and says so.
  const routes: RouteRules[] = [{ method: 'POST', path: '/v1/posts', auth: 'optional', idempotent: true }]
  const good = await startUpstream(t, g.nc, { routes })
  const bad = await startUpstream(t, g.nc, {
    routes,
    answer: (req) => {
      broken++
      req.socket.destroy()
    }
  })
  await g.live('content', 2)
  /** Asks until the bad instance was hit, and answers what the client saw then. */
  const whenHit = async (method: string, headers: Record<string, string> = {}) => {
    const before = broken
    for (;;) {
      const answer = await fetch(`${g.url}/v1/posts`, { method, headers })
      await answer.text()
      if (broken > before) return answer.status
    }
  }

  t.test('a connection that breaks before the answer', async (t) => {
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) t.equal(await whenHit(method), 200, method)
    t.equal(await whenHit('POST', { 'idempotency-key': 'k1' }), 200, 'POST with a key')
  })

  t.test('but nothing that may have been done already', async (t) => {
    let seen = 0
    const answer: RequestListener = (req) => {
      seen++
      req.socket.destroy()
    }
    for (let i = 0; i < 2; i++) await startUpstream(t, g.nc, { service: 'users', prefixes: ['/v1/users'], answer })
    await g.live('users', 2)
    for (const method of ['POST', 'PATCH']) t.equal((await fetch(`${g.url}/v1/users`, { method })).status, 502, method)
    t.equal(seen, 2, 'each was sent once')
  })

  t.test('a connection that is refused, for any method', async (t) => {
    bad.server.closeAllConnections()
    bad.server.close()
    const seen = good.requests.length
    for (let i = 0; i < 40; i++) {
      const answer = await fetch(`${g.url}/v1/posts`, { method: i % 2 ? 'POST' : 'GET' })
      t.equal(answer.status, 200)
      await answer.text()
    }
    t.equal(good.requests.length - seen, 40, 'each once')
    t.match(await g.metrics.text(), /skerry_gateway_retries_total\{[^}]*\} [1-9]/)
  })
})

t.test('one that cannot be reached is passed over for a while, and asked when it is the last', async (t) => {
  const g = await startGateway(t, {
    env: { ...NO_LIMIT, EJECT_MS: '60000', EJECT_LONGEST_MS: '60000', EJECT_FAILURES: '1' }
  })
  const good = await startUpstream(t, g.nc, {})
  let broken = 0
  let mended = false
  await startUpstream(t, g.nc, {
    answer: (req, res) => {
      if (mended) return res.end('{}')
      broken++
      req.socket.destroy()
    }
  })
  await g.live('content', 2)
  for (let i = 0; i < 60; i++) t.equal((await fetch(`${g.url}/v1/posts`)).status, 200)
  t.equal(broken, 1, 'once was enough')
  t.ok(g.lines.some((line) => line.msg === 'upstream ejected'))
  mended = true
  await good.leave()
  await g.live('content', 1)
  t.equal((await fetch(`${g.url}/v1/posts`)).status, 200, 'better one that failed than none')
})

t.test('real processes under traffic', async (t) => {
  const g = await startGateway(t, { env: NO_LIMIT })
  const env = (instance: string) => ({ ...g.stores.envFor('content'), SKERRY_INSTANCE: instance, LOG_LEVEL: 'warn' })
  const start = (instance: string) => startProcess(t, '../fixtures/tiny-service.ts', env(instance))
  const [first, second] = await Promise.all([start('1'), start('2')])
  await g.live('content', 2)

  t.test('SIGTERM of one loses no request', async (t) => {
    const traffic = startTraffic(`${g.url}/v1/posts`, ['GET', 'POST'])
    await traffic.more(200)
    first.child.kill('SIGTERM')
    t.equal(await first.exited, 0)
    await traffic.more(200)
    await traffic.stop()
    t.strictSame(Object.keys(traffic.counts).sort(), ['GET 200', 'POST 200'], JSON.stringify(traffic.counts))
  })

  t.test('kill -9 of one costs no request that may be repeated', async (t) => {
    await start('3')
    await g.live('content', 2)
    const traffic = startTraffic(`${g.url}/v1/posts`, ['GET', 'POST'])
    await traffic.more(200)
    second.child.kill('SIGKILL')
    await second.exited
    await traffic.more(400)
    await traffic.stop()
    const { counts } = traffic
    t.strictSame(
      Object.keys(counts).filter((key) => key.startsWith('GET')),
      ['GET 200'],
      JSON.stringify(counts)
    )
    const lost = Object.keys(counts).filter((key) => key.startsWith('POST') && key !== 'POST 200')
    t.ok(
      lost.every((key) => key === 'POST 502' || key === 'POST 503'),
      'the others get a problem, not a broken connection'
    )
    t.ok((counts['POST 502'] ?? 0) + (counts['POST 503'] ?? 0) <= 12, 'no more than were under way')
  })
})
