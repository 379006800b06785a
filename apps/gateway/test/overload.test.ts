import type { ServerResponse } from 'node:http'
import { authRoutes, rulesOf } from '@skerry/contracts'
import { connectNats, ensureBuckets, publishIdentity } from '@skerry/service'
import { faultRun, useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { startGateway } from './helpers/gateway.ts'
import { goodputOf, type LoadRequest, type LoadResult, median, runLoad } from './helpers/load.ts'
import { startProcess } from './helpers/processes.ts'
import { createIssuer } from './helpers/tokens.ts'
import { startUpstream } from './helpers/upstream.ts'

// Far below what the machine can do, so that the service is what is overloaded, also on a machine with other work.
const WORKERS = 6
const SERVICE_MS = 120
const CAPACITY = (WORKERS / SERVICE_MS) * 1_000

const run = faultRun({ short: 1, long: 1 })
t.setTimeout(run.limitMs)

const JSON_BODY = { 'content-type': 'application/json' }

/** Each phase is seen in so many parts, of which the median counts: a pause of the machine belongs to none of the programs here. */
const SLICES = 5
type Slice = LoadResult['slices'][number]
const p99Of = ({ statuses }: Slice) => statuses[200]?.p99 ?? Number.POSITIVE_INFINITY

/** A crawler in five, a write in seven, reads else. */
function mixed(index: number): LoadRequest {
  const path = '/v1/things'
  if (index % 20 < 3) return { method: 'POST', path, headers: JSON_BODY, body: '{}', name: 'write' }
  if (index % 20 < 7) return { method: 'GET', path, headers: { 'user-agent': 'examplebot' }, name: 'crawler' }
  return { method: 'GET', path, name: 'read' }
}

/** What a service with 20 places takes of each kind, in the order in which the others meet the end of it. */
const KINDS = [
  {
    name: 'crawlers',
    priority: 'low',
    path: '/v1/things',
    init: { headers: { 'user-agent': 'examplebot' } },
    places: 12
  },
  { name: 'reads', priority: 'normal', path: '/v1/things', init: {}, places: 17 },
  {
    name: 'writes',
    priority: 'high',
    path: '/v1/things',
    init: { method: 'POST', headers: JSON_BODY, body: '{}' },
    places: 19
  },
  { name: 'what is critical', priority: 'critical', path: '/v1/things/vital', init: {}, places: 20 }
]
const PLACES = 20

t.test('what has no place in a service is refused at once, what matters least first', async (t) => {
  const g = await startGateway(t, {
    env: {
      CONCURRENCY_INITIAL: String(PLACES),
      CONCURRENCY_IDLE: String(PLACES),
      CONCURRENCY_MIN: String(PLACES),
      CONCURRENCY_MAX: String(PLACES),
      CONCURRENCY_WAITING: '1',
      CONCURRENCY_WAIT_MS: '1',
      CONCURRENCY_CRITICAL_WAIT_MS: '1',
      LIMIT_EXEMPT: '127.0.0.0/8',
      UPSTREAM_HEADERS_TIMEOUT_MS: '600000',
      // One that a busy machine connects late has its place all the same.
      UPSTREAM_CONNECT_TIMEOUT_MS: '60000'
    }
  })
  let held: ServerResponse[] | undefined = []
  const service = await startUpstream(t, g.nc, {
    service: 'things',
    prefixes: ['/v1/things'],
    routes: [{ method: 'GET', path: '/v1/things/vital', auth: 'none', priority: 'critical' }],
    answer: (_request, response) => void (held === undefined ? response.end('{}') : held.push(response))
  })
  await g.live('things', 1)
  const ask = async ({ path, init }: (typeof KINDS)[number]) => {
    const answer = await fetch(`${g.url}${path}`, init)
    return { status: answer.status, retryAfter: answer.headers.get('retry-after'), text: await answer.text() }
  }
  const letIn: Promise<Awaited<ReturnType<typeof ask>>>[] = []
  let before = 0
  for (const kind of KINDS) {
    const refused: Awaited<ReturnType<typeof ask>>[] = []
    const room = kind.places - before
    const asked = Array.from({ length: 10 * PLACES }, () => ask(kind))
    for (const one of asked) one.then((answer) => void refused.push(answer))
    await waitFor(() => refused.length >= asked.length - room && held!.length === kind.places, { message: kind.name })
    t.equal(service.requests.length, kind.places, `${kind.name} have their share`)
    t.strictSame([...new Set(refused.map(({ status }) => status))], [503])
    t.ok(refused.every(({ retryAfter, text }) => Number(retryAfter) >= 1 && JSON.parse(text).code === 'UNAVAILABLE'))
    letIn.push(...asked)
    before = kind.places
  }
  const metrics = await g.metrics.text()
  for (const [i, { priority, places }] of KINDS.entries()) {
    const shed = 10 * PLACES - (places - (KINDS[i - 1]?.places ?? 0))
    t.match(
      metrics,
      new RegExp(`shed_total\\{(?=[^}]*reason="concurrency")(?=[^}]*priority="${priority}")[^}]*\\} ${shed}\n`)
    )
  }
  const answers = held
  held = undefined
  for (const response of answers) response.end('{}')
  const statuses = (await Promise.all(letIn)).map(({ status }) => status)
  t.equal(statuses.filter((status) => status === 200).length, PLACES, 'who was let in is answered')
  t.equal(statuses.filter((status) => status === 503).length, 4 * 10 * PLACES - PLACES)
  for (const kind of KINDS) t.equal((await ask(kind)).status, 200, 'when it is over, it is over')
})

// That the limit is learned, and how well all goes at ten times the capacity, is held on a simulated clock in concurrency.test.ts. Of real
// processes these are figures of a quiet machine: `npm run test:faults -- gateway-overload` asks for them.
t.test(
  'ten times the capacity of a service, by real processes',
  { skip: !run.long && 'figures: npm run test:faults -- gateway-overload', timeout: run.limitMs },
  async (t) => {
    const stores = await useStores(t)
    const nc = await connectNats({ ...stores.nats, name: 'overload-test' })
    t.teardown(() => nc.close())
    await ensureBuckets(nc)
    await (await publishIdentity(nc)).setJwks(createIssuer().jwks)
    await startProcess(t, '../fixtures/fixed-capacity.ts', {
      ...stores.envFor('things'),
      LOG_LEVEL: 'warn',
      WORKERS: String(WORKERS),
      SERVICE_MS: String(SERVICE_MS)
    })
    const gateway = await startProcess(t, '../../src/main.ts', {
      ...stores.envFor('gateway'),
      PORT: '0',
      PRESSURE_TARGET_MS: '100',
      LOG_LEVEL: 'warn',
      LIMIT_EXEMPT: '127.0.0.0/8'
    })
    await waitFor(async () => (await fetch(`${gateway.url}/v1/things`)).status === 200)

    const load = async (times: number, seconds: number, skipSeconds: number, slices = 1): Promise<LoadResult> => {
      const rate = times * CAPACITY
      const result = await runLoad({ url: gateway.url, rate, seconds, skipSeconds, slices, request: mixed })
      const { 200: ok, 503: shed, ...others } = result.statuses
      t.comment(
        `${times} × capacity: ${Math.round(result.goodput)}/s answered, p50 ${ok?.p50.toFixed()} p99 ${ok?.p99.toFixed()} ms; ${shed?.count ?? 0} shed, p99 ${shed?.p99.toFixed()} ms; ${JSON.stringify({ ...others, ...result.errors, unsent: result.unsent })}`
      )
      return result
    }

    const normal = await load(0.6, 16, 1, SLICES)
    t.ok((normal.statuses[503]?.count ?? 0) <= normal.offered / 100, 'nothing is shed when nothing has to be')
    const peak = await load(1.5, 17, 2, SLICES)
    const tenfold = await load(10, 17, 2, SLICES)
    // What came in before a phase and is answered in it is not what the service can do.
    const goodput = median(tenfold, goodputOf) / Math.min(CAPACITY, median(peak, goodputOf))
    const p99 = median(tenfold, p99Of) / median(normal, p99Of)
    t.comment(`goodput at 10 × / peak: ${goodput.toFixed(2)}; admitted p99 at 10 × / normal: ${p99.toFixed(2)}`)
    t.comment(
      `goodput of the parts: ${tenfold.slices.map((one) => Math.round(one.goodput))}, p99 ${tenfold.slices.map((one) => Math.round(p99Of(one)))} ms`
    )
    t.ok(goodput >= 0.9, 'goodput')
    t.ok(p99 <= 3, 'p99 of what was let in')
    const after = await load(0.6, 6, 2)
    t.ok((after.statuses[503]?.count ?? 0) <= after.offered / 50, 'and when it is over, it is over')
    const { 200: answered, 503: shed, ...others } = tenfold.statuses
    t.ok((shed?.count ?? 0) > tenfold.offered / 2, 'most is shed')
    t.ok((answered?.count ?? 0) > 0, 'and the service goes on answering')
    t.strictSame(others, {}, 'nothing else comes out')
    const part = (name: string) => (tenfold.names[name]?.[200] ?? 0) / (tenfold.names[name]?.[503] ?? 1)
    t.ok(part('write') > part('read') && part('read') >= part('crawler'), 'writes before reads before crawlers')
  }
)

t.test('a flood of what is expensive refuses nothing that is not', async (t) => {
  const g = await startGateway(t, {
    env: {
      ...{ CONCURRENCY_INITIAL: '4', CONCURRENCY_IDLE: '4', CONCURRENCY_MIN: '4', CONCURRENCY_MAX: '4' },
      ...{ CONCURRENCY_WAITING: '1', CONCURRENCY_WAIT_MS: '1', CONCURRENCY_CRITICAL_WAIT_MS: '1' },
      ...{ LIMIT_EXEMPT: '127.0.0.0/8', UPSTREAM_HEADERS_TIMEOUT_MS: '600000' }
    }
  })
  const held: ServerResponse[] = []
  await startUpstream(t, g.nc, {
    service: 'auth',
    prefixes: ['/v1/auth'],
    routes: rulesOf([authRoutes.login, authRoutes.refresh]),
    answer: (request, response) => {
      if (request.url === '/v1/auth/login') held.push(response)
      else response.end('{}')
    }
  })
  await g.live('auth', 1)
  const post = async (path: string) =>
    (await fetch(`${g.url}${path}`, { method: 'POST', headers: JSON_BODY, body: '{}' })).status
  const logins = Array.from({ length: 64 }, () => post('/v1/auth/login'))
  const refused = Promise.all(logins).then((statuses) => statuses.filter((status) => status === 503).length)
  await waitFor(() => held.length === 4)
  for (let i = 0; i < 20; i++) t.equal(await post('/v1/auth/refresh'), 200)
  t.match(await g.metrics.text(), /^skerry_gateway_concurrency_limit\{upstream="auth:sign-in"[^}]*\} 4$/m)
  for (const response of held) response.end('{}')
  t.equal(await refused, 60)
})
