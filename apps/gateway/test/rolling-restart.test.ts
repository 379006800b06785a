import { Agent, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { connectNats, ensureBuckets, publishIdentity } from '@skerry/service'
import { faultRun, useStores, waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { type AppProcess, startProcess } from './helpers/processes.ts'
import { createIssuer } from './helpers/tokens.ts'

const SERVICE = '../fixtures/tiny-service.ts'
/** `npm test` has little time; the full number is for the run of faults. */
const run = faultRun({ short: 1, long: 1 })
t.setTimeout(run.limitMs)
/** Each of the two once, at least. */
const RESTARTS = run.long ? 20 : 2
const NO_LIMIT = { LIMIT_ADDRESS_BURST: '1000000', LIMIT_ADDRESS_PER_SECOND: '1000000' }
const CLIENTS = run.long ? 16 : 8

type Answer = { outcome: string; instance: string | undefined }

/** One request on a kept connection. POSTs carry no Idempotency-Key: nobody may send them twice. */
function ask(agent: Agent, url: string, method: string): Promise<Answer> {
  return new Promise((resolve) => {
    const asking = request(url, { agent, method }, (answer) => {
      let text = ''
      answer.on('data', (chunk) => {
        text += chunk
      })
      answer.once('close', () => {
        const { instance } = answer.statusCode === 200 && answer.complete ? JSON.parse(text) : {}
        resolve({ outcome: `${method} ${answer.complete ? answer.statusCode : 'cut off'}`, instance })
      })
    })
    asking.once('error', (error) => resolve({ outcome: `${method} ${error.message}`, instance: undefined }))
    asking.end()
  })
}

/** Of clients that are busy: the long version asks as fast as it is answered. */
const PAUSE_MS = run.long ? 0 : 5

/** Clients that ask one request after the other, with a short pause in between and with longer ones, so that connections are busy and idle. */
function startTraffic(url: string) {
  const agent = new Agent({ keepAlive: true })
  const outcomes: Record<string, number> = {}
  const answers: Record<string, number> = {}
  let stopped = false
  const clients = Array.from({ length: CLIENTS }, async (_, i) => {
    const random = run.random(1, `client ${i}`)
    while (!stopped) {
      const { outcome, instance = 'nobody' } = await ask(agent, url, i % 2 === 0 ? 'GET' : 'POST')
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
      answers[instance] = (answers[instance] ?? 0) + 1
      const pauseMs = i % 4 > 1 ? random() * 50 : PAUSE_MS
      if (pauseMs > 0) await delay(pauseMs)
    }
  })
  return {
    outcomes,
    /** Waits until an instance has answered so many more. */
    async answeredBy(instance: string, count: number) {
      const until = (answers[instance] ?? 0) + count
      await waitFor(() => (answers[instance] ?? 0) >= until, {
        message: `${instance} answers ${count} more`,
        timeoutMs: 120_000
      })
    },
    async stop() {
      stopped = true
      await Promise.all(clients)
      agent.destroy()
    }
  }
}

t.test(`${RESTARTS} rolling restarts of a service under load lose no request`, { timeout: run.limitMs }, async (t) => {
  const stores = await useStores(t)
  const nc = await connectNats({ ...stores.nats, name: 'gateway-test' })
  t.teardown(() => nc.close())
  await ensureBuckets(nc)
  await (await publishIdentity(nc)).setJwks(createIssuer().jwks)

  const start = (t: Test, instance: string) =>
    startProcess(t, SERVICE, { ...stores.envFor('content'), SKERRY_INSTANCE: instance, LOG_LEVEL: 'warn' })
  const gateway = await startProcess(t, '../../src/main.ts', { ...stores.envFor('gateway'), ...NO_LIMIT, PORT: '0' })
  const live: Record<string, AppProcess> = { one: await start(t, 'one'), two: await start(t, 'two') }
  const agent = new Agent()
  await waitFor(async () => (await ask(agent, `${gateway.url}/v1/posts`, 'GET')).outcome === 'GET 200')

  const traffic = startTraffic(`${gateway.url}/v1/posts`)
  for (const name of Object.keys(live)) await traffic.answeredBy(name, 20)
  for (let i = 0; i < RESTARTS; i++) {
    const name = i % 2 === 0 ? 'one' : 'two'
    const leaving = live[name]!
    leaving.child.kill('SIGTERM')
    t.equal(await leaving.exited, 0, `restart ${i + 1}: ${name} left in order`)
    live[name] = await start(t, name)
    await traffic.answeredBy(name, 20)
    t.comment(`progress ${i + 1}/${RESTARTS} restarts`)
  }
  await traffic.stop()
  t.same(Object.keys(traffic.outcomes).sort(), ['GET 200', 'POST 200'], JSON.stringify(traffic.outcomes))
})
