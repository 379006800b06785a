import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import { connectNats } from '@skerry/service'
import { mongoUrl, readSecrets, startStores } from '@skerry/stores'
import { binCache, type System } from '@skerry/testing'
import { MongoClient } from 'mongodb'
import { usageOf } from './gateway/process-tree.ts'
import { startNode } from './gateway/processes.ts'
import { between, readCounts } from './posts/counters.ts'

/** Ends what was started, the latest first. */
export type Ends = (() => Promise<unknown>)[]

/** What `startSystem` wants of a test. */
export const tapOf = (ends: Ends) => ({ teardown: (work: () => Promise<void>) => ends.push(work) })

/** Limits hold and are counted; they are only wide enough for a load from few people. */
export const WIDE = {
  LIMIT_USER_PER_SECOND: '1000000',
  LIMIT_USER_BURST: '1000000',
  LIMIT_EXEMPT: '127.0.0.0/8',
  LOG_LEVEL: 'warn'
} as const

/** Connections to a system's own stores, as its operators have them. */
export async function operate(system: System, ends: Ends): Promise<{ nc: NatsConnection; mongo: MongoClient }> {
  const secrets = await readSecrets(system.home)
  const { processes } = await system.run()
  const address = (name: string) => processes.find((one) => one.name === name)?.url ?? ''
  const nc = await connectNats({
    ...{ name: 'bench', url: `nats://${address('nats-server')}`, user: 'admin', password: secrets?.natsAdmin ?? '' }
  })
  ends.push(() => nc.close())
  const port = Number(address('mongod').split(':')[1])
  const mongo = await MongoClient.connect(mongoUrl(port, 'root', secrets?.mongoRoot ?? ''))
  ends.push(() => mongo.close())
  return { nc, mongo }
}

/** A bare program of this package, and the mongod of its own that it is told as its first argument. */
export async function startBareProgram(
  file: string,
  args: readonly string[],
  ends: Ends
): Promise<{ url: string; mongoUrl: string; pids: Record<string, number[]> }> {
  const home = await mkdtemp(join(tmpdir(), 'skerry-bench-'))
  ends.push(() => rm(home, { recursive: true, force: true }))
  const stores = await startStores({
    ...{ home, binDir: binCache(), apps: [{ name: 'bare', kind: 'service' }], say: () => undefined }
  })
  ends.push(() => stores.stop())
  const program = await startNode(file, { args: [stores.urls.mongo, ...args] })
  ends.push(() => program.stop())
  const mongod = stores.parts.find(({ name }) => name === 'mongod')?.server.pid()
  const pids = { program: [program.pid], mongod: mongod === undefined ? [] : [mongod] }
  return { url: program.url, mongoUrl: stores.urls.mongo, pids }
}

/** The processes of a system by name: those of one service, however many instances it has, under one. */
export async function processesOf(system: System): Promise<Record<string, number[]>> {
  const pids: Record<string, number[]> = {}
  for (const { name, pid } of (await system.run()).processes) pids[name] = [...(pids[name] ?? []), pid]
  return pids
}

/** CPU that processes and their descendants have used so far, in milliseconds, by name. */
export async function cpuOf(pids: Readonly<Record<string, readonly number[]>>): Promise<Record<string, number>> {
  const used: Record<string, number> = {}
  for (const [name, roots] of Object.entries(pids)) {
    used[name] = 0
    for (const root of roots) used[name] += (await usageOf(root)).cpuSeconds * 1_000
  }
  return used
}

/** What was used from one reading to the next, divided by `by`. */
export function usedBetween(
  before: Record<string, number>,
  after: Record<string, number>,
  by: number
): { byName: Record<string, number>; total: number } {
  const byName: Record<string, number> = {}
  for (const [name, used] of Object.entries(before)) byName[name] = (after[name]! - used) / by
  return { byName, total: Object.values(byName).reduce((sum, one) => sum + one, 0) }
}

/** A system that nobody uses: `cores` busy, and what its database does a second. */
export type Idle = { cores: number; syncsPerSecond: number; commandsPerSecond: number }

const IDLE_MS = 6_000

export async function idleOf(pids: Readonly<Record<string, readonly number[]>>, mongo: MongoClient): Promise<Idle> {
  const [cpu, counts] = [await cpuOf(pids), await readCounts(mongo)]
  await delay(IDLE_MS)
  const done = between(counts, await readCounts(mongo))
  const seconds = IDLE_MS / 1_000
  return {
    cores: usedBetween(cpu, await cpuOf(pids), IDLE_MS).total,
    syncsPerSecond: done.syncs / seconds,
    commandsPerSecond: done.commands / seconds
  }
}
