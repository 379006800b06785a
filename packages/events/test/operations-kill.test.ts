import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { bucketOf, collectionOf, newId, randomBucket, storeWith } from '@skerry/store'
import { childEnv, faultRun, useStores, waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import type { ModelStatus, OperationView } from '../src/index.ts'
import { tallies, write } from './fixtures/counting.ts'
import { openBench } from './fixtures/operator.ts'

// In each round a read model is rebuilt and a consumer replayed while events are written and their instances are killed, at numbers of
// writes that the seed says; then every row is compared with what was written. `npm run test:faults -- operations-kills` runs more rounds.
const run = faultRun({ short: 1, long: 15 })
t.setTimeout(run.limitMs)
const KILLS = run.long ? 3 : 2
const WAIT_MS = 180_000
/** Whoever dies with a request never answers it; it is asked again. */
const ANSWER_MS = 5_000

const stores = await useStores(t)
const bench = await openBench(t, stores, 'kill')
const { store } = bench
const other = storeWith(store, { tallies: 'replayed' })
const ids = Array.from({ length: 8 }, () => newId(randomBucket()))
const children = new Map<string, ChildProcess>()

async function launch(instance: string): Promise<void> {
  const child = fork(new URL('fixtures/model-worker.ts', import.meta.url), {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    execArgv: [],
    env: {
      ...childEnv(),
      ...{ MONGO_URL: stores.mongoUrl, MONGO_DATABASE: store.db.databaseName, NATS_URL: stores.nats.url },
      ...{ NATS_USER: stores.nats.user, NATS_PASSWORD: stores.nats.password },
      ...{ INSTANCE: instance, LEASE_MS: '800' }
    }
  })
  children.set(instance, child)
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`instance ${instance} ended before it was attached: ${signal ?? `exit code ${code}`}`)
  })
  await Promise.race([once(child, 'message'), ended])
  ended.catch(() => 'killed later, as it should be')
}
t.teardown(() => {
  for (const child of children.values()) child.kill('SIGKILL')
})

/** A request that may meet an instance which dies: asked again until it is answered. BUSY says that an earlier one was accepted. */
async function surely<T>(topic: string, request: object): Promise<T | 'BUSY'> {
  let value: T | 'BUSY' | undefined
  await waitFor(
    async () => {
      value = await bench.ask<T>(topic, request, ANSWER_MS).catch((error: Error) => {
        if (/^BUSY/.test(error.message)) return 'BUSY' as const
        if (/timeout|no responders/i.test(error.message)) return undefined
        throw error
      })
      return value !== undefined
    },
    { timeoutMs: WAIT_MS, message: `an answer to ${topic}` }
  )
  return value as T | 'BUSY'
}
const status = async () => (await surely<ModelStatus>('model.model.status', {})) as ModelStatus
const replays = async () =>
  ((await surely<OperationView[]>('replayed.audit', { limit: 50 })) as OperationView[]).filter(
    ({ kind }) => kind === 'replay'
  )

let over = false
let written = 0
let underWay = 0
// Writers keep ahead of the kills, not of the machine.
let allowed = 0
const acknowledged = new Map<string, number>()
const writers = ids.map(async (id) => {
  while (!over) {
    await waitFor(() => over || written + underWay < allowed, {
      timeoutMs: run.limitMs,
      message: 'more may be written'
    })
    if (over) return
    underWay++
    acknowledged.set(id, await write(store, id, bucketOf(id)))
    underWay--
    written++
  }
})
t.teardown(async () => {
  over = true
  await Promise.all(writers)
})
/** Lets writers go `ahead` beyond so many more writes, and waits for these. */
async function writes(more: number, ahead: number): Promise<void> {
  const target = written + more
  allowed = target + ahead
  await waitFor(() => written >= target, { timeoutMs: WAIT_MS, message: `${more} more writes, of ${target}` })
}

await Promise.all([launch('a'), launch('b')])
await writes(100, 100)
const all = { bucket: { $in: ids.map(bucketOf) }, _id: { $in: ids } }
// A replay shows by a jump back, which only what has been applied before can make.
await waitFor(async () => (await collectionOf(other.db, tallies).countDocuments(all)) === ids.length, {
  timeoutMs: WAIT_MS,
  message: 'the replayed consumer has applied something of each'
})

for (const round of run.rounds) {
  // After a round that failed it is not known what the next one would show.
  if (!t.passing()) break
  await t.test(`round ${round}`, { timeout: run.limitMs }, async (t) => {
    const random = run.random(round)
    const generation = (await status()).current + 1
    const before = new Set((await replays()).map(({ id }) => id))
    await surely('model.model.rebuild', { by: 'ada' })
    await surely('replayed.replay', { by: 'ada', stream: 'content', from: 1 })
    for (let i = 0; i < KILLS; i++) {
      await writes(Math.floor(random() * 30), 40)
      const instance = random() < 0.5 ? 'a' : 'b'
      const child = children.get(instance)!
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
      await launch(instance)
      t.comment(`progress ${i + 1}/${KILLS} kills, the last ${instance}; ${written} writes`)
    }
    await waitFor(async () => (await status()).current >= generation, {
      timeoutMs: WAIT_MS,
      message: `generation ${generation} of the read model is switched to`
    })
    t.equal((await status()).current, generation, 'it was rebuilt once')
    // Found on record, since one may be accepted without an answer.
    const mine = async () => (await replays()).filter(({ id }) => !before.has(id))
    await waitFor(async () => (await mine()).every(({ state }) => state !== 'pending'), {
      timeoutMs: WAIT_MS,
      message: 'it is replayed'
    })
    t.ok((await mine()).length > 0)
    for (const replay of await mine()) t.match(replay, { state: 'done', outcome: /^replayed 1 to \d+$/ })
    await surely('model.model.finish', { by: 'ada' }).catch((error: Error) => {
      // It was accepted, and who should have answered had died.
      if (!/no earlier generation is kept/.test(error.message)) throw error
    })
    await waitFor(async () => (await status()).retired.length === 0, {
      timeoutMs: WAIT_MS,
      message: 'the earlier generation is dropped'
    })
    await holds(t, generation, (await replays()).length)
  })
}

/** Each event has its effect once in the generation that is read, and in the replayed consumer once more for each replay that came after it. */
async function holds(t: Test, generation: number, replayed: number): Promise<void> {
  allowed = 0
  await waitFor(() => underWay === 0, { timeoutMs: WAIT_MS, message: 'writes that were begun end' })
  const model = storeWith(store, { tallies: `tallies--r${generation}` })
  const rowsOf = async (view: typeof store) =>
    new Map((await collectionOf(view.db, tallies).find(all).toArray()).map((row) => [row._id, row]))
  for (const view of [model, other])
    await waitFor(
      async () => {
        const rows = await rowsOf(view)
        return acknowledged.entries().every(([id, n]) => rows.get(id)?.last === n)
      },
      { timeoutMs: WAIT_MS, message: 'every acknowledged write reaches its effect' }
    )
  const [built, again] = [await rowsOf(model), await rowsOf(other)]
  for (const id of ids) {
    const n = acknowledged.get(id) ?? 0
    const row = built.get(id)
    t.same(
      { last: row?.last, applied: row?.applied, disorder: row?.disorder ?? [] },
      { last: n, applied: n, disorder: [] }
    )
    const twice = again.get(id)
    // Only where a replay began does the order jump: back to the first, from the last one that had been applied by then.
    const jumps = (twice?.disorder ?? []).map((jump) => /^1 after (\d+)$/.exec(jump)?.[1])
    t.equal(jumps.length, replayed, 'each replay began once', { disorder: twice?.disorder })
    const repeated = jumps.reduce((sum, last) => sum + Number(last), 0)
    t.equal(twice?.applied, n + repeated, 'what had been applied is applied once more by each replay, the rest once')
  }
  t.comment(`${written} writes, generation ${generation}, ${replayed} replays`)
}
