import { waitFor } from '@skerry/testing'
import t from 'tap'
import { createTraffic } from '../src/traffic/traffic.ts'
import { startGateway } from './helpers/gateway.ts'
import { startUpstream } from './helpers/upstream.ts'

t.test('versions side by side', async (t) => {
  const traffic = createTraffic()
  const g = await startGateway(t, {
    env: { LIMIT_ADDRESS_BURST: '1000000', LIMIT_USER_BURST: '1000000' },
    traffic
  })
  const start = (version: string) =>
    startUpstream(t, g.nc, {
      version,
      routes: [
        { method: 'GET', path: '/v1/posts/kept', auth: 'none', cache: { scope: 'public', ttl: 60 } },
        { method: 'GET', path: '/v1/posts/file', auth: 'none', body: 'stream' },
        { method: 'PUT', path: '/v1/posts/file', auth: 'none', body: 'stream' }
      ],
      answer: (_req, res) => void res.setHeader('content-type', 'application/json').end(JSON.stringify({ version }))
    })
  const old = await start('1.0.0')
  const canary = await start('2.0.0')
  await g.live('content', 2)
  const versionFor = async (headers: Record<string, string> = {}, method = 'GET') =>
    ((await (await fetch(`${g.url}/v1/posts`, { headers, method })).json()) as { version: string }).version
  const shareOfCanary = async (count: number) => {
    let hits = 0
    for (let i = 0; i < count; i++) if ((await versionFor()) === '2.0.0') hits++
    return hits / count
  }

  t.test('a weight for the canary', async (t) => {
    traffic.set('content', { weights: { '2.0.0': 5 } })
    const share = await shareOfCanary(600)
    t.ok(share > 0.01 && share < 0.11, `${share}`)
    const bearer = g.issuer.bearer()
    const first = await versionFor(bearer)
    for (let i = 0; i < 20; i++) t.equal(await versionFor(bearer), first, 'a user stays where it is')
    traffic.set('content', { weights: { '2.0.0': 0 } })
    t.equal(await shareOfCanary(50), 0)
    t.equal(await versionFor({ 'x-skerry-version': '2.0.0' }), '2.0.0', 'but who asks for it gets it')
    t.equal(await versionFor({ 'x-skerry-version': '9.9.9' }), '1.0.0')
  })

  t.test('testers by a header', async (t) => {
    traffic.set('content', { weights: { '2.0.0': 0 }, headers: { 'x-tester': '2.0.0' } })
    t.equal(await versionFor({ 'x-tester': '1' }, 'POST'), '2.0.0')
    t.equal(await versionFor({}, 'POST'), '1.0.0')
  })

  t.test('a shadow gets copies of reads, and nobody hears it', async (t) => {
    traffic.set('content', { mirror: { version: '2.0.0', percent: 100 } })
    const before = canary.requests.length
    for (let i = 0; i < 10; i++) t.equal(await versionFor(), '1.0.0')
    t.equal(await versionFor({}, 'POST'), '1.0.0')
    await waitFor(() => canary.requests.length === before + 10)
    t.ok(canary.requests.slice(before).every((one) => one.headers['x-skerry-mirror'] === '1' && one.method === 'GET'))
  })

  t.test('it gets none of those whose bodies pass through', async (t) => {
    const before = { old: old.requests.length, canary: canary.requests.length }
    const file = (init: RequestInit) => fetch(`${g.url}/v1/posts/file`, init).then((answer) => answer.json())
    t.same(await file({}), { version: '1.0.0' })
    t.same(await file({ method: 'PUT', body: 'abc' }), { version: '1.0.0' })
    t.equal(old.requests.length, before.old + 2)
    // Nothing else is on its way when this one has come.
    t.equal(await versionFor(), '1.0.0')
    await waitFor(() => canary.requests.length > before.canary)
    t.strictSame(
      canary.requests.slice(before.canary).map(({ url }) => url),
      ['/v1/posts']
    )
  })

  t.test('of reads through the cache it gets what goes to the service, and not what is kept', async (t) => {
    const kept = '/v1/posts/kept?mirrored'
    const copies = (from: number) => canary.requests.slice(from).filter(({ url }) => url === kept)
    const before = { old: old.requests.length, canary: canary.requests.length }
    const read = async () => ((await (await fetch(`${g.url}${kept}`)).json()) as { version: string }).version
    t.same(new Set(await Promise.all(Array.from({ length: 10 }, read))), new Set(['1.0.0']))
    t.equal(await read(), '1.0.0')
    t.equal(old.requests.length - before.old, 1, 'one for all')
    await waitFor(() => copies(before.canary).length > 0)
    // Nothing else is on its way when this one has come.
    t.equal(await versionFor(), '1.0.0')
    await waitFor(() => canary.requests.some(({ url }, i) => i >= before.canary && url === '/v1/posts'))
    t.equal(copies(before.canary).length, 1, 'and so one copy')
    t.match(copies(before.canary)[0]?.headers, { 'x-skerry-mirror': '1' })
  })

  t.test('answers are kept for each version apart', async (t) => {
    // Both are named: a version that rules do not name cannot be asked for, and would be drawn.
    traffic.set('content', { weights: { '1.0.0': 50, '2.0.0': 50 } })
    const seen = new Set<string>()
    const before = old.requests.length + canary.requests.length
    for (let i = 0; i < 200; i++) {
      const answer = await fetch(`${g.url}/v1/posts/kept`)
      const { version } = (await answer.json()) as { version: string }
      seen.add(version)
    }
    t.equal(seen.size, 2)
    t.equal(old.requests.length + canary.requests.length - before, 2, 'once each')
    t.equal(await versionFor({ 'x-skerry-version': '1.0.0' }), '1.0.0')
  })

  t.test('no rules, and nobody of a version', async (t) => {
    traffic.set('content', { weights: { '2.0.0': 1 } })
    await old.leave()
    await g.live('content', 1)
    t.equal(await shareOfCanary(20), 1, 'who is left serves all')
    traffic.set('content', undefined)
    t.equal(await versionFor(), '2.0.0')
  })
})
