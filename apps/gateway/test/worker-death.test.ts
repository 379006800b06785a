import { readFile } from 'node:fs/promises'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { faultRun, waitFor } from '@skerry/testing'
import t from 'tap'
import { type Kept, keepConnection } from './helpers/kept.ts'
import { startOrigin } from './helpers/origin.ts'
import { startProcess } from './helpers/processes.ts'

// A worker is killed: only its own connections are lost. New ones are answered; how soon is printed, and bounded in the long version.

const run = faultRun({ short: 1, long: 1 })
t.setTimeout(run.limitMs)
const ROUNDS = run.long ? 5 : 1
/** For the first answer to somebody who comes when a worker has died. */
const FIRST_MS = 1_000
/** Of each worker, at least. */
const CLIENTS = 2

const SETTINGS: { name: string; workers: number; env: Record<string, string> }[] = [
  { name: 'two workers', workers: 2, env: { WORKERS: '2' } },
  // As with `npm start` and in the container.
  { name: 'one worker and a spare', workers: 1, env: { SPARE: 'true' } },
  ...(run.long ? [{ name: 'two workers and a spare', workers: 2, env: { WORKERS: '2', SPARE: 'true' } }] : [])
]

type Client = { worker: number; kept: Kept; events: Kept; stream: ServerResponse }

for (const { name, workers, env } of SETTINGS)
  t.test(name, { timeout: run.limitMs }, async (t) => {
    const streams = new Map<string, ServerResponse>()
    const origin = await startOrigin(t, 'feed', (request, response) => {
      if (request.url?.startsWith('/feed/live') !== true) return void response.end('fine')
      streams.set(request.url, response)
      response.setHeader('content-type', 'text/event-stream').flushHeaders()
    })
    const gateway = await startProcess(t, '../../src/main.ts', {
      ...{ PORT: '0', LIMIT_EXEMPT: '127.0.0.0/8', LOG_LEVEL: 'info', HEALTH_INTERVAL_MS: '0' },
      ...{ DRAIN_MS: '0', IDLE_KEPT_MS: '0', KEEP_ALIVE_TIMEOUT_MS: '600000', STREAM_IDLE_TIMEOUT_MS: '600000' },
      ...{ ROUTES: `/feed=${origin.url}`, UPSTREAM_HEADERS_TIMEOUT_MS: '600000' },
      ...{ NODE_OPTIONS: `--import=${join(import.meta.dirname, 'fixtures/worker-header.ts')}`, ...env }
    })
    const port = Number(new URL(gateway.url).port)
    const count = (said: string) =>
      gateway
        .output()
        .split('\n')
        .filter((line) => line.includes(said)).length
    const serving = async () => {
      const text = await (await fetch(`${gateway.ops}/metrics`)).text()
      return Number(/^skerry_gateway_workers\{.*\} (\d+)$/m.exec(text)?.[1])
    }
    const workerOf = (heard: string) => Number(/x-worker: (\d+)/i.exec(heard)?.[1])
    /** A spare is a child that does not serve; its code is loaded when it sleeps. */
    const isSpareLoaded = async (working: number[]) => {
      const { pid } = gateway.child
      const children = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ').map(Number)
      const [spare, ...more] = children.filter((child) => !working.includes(child))
      return spare !== undefined && more.length === 0 && / S /.test(await readFile(`/proc/${spare}/stat`, 'utf8'))
    }
    let opened = 0
    /** Two connections, if they happen to be of one worker: one to ask on, and one with a live stream. */
    const open = async (): Promise<Client[]> => {
      const live = `/feed/live?${++opened}`
      const [kept, events] = [keepConnection(t, port), keepConnection(t, port)]
      const [asked, begun] = await Promise.all([kept.ask('/feed', /fine$/), events.ask(live, /\r\n\r\n/)])
      const worker = workerOf(asked)
      return worker === workerOf(begun) ? [{ worker, kept, events, stream: streams.get(live)! }] : []
    }
    const ask = async () => {
      const answer = await fetch(`${gateway.url}/feed`, {
        headers: { connection: 'close' },
        signal: AbortSignal.timeout(60_000)
      })
      return answer.text()
    }

    const clients: Client[] = []
    const first: number[] = []
    for (let round = 1; round <= ROUNDS; round++) {
      const of = new Map<number, Client[]>()
      await waitFor(
        async () => {
          if ((await serving()) !== workers) return false
          clients.push(...(await Promise.all(Array.from({ length: 4 }, open))).flat())
          of.clear()
          for (const client of clients.filter(({ kept, events }) => !kept.isOver() && !events.isOver()))
            of.set(client.worker, [...(of.get(client.worker) ?? []), client])
          return of.size === workers && [...of.values()].every((some) => some.length >= CLIENTS)
        },
        { timeoutMs: 60_000, message: 'each worker has clients' }
      )
      if (env.SPARE !== undefined)
        await waitFor(() => isSpareLoaded([...of.keys()]), { timeoutMs: 60_000, message: 'a spare waits' })
      // The one that has most: new connections would have gone there.
      const [[killed, lost], ...rest] = [...of].toSorted(([, a], [, b]) => b.length - a.length) as [
        [number, Client[]],
        ...[number, Client[]][]
      ]
      const others = rest.flatMap(([, some]) => some)
      const deaths = count('worker exited unexpectedly')
      const killedAt = performance.now()
      process.kill(killed, 'SIGKILL')
      t.equal(await ask(), 'fine')
      first.push(performance.now() - killedAt)
      const answers = await Promise.all(Array.from({ length: 20 }, ask))
      t.strictSame(new Set(answers), new Set(['fine']), 'who comes meanwhile is answered')

      await waitFor(() => lost.every(({ kept, events }) => kept.isOver() && events.isOver()))
      const answeredBy = await Promise.all(others.map(async ({ kept }) => workerOf(await kept.ask('/feed', /fine$/))))
      t.strictSame(
        answeredBy,
        others.map(({ worker }) => worker),
        'kept connections of the other worker go on'
      )
      for (const { stream } of others) stream.write(`data: ${round}\n\n`)
      await waitFor(() => others.every(({ events }) => events.heard().includes(`data: ${round}\n\n`)), {
        message: 'and so do its live streams'
      })
      t.notOk(
        others.some(({ kept, events }) => kept.isOver() || events.isOver()),
        'none of its connections is lost'
      )
      await waitFor(async () => (await serving()) === workers, {
        timeoutMs: 60_000,
        message: 'the dead one is replaced'
      })
      t.equal(count('worker exited unexpectedly'), deaths + 1, 'and only that one has died')
    }
    t.comment(`${name}: first answers after the death of one: ${first.map((ms) => ms.toFixed(0)).join(', ')} ms`)
    if (run.long)
      t.ok(
        first.every((ms) => ms <= FIRST_MS),
        `each within ${FIRST_MS} ms`,
        { first }
      )
    gateway.child.kill('SIGTERM')
    t.equal(await gateway.exited, 0)
  })
