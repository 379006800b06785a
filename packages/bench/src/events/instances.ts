import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { publish, startRelay } from '@skerry/events'
import { newId, randomBucket, readRoles, type Store, transaction } from '@skerry/store'
import { quantile } from '../load.ts'
import { clock, TEXT } from './messages.ts'
import { openWaiting, type Waited, type WaitingOptions, waitedFor } from './waiting.ts'

/** What is compared: a stream of one partition, which one instance consumes whatever there are, and one that is shared. */
const ROWS = [
  { service: 'single', partitions: 1, instances: 1 },
  { service: 'shared', partitions: 8, instances: 1 },
  { service: 'shared', partitions: 8, instances: 2 },
  { service: 'shared', partitions: 8, instances: 4 }
] as const

export type InstancesRow = { partitions: number; instances: number; eventsPerSecond: number; ofOne: number }
export type InstancesResult = { windowSeconds: number; rounds: number; rows: InstancesRow[] }

const WINDOW_S = 4
/** More than is applied in any window, and before it. */
const BACKLOG = { single: 12_000, shared: 36_000 } as const
const TOGETHER = 200

type Service = keyof typeof BACKLOG
type Where = Pick<WaitingOptions, 'mongo' | 'nats'>

/**
 * Events per second of a consumer whose handler waits 5 ms, from a backlog that is in the stream already, with one, two and four instances,
 * each a process. It is counted from when all have their share on; in each round from the beginning of the stream, under a name of its own.
 */
export async function benchInstances(
  { mongo, nats }: Where,
  rounds: number,
  say: (line: string) => void
): Promise<InstancesResult> {
  const whereOf = (service: string): Where => ({ nats, mongo: { ...mongo, database: `${mongo.database}_${service}` } })
  for (const { service, partitions } of ROWS.slice(0, 2)) {
    say(`instances: ${BACKLOG[service]} events for the stream ${service}`)
    await fill(whereOf(service), service, partitions)
  }
  const rates: number[][] = ROWS.map(() => [])
  for (let round = 1; round <= rounds; round++) {
    const order = [...ROWS.keys()]
    for (const at of round % 2 === 1 ? order : order.reverse()) {
      const { service, instances } = ROWS[at]!
      say(`round ${round} of ${rounds}: ${instances} of ${service}`)
      rates[at]!.push(await rateOf(whereOf(service), service, instances, round))
    }
  }
  const one = rates[1]!
  return {
    windowSeconds: WINDOW_S,
    rounds,
    rows: ROWS.map(({ partitions, instances }, at) => ({
      ...{ partitions, instances, eventsPerSecond: quantile(rates[at]!, 0.5) },
      ofOne: quantile(
        rates[at]!.map((rate, i) => rate / one[i]!),
        0.5
      )
    }))
  }
}

/** Writes a backlog and waits until all of it is in the stream. */
async function fill(where: Where, service: Service, partitions: number): Promise<void> {
  const { store, nc, log } = await openWaiting(where)
  const event = waitedFor(service)
  const relay = startRelay({ store, nc, log, service, instance: 'bench', partitions })
  try {
    for (let made = 0; made < BACKLOG[service]; made += TOGETHER)
      await transaction(store, {}, async (tx) => {
        for (let i = 0; i < TOGETHER; i++) publish(store, tx, event, { id: newId(randomBucket()), text: TEXT })
      })
    while ((await store.db.collection('outbox').countDocuments({ pending: true }, { limit: 1 })) > 0) await delay(50)
  } finally {
    await relay.stop()
    await nc.close()
    await store.close()
  }
}

async function rateOf(where: Where, service: Service, instances: number, round: number): Promise<number> {
  const { store, nc } = await openWaiting(where)
  const purpose = `waiting-${instances}-of-round-${round}`
  let applied = 0
  const told = new Set<number>()
  const children = Array.from({ length: instances }, (_, i) => {
    const child = start({ ...where, service, purpose, instance: `${purpose}-${i}` })
    child.on('message', (message: Waited) => {
      applied += message.applied
      told.add(i)
    })
    return child
  })
  try {
    while (told.size < instances || !(await isShared(store, `${service}--${purpose}`, instances))) await delay(50)
    const [begun, before] = [clock(), applied]
    await delay(WINDOW_S * 1_000)
    const rate = ((applied - before) / (clock() - begun)) * 1_000
    if (applied > BACKLOG[service] * 0.95) throw new Error('the backlog is too small')
    return rate
  } finally {
    for (const child of children) await stop(child)
    await nc.close()
    await store.close()
  }
}

/** Whether all have as many partitions of a consumer. */
async function isShared(store: Store, consumer: string, instances: number): Promise<boolean> {
  const counts = new Map<string, number>()
  for (const [role, owner] of (await readRoles(store)).owners)
    if (role.includes(`:${consumer}`)) counts.set(owner, (counts.get(owner) ?? 0) + 1)
  return counts.size === instances && new Set(counts.values()).size === 1
}

function start(options: WaitingOptions): ChildProcess {
  return fork(new URL('waiting.ts', import.meta.url), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    execArgv: [],
    env: { BENCH_WAITING: JSON.stringify(options) }
  })
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) throw new Error('an instance ended by itself')
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}
