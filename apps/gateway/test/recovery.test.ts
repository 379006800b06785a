import { connectNats, ensureBuckets, publishIdentity } from '@skerry/service'
import { faultRun, useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { startProcess } from './helpers/processes.ts'
import { createIssuer } from './helpers/tokens.ts'
import { startUpstream } from './helpers/upstream.ts'

const run = faultRun({ short: 1, long: 1 })
t.setTimeout(run.limitMs)
const ROUNDS = run.long ? 5 : 1
/** What it takes is printed. This says that it does come back by itself, on a machine that is busy with other things. */
const BACK_MS = 60_000

t.test(
  'the limit of a service is back seconds after what lowered it has ended',
  { timeout: run.limitMs },
  async (t) => {
    const stores = await useStores(t)
    const nc = await connectNats({ ...stores.nats, name: 'recovery-test' })
    t.teardown(() => nc.close())
    await ensureBuckets(nc)
    await publishIdentity(nc).setJwks(createIssuer().jwks)
    let hang = false
    await startUpstream(t, nc, {
      // Reads are cut off soon, and lower the limit; writes of a machine that is busy with other things have time.
      routes: [
        { method: 'GET', path: '/v1/posts', auth: 'none', timeoutMs: 300 },
        { method: 'POST', path: '/v1/posts', auth: 'none', timeoutMs: 30_000 }
      ],
      answer: (_req, res) => {
        if (!hang) setTimeout(() => res.end('{}'), 5)
      }
    })
    const gateway = await startProcess(t, '../../src/main.ts', {
      ...{ ...stores.envFor('gateway'), PORT: '0', DRAIN_MS: '0', IDLE_KEPT_MS: '0' },
      ...{ LIMIT_EXEMPT: '127.0.0.1', HEALTH_INTERVAL_MS: '0', HEDGE_MIN_MS: '0' },
      // What lowers it are time-outs alone: a busy machine is slow without being attacked.
      CONCURRENCY_SLACK_MS: '60000'
    })
    const limit = async () => {
      const text = await (await fetch(`${gateway.ops}/metrics`)).text()
      return Number(
        /^skerry_gateway_concurrency_limit\{(?=[^}]*upstream="content")[^}]*\} ([\d.]+)/m.exec(text)?.[1] ?? 0
      )
    }
    const post = async () => (await fetch(`${gateway.url}/v1/posts`, { method: 'POST', body: 'x' })).status
    await waitFor(async () => (await post()) === 200)
    const before = await limit()
    const took: number[] = []
    for (let round = 1; round <= ROUNDS; round++) {
      hang = true
      await waitFor(
        async () => {
          await Promise.all(Array.from({ length: 20 }, () => fetch(`${gateway.url}/v1/posts`)))
          return (await limit()) < 6
        },
        { timeoutMs: 120_000, message: 'it is lowered' }
      )
      hang = false
      const since = performance.now()
      // Nobody asks meanwhile.
      await waitFor(async () => (await limit()) >= before, { timeoutMs: BACK_MS, message: `it is back at ${before}` })
      took.push(performance.now() - since)
      for (let i = 0; i < 3; i++) {
        const statuses = await Promise.all(Array.from({ length: 60 }, post))
        t.strictSame(new Set(statuses), new Set([200]), 'a burst of 60 loses nothing')
      }
    }
    t.comment(`back at ${before} after ${took.map(Math.round).join(', ')} ms`)
    t.equal(gateway.child.exitCode, null)
  }
)
