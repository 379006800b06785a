import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { connectNats, ensureBuckets, publishIdentity } from '@skerry/service'
import { faultRun, useStores, waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { Agent, request } from 'undici'
import { type Origin, startOrigin } from './helpers/origin.ts'
import { type AppProcess, startProcess } from './helpers/processes.ts'
import { createIssuer } from './helpers/tokens.ts'
import { startUpstream } from './helpers/upstream.ts'

/**
 * What clients are assumed to do: they keep connections, send one request at a time on each, do not use a connection again whose last
 * answer said `connection: close`, and never send a request a second time. undici's Agent is one; any request that fails is lost.
 */
const MAIN = '../../src/main.ts'
const run = faultRun({ short: 1, long: 1 })
const restarts = run.long ? 20 : 2
/** Of workers with a spare: the first one, and one that was a spare before. */
const deaths = run.long ? 3 : 2
/** The longest pause of busy clients between two requests. */
const PAUSE_MS = run.long ? 2 : 100
t.setTimeout(run.limitMs)

// Idle connections are kept far longer than any client pauses, also when a busy machine makes a client late by many seconds: once each
// client has used its connection again a worker ends at once.
const env = {
  ...{ PORT: '0', LIMIT_EXEMPT: '127.0.0.0/8', LOG_LEVEL: 'info' },
  ...{ DRAIN_MS: '200', IDLE_KEPT_MS: '60000', SHUTDOWN_MS: '90000' },
  // An origin that a busy machine makes late is no reason to refuse anybody here, nor are connections to it that a new worker is late to see.
  ...{ CONCURRENCY_MIN: '1000', UPSTREAM_CONNECT_TIMEOUT_MS: '60000', HEALTH_TIMEOUT_MS: '30000' }
}
type Line = { pid: number; instance: string; msg: string; ops?: string; level: number }
/** What each has logged, as far as it was read: whoever waits asks many times. */
const read = new WeakMap<AppProcess, { upTo: number; lines: Line[] }>()

function linesOf(gateway: AppProcess): Line[] {
  const known = read.get(gateway) ?? { upTo: 0, lines: [] }
  const output = gateway.output()
  const end = output.lastIndexOf('\n') + 1
  const more = output.slice(known.upTo, end).split('\n')
  for (const line of more) if (line.startsWith('{')) known.lines.push(JSON.parse(line))
  read.set(gateway, { upTo: Math.max(known.upTo, end), lines: known.lines })
  return known.lines
}
const count = (gateway: AppProcess, msg: string) => linesOf(gateway).filter((line) => line.msg === msg).length

/** Clients of every kind, each until it is told to stop. */
function startLoad(url: string) {
  const agents: Agent[] = []
  const answers = { answered: 0, failures: [] as string[], kinds: {} as Record<string, number> }
  let stopped = false
  const one = async (
    kind: string,
    agent: Agent,
    options: { method: 'GET' | 'POST'; body?: string; headers?: Record<string, string> }
  ) => {
    try {
      const answer = await request(`${url}/feed/${kind}`, { dispatcher: agent, ...options })
      const text = await answer.body.text()
      if (answer.statusCode !== 200 || text !== `/feed/${kind} origin`)
        answers.failures.push(`${kind}: ${answer.statusCode} ${text}`)
      answers.answered++
      answers.kinds[kind] = (answers.kinds[kind] ?? 0) + 1
    } catch (error) {
      answers.failures.push(`${kind}: ${(error as NodeJS.ErrnoException).code} ${(error as Error).message}`)
    }
  }
  const client = async (kind: string, pauseMs: number, options: Parameters<typeof one>[2]) => {
    const random = run.random(1, `client ${agents.length}`)
    const agent = new Agent({ connections: 1, pipelining: 1 })
    agents.push(agent)
    while (!stopped) {
      await one(kind, agent, options)
      await new Promise((resolve) => setTimeout(resolve, pauseMs * random()))
    }
  }
  const body = 'x'.repeat(20_000)
  const clients = [
    ...[1, 2, 3, 4].map(() => client('busy', PAUSE_MS, { method: 'GET' })),
    ...[1, 2].map(() => client('writing', PAUSE_MS, { method: 'POST', body })),
    // Their connections are idle when the gateway leaves, and the next request is on its way at any moment after.
    ...Array.from({ length: 8 }, () => client('thoughtful', 1_000, { method: 'POST', body: '{}' })),
    ...[1, 2].map(() => client('new', PAUSE_MS, { method: 'GET', headers: { connection: 'close' } }))
  ]
  const stop = async () => {
    stopped = true
    await Promise.all(clients)
    await Promise.all(agents.map((agent) => agent.destroy()))
  }
  return { answers, stop }
}

async function rollUnderLoad(
  t: Test,
  options: {
    workers: number
    rounds: number
    settings?: Record<string, string>
    origin?: Origin
    /** What else is asked of the gateway, ahead of all and behind it. */
    first?(gateway: AppProcess): Promise<void>
    last?(gateway: AppProcess): Promise<void>
  }
): Promise<void> {
  const { workers, rounds, origin = await startOrigin(t, 'origin'), first, last } = options
  const gateway = await startProcess(t, MAIN, {
    ...env,
    ...(options.settings ?? { ROUTES: `/feed=${origin.url}` }),
    WORKERS: String(workers),
    ROLLING: 'true'
  })
  t.equal(count(gateway, 'ready'), workers + 1, 'each worker, and then the primary')
  await first?.(gateway)
  const { answers, stop } = startLoad(gateway.url)
  try {
    for (let round = 1; round <= rounds; round++) {
      const before = answers.answered
      await waitFor(() => answers.answered > before + 100, {
        timeoutMs: 120_000,
        message: '100 more requests are answered'
      })
      gateway.child.kill('SIGHUP')
      await waitFor(() => count(gateway, 'stopped') === round * workers, {
        timeoutMs: 120_000,
        message: `${round * workers} workers have ended`
      })
      t.comment(`progress ${round}/${rounds} restarts of ${workers} workers`)
    }
    const after = answers.answered
    await waitFor(() => answers.answered > after + 100, { timeoutMs: 120_000, message: '100 more requests after all' })
  } catch (error) {
    t.comment(gateway.output().slice(-4_000))
    throw error
  } finally {
    await stop()
  }
  t.same(answers.failures, [], 'no request is lost')
  t.same(Object.keys(answers.kinds).sort(), ['busy', 'new', 'thoughtful', 'writing'])
  // Reads may be hedged, and checks come in between.
  const writes = origin.requests.filter(({ method }) => method === 'POST').length
  t.equal(writes, answers.kinds.writing! + answers.kinds.thoughtful!, 'and no write is sent twice')
  t.equal(count(gateway, 'worker replaced'), rounds * workers)
  t.same(
    linesOf(gateway).filter(({ level }) => level > 40),
    []
  )
  t.comment(`${answers.answered} requests over ${rounds} restarts: ${JSON.stringify(answers.kinds)}`)
  await last?.(gateway)
  gateway.child.kill('SIGTERM')
  t.equal(await gateway.exited, 0)
}

t.test(`${restarts} rolling restarts of a single worker under load lose no request`, { timeout: run.limitMs }, (t) =>
  rollUnderLoad(t, { workers: 1, rounds: restarts })
)

t.test('rolling restarts of two workers under load lose no request', { timeout: run.limitMs }, (t) => {
  const readyOf = (gateway: AppProcess) => linesOf(gateway).filter(({ msg }) => msg === 'ready')
  return rollUnderLoad(t, {
    ...{ workers: 2, rounds: run.long ? 10 : 1 },
    async first(gateway) {
      const ready = readyOf(gateway)
      t.equal(new Set(ready.map(({ ops }) => ops)).size, 3, 'workers share a port and have operations of their own')
      t.equal(new Set(ready.map(({ pid }) => pid)).size, 3)
      t.equal(ready.at(-1)?.ops, gateway.ops, 'and the primary speaks for all')
      t.equal((await fetch(`${gateway.ops}/readyz`)).status, 200)
      const metrics = await (await fetch(`${gateway.ops}/metrics`)).text()
      t.match(metrics, /^skerry_gateway_workers\{service="gateway",instance="1"\} 2$/m)
      for (const instance of ['1-1', '1-2'])
        t.match(
          metrics,
          new RegExp(
            `^skerry_gateway_live_instances\\{upstream="feed",service="gateway",instance="${instance}"\\} 1$`,
            'm'
          )
        )
      t.equal(metrics.match(/^# TYPE skerry_gateway_live_instances /gm)?.length, 1)
    },
    async last(gateway) {
      // Both at once: then nobody listens, and the port is the same when they are back.
      const before = readyOf(gateway)
      for (const { pid } of before.slice(-2)) process.kill(pid, 'SIGKILL')
      await waitFor(() => readyOf(gateway).length === before.length + 2, { timeoutMs: 60_000 })
      t.equal(await (await fetch(`${gateway.url}/feed`, { headers: { connection: 'close' } })).text(), '/feed origin')
      t.equal(count(gateway, 'worker exited unexpectedly: starting a replacement'), 2)
    }
  })
})

t.test('so it is where services announce themselves: a new worker knows them before it listens', async (t) => {
  const stores = await useStores(t)
  const nc = await connectNats({ ...stores.nats, name: 'rolling-test' })
  t.teardown(() => nc.close())
  await ensureBuckets(nc)
  await publishIdentity(nc).setJwks(createIssuer().jwks)
  const origin = await startUpstream(t, nc, {
    prefixes: ['/feed'],
    answer: (request, response) => response.end(`${request.url} origin`)
  })
  await rollUnderLoad(t, { workers: 1, rounds: 1, settings: stores.envFor('gateway'), origin })
})

t.test('a worker that dies is replaced by the spare: nobody who comes meanwhile is refused', async (t) => {
  const origin = await startOrigin(t, 'origin')
  const settings = { ...env, ROUTES: `/feed=${origin.url}`, SPARE: 'true' }
  const gateway = await startProcess(t, MAIN, settings)
  const ask = async () => {
    const answer = await fetch(`${gateway.url}/feed`, {
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(30_000)
    })
    return answer.text()
  }
  const children = async () =>
    (await readFile(`/proc/${gateway.child.pid}/task/${gateway.child.pid}/children`, 'utf8'))
      .trim()
      .split(' ')
      .map(Number)
  const worker = () => linesOf(gateway).findLast(({ msg, instance }) => msg === 'ready' && instance !== '1')!.pid
  for (let round = 1; round <= deaths; round++) {
    await waitFor(async () => (await children()).length === 2, { timeoutMs: 60_000, message: 'a spare waits' })
    const spare = (await children()).find((pid) => pid !== worker())!
    // Its code is loaded when it sleeps.
    await waitFor(async () => / S /.test(await readFile(`/proc/${spare}/stat`, 'utf8')))
    const before = worker()
    process.kill(before, 'SIGKILL')
    const answers = await Promise.all(Array.from({ length: 20 }, ask))
    t.same(new Set(answers), new Set(['/feed origin']), 'the port stays, and its queue')
    t.not(worker(), before)
    t.ok((await children()).includes(worker()))
  }
  t.equal(count(gateway, 'worker exited unexpectedly: starting a replacement'), deaths)

  // A restart takes the code that is there now, for the spare as well.
  await waitFor(async () => (await children()).length === 2, { timeoutMs: 60_000 })
  const old = await children()
  gateway.child.kill('SIGHUP')
  await waitFor(
    async () => {
      const now = await children()
      return now.length === 2 && !now.some((pid) => old.includes(pid))
    },
    { timeoutMs: 60_000 }
  )
  t.equal(await ask(), '/feed origin')

  await t.test('a primary that is killed leaves the port to the next one', async (t) => {
    // Its worker waits for a client that is in no hurry, long after it has heard that its primary is gone.
    const idle = connect(Number(new URL(gateway.url).port), '127.0.0.1')
    t.teardown(() => idle.destroy())
    idle.resume().write('GET /feed HTTP/1.1\r\nhost: x\r\n\r\n')
    await once(idle, 'connect')
    gateway.child.kill('SIGKILL')
    await gateway.exited
    const free = () =>
      fetch(gateway.url).then(
        () => false,
        (error) => error.cause?.code === 'ECONNREFUSED'
      )
    await waitFor(free)
    const next = await startProcess(t, MAIN, { ...settings, PORT: new URL(gateway.url).port })
    t.equal(await (await fetch(`${next.url}/feed`, { headers: { connection: 'close' } })).text(), '/feed origin')
    t.equal(next.url, gateway.url)
    next.child.kill('SIGTERM')
    t.equal(await next.exited, 0)
  })
})

t.test(
  'a worker that is stopped, or whose code does not come round, is killed and replaced by the spare',
  async (t) => {
    const origin = await startOrigin(t, 'origin')
    const gateway = await startProcess(t, MAIN, {
      ...{ ...env, ROUTES: `/feed=${origin.url}`, SPARE: 'true', IDLE_KEPT_MS: '0', WORKER_HANG_MS: '1000' },
      NODE_OPTIONS: `--import=${join(import.meta.dirname, 'fixtures/hang-on-signal.ts')}`
    })
    const ask = async () =>
      (
        await fetch(`${gateway.url}/feed`, { headers: { connection: 'close' }, signal: AbortSignal.timeout(60_000) })
      ).text()
    const worker = () => linesOf(gateway).findLast(({ msg, instance }) => msg === 'ready' && instance !== '1')!.pid
    const children = async () =>
      (await readFile(`/proc/${gateway.child.pid}/task/${gateway.child.pid}/children`, 'utf8'))
        .trim()
        .split(' ')
        .map(Number)
    const kills = () =>
      linesOf(gateway).filter(({ msg }) => msg === 'worker hangs: killing it') as { worker?: number; why?: string }[]
    for (const [signal, why] of [
      ['SIGSTOP', 'stopped'],
      ['SIGUSR2', 'runs without end']
    ] as const) {
      await waitFor(async () => (await children()).length === 2, { message: 'a spare waits' })
      const before = worker()
      const told = kills().length
      process.kill(before, signal)
      // Which it may have taken before.
      await waitFor(async () => (await ask().catch(() => '')) === '/feed origin', { message: 'the next one answers' })
      t.match(kills().slice(told), [{ worker: before, why }])
      t.not(worker(), before)
    }
    await waitFor(async () => (await children()).length === 2)
    const spare = (await children()).find((pid) => pid !== worker())!
    await waitFor(async () => / S /.test(await readFile(`/proc/${spare}/stat`, 'utf8')))
    process.kill(spare, 'SIGSTOP')
    await waitFor(() => kills().some((line) => line.worker === spare), { message: 'nor is a stopped spare kept' })
    await waitFor(async () => (await children()).length === 2 && !(await children()).includes(spare))
    t.match(await (await fetch(`${gateway.ops}/metrics`)).text(), /^skerry_gateway_workers_hung_total\{.*\} 3$/m)

    // A primary that is stopped for a while kills nobody, whoever has said nothing to it meanwhile.
    const before = await children()
    const told = kills().length
    for (let i = 0; i < 2; i++) {
      process.kill(gateway.child.pid!, 'SIGSTOP')
      // More than three times the bound.
      await delay(3_500)
      process.kill(gateway.child.pid!, 'SIGCONT')
      t.equal((await fetch(`${gateway.ops}/readyz`)).status, 200, 'it goes on')
    }
    t.same(await children(), before)
    t.equal(kills().length, told)
    gateway.child.kill('SIGTERM')
    t.equal(await gateway.exited, 0)
  }
)

t.test('a new worker that does not get ready leaves the old ones where they are', async (t) => {
  const origin = await startOrigin(t, 'origin')
  const file = `${t.testdir({ routes: `/feed=${origin.url}\n` })}/routes`
  const gateway = await startProcess(t, MAIN, {
    ...env,
    ROUTES_FILE: file,
    ROLLING: 'true',
    IDLE_KEPT_MS: '0',
    DNS_REFRESH_MS: '600000'
  })
  await writeFile(file, '/feed\n')
  gateway.child.kill('SIGHUP')
  await waitFor(() => count(gateway, 'the new worker did not become ready: the other workers are not replaced') === 1, {
    timeoutMs: 60_000
  })
  t.match(gateway.output(), /gateway: route "\/feed" has no address/)
  t.equal(await (await fetch(`${gateway.url}/feed`)).text(), '/feed origin')
  await writeFile(file, `/feed=${origin.url}\n/other=${origin.url}\n`)
  gateway.child.kill('SIGHUP')
  await waitFor(() => count(gateway, 'stopped') === 1, { timeoutMs: 60_000 })
  t.equal(await (await fetch(`${gateway.url}/other`)).text(), '/other origin')

  await t.test('workers end with their primary', async (t) => {
    const pid = linesOf(gateway).findLast(({ msg, instance }) => msg === 'ready' && instance !== '1')!.pid
    const runs = () => {
      try {
        return process.kill(pid, 0)
      } catch {
        return false
      }
    }
    t.ok(runs())
    t.not(pid, gateway.child.pid)
    gateway.child.kill('SIGKILL')
    await waitFor(() => !runs())
  })
})

t.test('a port that is taken is one failure to start', async (t) => {
  const origin = await startOrigin(t, 'origin')
  await t.rejects(
    startProcess(t, MAIN, { ...env, ROUTES: `/feed=${origin.url}`, ROLLING: 'true', PORT: new URL(origin.url).port }),
    /ended with 1: cannot start: port \d+ is in use: set PORT to another port.*\n$/
  )
})
