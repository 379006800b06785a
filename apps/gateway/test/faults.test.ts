import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { connectNats, ensureBuckets, publishIdentity } from '@skerry/service'
import { faultRun, useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { type AppProcess, startProcess } from './helpers/processes.ts'
import { createIssuer } from './helpers/tokens.ts'

// One of three replicas goes bad in each of the ways a replica can, under traffic, with the gateway as a process of its own. Clients must
// not see it after 2 s, and the others must not be flooded. `npm run test:faults` measures for longer.
const MODES = ['503', 'reset', 'hang', 'slow', 'lie', 'SIGSTOP', 'SIGKILL'] as const
const run = faultRun({ short: MODES.length, long: MODES.length })
t.setTimeout(run.limitMs)
const MEASURED = run.long ? 20_000 : 400
const CLIENTS = run.long ? 16 : 6
/** What each client waits between two requests: the long version asks as fast as it is answered. */
const PAUSE_MS = run.long ? 0 : 20

type Sent = { at: number; method: string; status: number }

/** Clients that ask one after the other on kept connections; a tenth posts what may not be sent twice. */
function startClients(url: string) {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS })
  const sent: Sent[] = []
  let stopped = false
  const one = (method: string, headers: Record<string, string>) =>
    new Promise<number>((resolve) => {
      const asking = request(`${url}/v1/posts`, { agent, method, headers }, (answer) => {
        answer.resume()
        answer.once('close', () => resolve(answer.complete ? (answer.statusCode ?? 0) : 0))
      })
      asking.once('error', () => resolve(0))
      asking.end()
    })
  const clients = Array.from({ length: CLIENTS }, async (_, client) => {
    for (let i = client; !stopped; i++) {
      const method = i % 10 === 0 ? 'POST' : i % 10 === 1 ? 'PUT' : 'GET'
      const at = performance.now()
      const status = await one(method, i % 20 === 10 ? { 'idempotency-key': `${client}-${i}` } : {})
      sent.push({ at, method, status })
      if (PAUSE_MS > 0) await delay(PAUSE_MS)
    }
  })
  return {
    sent,
    async stop() {
      stopped = true
      await Promise.all(clients)
      agent.destroy()
    }
  }
}

async function seenBy(process: AppProcess): Promise<number> {
  process.child.send({ count: true })
  for (;;) {
    const [message] = await once(process.child, 'message')
    if (message.type === 'count') return message.seen
  }
}

async function seenByAll(processes: readonly AppProcess[]): Promise<number> {
  return (await Promise.all(processes.map(seenBy))).reduce((sum, count) => sum + count, 0)
}

const stores = await useStores(t)
const nc = await connectNats({ ...stores.nats, name: 'faults' })
t.teardown(() => nc.close())
await ensureBuckets(nc)
await (await publishIdentity(nc)).setJwks(createIssuer().jwks)
const gateway = await startProcess(t, '../../src/main.ts', {
  ...stores.envFor('gateway'),
  PORT: '0',
  LIMIT_EXEMPT: '127.0.0.1',
  UPSTREAM_HEADERS_TIMEOUT_MS: '1500'
})
const start = (instance: string) =>
  startProcess(t, '../fixtures/faulty-service.ts', {
    ...stores.envFor('content'),
    SKERRY_INSTANCE: instance,
    LOG_LEVEL: 'error',
    DRAIN_MS: '200'
  })
const metric = async (pattern: RegExp) =>
  Number(pattern.exec(await (await fetch(`${gateway.ops}/metrics`)).text())?.[1] ?? 0)
const live = (count: number) =>
  waitFor(async () => (await metric(/^skerry_gateway_live_instances\{.*upstream="content".*\} (\d+)/m)) === count, {
    timeoutMs: 120_000,
    message: `the gateway knows ${count} live instances`
  })

/** They stay well; each round has a third one that goes bad. */
const others = await Promise.all([start('one'), start('two')])

for (const round of run.rounds) {
  const mode = MODES[round - 1]
  if (mode === undefined) throw new Error(`there is no round ${round}: there are ${MODES.length}`)
  await t.test(`round ${round}: ${mode}`, { timeout: run.limitMs }, async (t) => {
    const bad = await start(mode)
    await live(3)
    const replicas = [bad, ...others]
    const before = await seenByAll(replicas)
    const clients = startClients(gateway.url)
    await waitFor(() => clients.sent.length > 300, { timeoutMs: 120_000, message: '300 requests before the fault' })
    const failedAt = performance.now()
    if (mode === 'SIGSTOP' || mode === 'SIGKILL') bad.child.kill(mode)
    else bad.child.send({ mode })
    await delay(failedAt + 2_000 - performance.now())
    const known = clients.sent.length
    await waitFor(() => clients.sent.length >= known + MEASURED, {
      timeoutMs: 600_000,
      message: `${MEASURED} requests after the fault`
    })
    await clients.stop()

    const late = clients.sent.filter(({ at }) => at > failedAt + 2_000)
    const errors = late.filter(({ status }) => status !== 200)
    const early = clients.sent.filter(({ at, status }) => at > failedAt && at <= failedAt + 2_000 && status !== 200)
    t.comment(`${early.length} errors in the first 2 s of ${known}, then ${errors.length} of ${late.length}`)
    t.ok(errors.length <= late.length * 0.005, 'clients see it no more', { errors: errors.slice(0, 10) })
    if (mode === 'SIGSTOP') bad.child.kill('SIGCONT')
    if (mode !== 'SIGKILL') {
      // What a killed one has seen is gone with it.
      const total = (await seenByAll(replicas)) - before
      t.comment(`${total} upstream requests for ${clients.sent.length}`)
      t.ok(total <= clients.sent.length * 1.1, `${total} upstream requests for ${clients.sent.length}`)
    }
    if (mode !== 'SIGKILL') {
      bad.child.send({ mode: 'well' })
      bad.child.kill('SIGTERM')
    }
    await bad.exited
    await live(2)
  })
}
