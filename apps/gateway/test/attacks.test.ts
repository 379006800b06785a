import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { faultRun, waitFor } from '@skerry/testing'
import t from 'tap'
import { startOrigin } from './helpers/origin.ts'
import { startProcess } from './helpers/processes.ts'

// A stranger's attacks on a real gateway, one after the other, while somebody else goes on. Here: it lives, others are answered, and
// there was no fault. What it takes in time and memory is for the long run to print (`npm run test:faults -- gateway-attacks`).

const run = faultRun({ short: 1, long: 1 })
t.setTimeout(run.limitMs)
const ATTACKS = [
  'tags',
  'upgrades',
  'bodies',
  'chunks',
  'chunks of many',
  'larger chunks',
  'frames',
  'pipelined',
  'unread',
  'window 0',
  'empty lines',
  'resets'
]
/** Answers to somebody else during each attack, and the share of the attack. */
const ANSWERS = run.long ? 200 : 10
const SHARE = run.long ? 1 : 0.1
const LARGE = Buffer.alloc(3_000_000, 'x')

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

t.test('what a stranger does to one gateway', async (t) => {
  const origin = await startOrigin(t, 'one', (request, response) => {
    request.resume()
    if (request.url === '/x/large') response.end(LARGE)
    else response.end('{}')
  })
  const gateway = await startProcess(t, '../../src/main.ts', {
    ...{ PORT: '0', DRAIN_MS: '0', IDLE_KEPT_MS: '0', LIMIT_EXEMPT: '127.0.0.0/8', HEALTH_INTERVAL_MS: '0' },
    ...{ ROUTES: `/x=${origin.url};/other=${origin.url}`, UNREAD_PERIOD_MS: run.long ? '30000' : '2000' }
  })
  const megabytes = async () => {
    const text = await readFile(`/proc/${gateway.child.pid}/status`, 'utf8').catch(() => '')
    return Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1] ?? 0) / 1_024)
  }
  const ask = async (path: string) => {
    const start = performance.now()
    const answer = await fetch(`${gateway.url}${path}`, {
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(120_000)
    })
    await answer.arrayBuffer()
    return { status: answer.status, ms: performance.now() - start }
  }
  // Made when first asked for; and the first requests of all are slow.
  for (const path of ['/docs/scalar.js', '/other', '/livez']) for (let i = 0; i < 20; i++) await ask(path)
  const before = await megabytes()

  const stand = async (attack: string) => {
    const attacker = fork(
      join(import.meta.dirname, 'fixtures/attacker.ts'),
      [attack, new URL(gateway.url).port, String(SHARE)],
      {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
        execArgv: []
      }
    )
    const exited = once(attacker, 'exit')
    t.teardown(() => attacker.kill('SIGKILL'))
    await once(attacker, 'message')
    const live: number[] = []
    const other: number[] = []
    const statuses = new Set<number>()
    let peak = 0
    for (let i = 0; i < ANSWERS; i++) {
      const [first, second] = [await ask('/livez'), await ask('/other')]
      live.push(first.ms)
      other.push(second.ms)
      statuses.add(first.status).add(second.status)
      peak = Math.max(peak, await megabytes())
    }
    attacker.kill('SIGKILL')
    await exited
    t.equal(gateway.child.exitCode, null, `${attack}: it lives`)
    // Under pressure somebody may have to come back; nobody waits for nothing.
    t.same(
      [...statuses].filter((status) => status !== 200 && status !== 503),
      [],
      `${attack}: others are answered`
    )
    await waitFor(async () => (await ask('/other')).status === 200, {
      message: `${attack}: and when it is over all are`
    })
    const calm: number[] = []
    for (let i = 0; i < ANSWERS; i++) calm.push((await ask('/other')).ms)
    const after = await megabytes()
    if (run.long) {
      // What is garbage is given back as soon as there is little to do.
      const limitMb = before * 1.2
      const message = `${attack}: memory returns to ${limitMb.toFixed(0)} MB at most`
      await waitFor(async () => (await megabytes()) <= limitMb, { timeoutMs: 120_000, message })
    }
    t.comment(
      `${attack}: during it /livez ${median(live).toFixed(1)} ms, another's request ${median(other).toFixed(1)} ms (medians); after it ` +
        `${median(calm).toFixed(1)} ms. Memory ${before} MB before the first, ${peak} at most, ${after} right after, ${await megabytes()} now`
    )
  }
  for (const attack of ATTACKS) await stand(attack)
  const metrics = await (await fetch(`${gateway.ops}/metrics`)).text()
  t.notMatch(metrics, /^skerry_faults_total/m, 'and there was no fault')
})
