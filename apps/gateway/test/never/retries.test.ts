import type { RequestListener } from 'node:http'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startBare } from '../helpers/bare.ts'
import { startGateway } from '../helpers/gateway.ts'
import { startUpstream } from '../helpers/upstream.ts'

/** What one HTTP client of reply-from may have open to an upstream. */
const BARE_CONNECTIONS = 128

t.test('a service that answers 503', async (t) => {
  const g = await startGateway(t, { env: { LIMIT_EXEMPT: '127.0.0.1', HEALTH_INTERVAL_MS: '0' } })
  const busy =
    (headers: Record<string, string>, body = ''): RequestListener =>
    (_request, response) =>
      response.writeHead(503, headers).end(body)

  t.test('one GET is one call, with one instance', async (t) => {
    const only = await startUpstream(t, g.nc, { service: 'one', prefixes: ['/v1/one'], answer: busy({}) })
    await g.live('one', 1)
    t.equal((await fetch(`${g.url}/v1/one`)).status, 503)
    t.equal(only.requests.length, 1)

    const bare = await startBare(t, only.url)
    only.requests.length = 0
    t.equal((await fetch(`${bare.url}/v1/one`)).status, 503)
    t.equal(only.requests.length, 11, 'the bare package calls eleven times')
  })

  t.test('one GET is at most two calls, with two instances, and a POST is one', async (t) => {
    const own = { service: 'two', prefixes: ['/v1/two'], answer: busy({}) }
    const [a, b] = [await startUpstream(t, g.nc, own), await startUpstream(t, g.nc, own)]
    await g.live('two', 2)
    t.equal((await fetch(`${g.url}/v1/two`)).status, 503)
    t.ok(a.requests.length <= 1 && b.requests.length <= 1, `${a.requests.length} and ${b.requests.length} calls`)
    const before = a.requests.length + b.requests.length
    t.equal((await fetch(`${g.url}/v1/two`, { method: 'POST', body: 'x' })).status, 503)
    t.equal(a.requests.length + b.requests.length, before + 1)
  })

  t.test('Retry-After is in seconds', async (t) => {
    const own = { service: 'later', prefixes: ['/v1/later'] }
    const away = await startUpstream(t, g.nc, { ...own, answer: busy({ 'retry-after': '60' }) })
    const well = await startUpstream(t, g.nc, own)
    await g.live('later', 2)
    const ask = async () => (await (await fetch(`${g.url}/v1/later`)).arrayBuffer()).byteLength
    await waitFor(async () => {
      await ask()
      return away.requests.length > 0
    })
    // Far longer than 60 ms, far shorter than a minute.
    const until = performance.now() + 250
    well.requests.length = 0
    while (performance.now() < until || well.requests.length <= 100) await ask()
    t.equal(away.requests.length, 1, 'an instance that asked for a minute is left alone')

    const told = await startUpstream(t, g.nc, { announced: false, answer: busy({ 'retry-after': '5' }) })
    const bare = await startBare(t, told.url)
    const answer = await fetch(`${bare.url}/v1/later`)
    t.equal(answer.headers.get('retry-after'), '5')
    t.strictSame(
      await bare.waits(),
      Array.from({ length: 10 }, () => '5'),
      'the bare package waits for 5 ms each time'
    )
  })

  t.test('40 at once with 100 KB each are all answered', async (t) => {
    const answer = busy({ 'retry-after': '0', 'content-type': 'text/plain' }, 'x'.repeat(100_000))
    const large = await startUpstream(t, g.nc, { service: 'large', prefixes: ['/v1/large'], answer })
    await g.live('large', 1)
    const ask = async (url: string, init: RequestInit = {}) => {
      const each = await fetch(`${url}/v1/large`, init)
      await each.arrayBuffer()
      return each.status
    }
    const forty = (url: string, init?: RequestInit) => Array.from({ length: 40 }, () => ask(url, init))
    t.strictSame(new Set(await Promise.all(forty(g.url))), new Set([503]))
    t.ok(large.requests.length <= 40, `${large.requests.length} calls`)

    const upstream = await startUpstream(t, g.nc, { announced: false, answer })
    let connections = 0
    upstream.server.on('connection', () => connections++)
    const bare = await startBare(t, upstream.url)
    const stop = new AbortController()
    const hung = Promise.allSettled(forty(bare.url, { signal: stop.signal }))
    await waitFor(() => connections === BARE_CONNECTIONS)
    await t.rejects(
      ask(bare.url, { signal: AbortSignal.timeout(2_000) }),
      { name: 'TimeoutError' },
      'the bare package hangs: each of its connections holds an answer that nobody reads'
    )
    t.equal(upstream.requests.length, BARE_CONNECTIONS)
    stop.abort()
    t.ok((await hung).every(({ status }) => status === 'rejected'))
  })
})
