import { waitFor } from '@skerry/testing'
import t from 'tap'
import { startGateway } from './helpers/gateway.ts'
import { startUpstream } from './helpers/upstream.ts'

t.test('the limit of a service is back seconds after what lowered it has ended', async (t) => {
  // What lowers it are time-outs alone: a busy machine is slow without being attacked.
  const g = await startGateway(t, { env: { LIMIT_EXEMPT: '127.0.0.1', CONCURRENCY_SLACK_MS: '60000' } })
  let hang = false
  await startUpstream(t, g.nc, {
    // Reads are cut off soon, and lower the limit; writes of a machine that is busy with other things have time.
    routes: [
      { method: 'GET', path: '/v1/posts', auth: 'none', timeoutMs: 300 },
      { method: 'POST', path: '/v1/posts', auth: 'none', timeoutMs: 30_000 }
    ],
    answer: (_req, res) => {
      if (!hang) setTimeout(() => res.end('{}'), 5)
    }
  })
  await g.live('content', 1)
  const limit = async () =>
    Number(/skerry_gateway_concurrency_limit\{[^}]*\} ([\d.]+)/.exec(await g.metrics.text())?.[1] ?? 0)
  const post = async () => (await fetch(`${g.url}/v1/posts`, { method: 'POST', body: 'x' })).status
  t.equal(await post(), 200)
  const before = await limit()

  hang = true
  await waitFor(
    async () => {
      await Promise.all(Array.from({ length: 20 }, () => fetch(`${g.url}/v1/posts`)))
      return (await limit()) < 6
    },
    { timeoutMs: 120_000 }
  )
  hang = false
  const since = performance.now()
  // Nobody asks meanwhile.
  await waitFor(async () => (await limit()) >= before)
  t.comment(`back at ${before} after ${Math.round(performance.now() - since)} ms`)
  for (let i = 0; i < 3; i++) {
    const statuses = await Promise.all(Array.from({ length: 60 }, post))
    t.strictSame(new Set(statuses), new Set([200]), 'a burst of 60 loses nothing')
  }
})
