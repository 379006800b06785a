import { connectNats, ensureBuckets, publishIdentity } from '@skerry/service'
import { faultRun, useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { startGateway } from './helpers/gateway.ts'
import { goodputOf, type LoadRequest, median, runLoad } from './helpers/load.ts'
import { startProcess } from './helpers/processes.ts'
import { createIssuer } from './helpers/tokens.ts'
import { startUpstream } from './helpers/upstream.ts'

// Far below what the machine can do, as in overload.test.ts.
const WORKERS = 6
const SERVICE_MS = 120
/** Of one instance that is well, requests a second. */
const CAPACITY = (WORKERS / SERVICE_MS) * 1_000
const INSTANCES = 3
/** How well it goes is a figure of a quiet machine: `npm run test:faults -- gateway-slow-instance` asks for it. */
const run = faultRun({ short: 1, long: 1 })
t.setTimeout(run.limitMs)
/** Places in the service: one instance that kept those of all that it was sent would soon have them all. */
const PLACES = 5
/** Of each client: an instance that kept the places of what it was sent would have them all long before. */
const REQUESTS = 50

function mixed(index: number): LoadRequest {
  const path = '/v1/things'
  if (index % 4 > 0) return { method: 'GET', path }
  return { method: 'POST', path, headers: { 'content-type': 'application/json' }, body: '{}' }
}

t.test('one instance of three that answers nobody takes neither places nor answers of the others', async (t) => {
  const g = await startGateway(t, {
    env: {
      CONCURRENCY_INITIAL: String(PLACES),
      CONCURRENCY_MIN: String(PLACES),
      CONCURRENCY_MAX: String(PLACES),
      CONCURRENCY_IDLE: String(PLACES),
      // So that whoever finds no place waits for one.
      CONCURRENCY_WAIT_MS: '600000',
      LIMIT_EXEMPT: '127.0.0.0/8',
      HEDGE_MIN_MS: '20',
      HEDGE_COLD_MS: '20',
      RETRY_BUDGET_BURST: '1000',
      EJECT_MS: '600000',
      EJECT_LONGEST_MS: '600000',
      UPSTREAM_HEADERS_TIMEOUT_MS: '600000'
    }
  })
  const own = { service: 'things', prefixes: ['/v1/things'] }
  let left = 0
  const silent = await startUpstream(t, g.nc, {
    ...own,
    answer: (_request, response) => void response.once('close', () => left++)
  })
  await startUpstream(t, g.nc, own)
  await startUpstream(t, g.nc, own)
  await g.live('things', INSTANCES)
  const statuses = new Set<number>()
  // As many as reads have places, each with one request at a time.
  const clients = Array.from({ length: PLACES - 1 }, async () => {
    for (let i = 0; i < REQUESTS; i++) {
      const answer = await fetch(`${g.url}/v1/things`)
      await answer.arrayBuffer()
      statuses.add(answer.status)
    }
  })
  await Promise.all(clients)
  t.strictSame([...statuses], [200], 'whoever had asked it was answered by another')
  const there = silent.requests.length
  t.ok(there > 0, 'it was asked')
  await waitFor(() => left === there, { message: 'nothing is kept open there' })
  const inFlight = async () => (await g.metrics.text()).match(/^skerry_gateway_in_flight\{.*$/gm) ?? []
  await waitFor(async () => (await inFlight()).every((line) => line.endsWith(' 0')))
  t.equal((await inFlight()).length, INSTANCES)
})

// That one which is slow, not silent, does not lower the limit of all is held on a simulated clock in concurrency.test.ts. How much is done
// beside it by real processes is a figure.
t.test(
  'one slow instance of three, by real processes',
  { skip: !run.long && 'figures: npm run test:faults -- gateway-slow-instance', timeout: run.limitMs },
  async (t) => {
    const stores = await useStores(t)
    const nc = await connectNats({ ...stores.nats, name: 'slow-instance-test' })
    t.teardown(() => nc.close())
    await ensureBuckets(nc)
    await (await publishIdentity(nc)).setJwks(createIssuer().jwks)
    const start = (index: number) =>
      startProcess(t, '../fixtures/fixed-capacity.ts', {
        ...stores.envFor('things'),
        SKERRY_INSTANCE: String(index),
        LOG_LEVEL: 'warn',
        WORKERS: String(WORKERS),
        SERVICE_MS: String(SERVICE_MS)
      })
    const [slow] = await Promise.all(Array.from({ length: INSTANCES }, (_, index) => start(index)))
    const gateway = await startProcess(t, '../../src/main.ts', {
      ...stores.envFor('gateway'),
      PORT: '0',
      PRESSURE_TARGET_MS: '100',
      LOG_LEVEL: 'warn',
      LIMIT_EXEMPT: '127.0.0.0/8'
    })
    const live = `skerry_gateway_live_instances{upstream="things",service="gateway",instance="1"} ${INSTANCES}`
    await waitFor(async () => (await (await fetch(`${gateway.ops}/metrics`)).text()).includes(live))

    const others = (INSTANCES - 1) * CAPACITY
    /** What is answered, as a part of what the others alone can do. */
    const load = async (name: string, times: number, seconds: number): Promise<number> => {
      const result = await runLoad({ url: gateway.url, rate: times * others, seconds, slices: 5, request: mixed })
      const { 200: ok, 503: shed, ...rest } = result.statuses
      // A write that waits at an instance that answers nobody for a while is 504: it may not be sent elsewhere.
      t.strictSame(
        Object.keys(rest).filter((status) => status !== '504'),
        [],
        'nothing else comes out'
      )
      const part = median(result, goodputOf) / others
      t.comment(
        `${name}, ${times} × the others: ${part.toFixed(2)} of them, p50 ${ok?.p50.toFixed()} p99 ${ok?.p99.toFixed()} ms, ${shed?.count ?? 0} of ${result.offered} shed, ${rest[504]?.count ?? 0} × 504`
      )
      return part
    }
    // The limit is learned before anything becomes slow.
    await load('all well', 3, 5)
    // Slow enough to be ejected as an outlier, and not.
    for (const times of [10, 3]) {
      slow!.child.send({ serviceMs: times * SERVICE_MS })
      const below = await load(`${times} times slower`, 0.8, 15)
      t.ok(below >= 0.8 * 0.9, 'all that the others can do goes on being done')
      // A limit that the slow one had taken down to its least would leave a third.
      const over = await load(`${times} times slower`, 3, 15)
      t.ok(over >= 0.85, 'and under overload as well')
    }
  }
)
