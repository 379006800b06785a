import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { bucketOf, collectionOf, newId, randomBucket, storeWith } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import type { ModelStatus, OperationView } from '../src/index.ts'
import { tallies, write } from './fixtures/counting.ts'
import { openBench } from './fixtures/operator.ts'

const stores = await useStores(t)
const seed = Number(process.env.SKERRY_SEED ?? 1)
// Rounds of a rebuild and a replay, each with some kills.
const rounds = Number(process.env.SKERRY_ROUNDS ?? (process.env.SKERRY_FAULTS ? 15 : 1))
const KILLS = process.env.SKERRY_FAULTS ? 3 : 2
t.setTimeout((rounds + 4) * 60_000)

function random(state: { s: number }): number {
  state.s = (Math.imul(state.s, 1664525) + 1013904223) >>> 0
  return state.s / 2 ** 32
}

t.test(
  `${rounds} rebuilds and replays under kill -9 and writes: each event once a generation and once a replay (seed ${seed})`,
  async (t) => {
    const bench = await openBench(t, stores, 'kill')
    const { store } = bench
    const other = storeWith(store, { tallies: 'replayed' })
    const ids = Array.from({ length: 8 }, () => newId(randomBucket()))
    const children = new Map<string, ChildProcess>()
    const state = { s: seed }

    async function launch(instance: string): Promise<void> {
      const child = fork(new URL('fixtures/model-worker.ts', import.meta.url), {
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
        execArgv: [],
        env: {
          ...{ MONGO_URL: stores.mongoUrl, MONGO_DATABASE: store.db.databaseName, NATS_URL: stores.nats.url },
          ...{ NATS_USER: stores.nats.user, NATS_PASSWORD: stores.nats.password },
          ...{ INSTANCE: instance, LEASE_MS: '800' }
        }
      })
      children.set(instance, child)
      await once(child, 'message')
    }
    t.teardown(async () => {
      for (const child of children.values()) child.kill('SIGKILL')
    })

    /** A request that may meet an instance which dies: asked again until it is answered. BUSY says that an earlier one was accepted. */
    async function surely<T>(topic: string, request: object): Promise<T | 'BUSY'> {
      let value: T | 'BUSY' | undefined
      await waitFor(
        async () => {
          value = await bench.ask<T>(topic, request).catch((error: Error) => {
            if (/^BUSY/.test(error.message)) return 'BUSY' as const
            if (/timeout|no responders/i.test(error.message)) return undefined
            throw error
          })
          return value !== undefined
        },
        { timeoutMs: 60_000, message: topic }
      )
      return value as T | 'BUSY'
    }
    const status = async () => (await surely<ModelStatus>('model.model.status', {})) as ModelStatus

    await Promise.all([launch('a'), launch('b')])
    let writing = true
    let written = 0
    let allowed = 200
    const acknowledged = new Map<string, number>()
    const writers = ids.map(async (id) => {
      while (writing) {
        // Writers keep ahead of the kills, not of the machine.
        if (written >= allowed) await waitFor(() => written < allowed || !writing, { timeoutMs: 120_000 })
        acknowledged.set(id, await write(store, id, bucketOf(id)))
        written++
      }
    })
    await waitFor(() => written >= 100, { timeoutMs: 60_000 })

    async function killSome(): Promise<void> {
      for (let i = 0; i < KILLS; i++) {
        const target = written + Math.floor(random(state) * 30)
        allowed = target + 40
        await waitFor(() => written >= target, { timeoutMs: 60_000 })
        const instance = random(state) < 0.5 ? 'a' : 'b'
        const child = children.get(instance)!
        child.kill('SIGKILL')
        await once(child, 'exit')
        await launch(instance)
      }
    }

    for (let round = 0; round < rounds; round++) {
      const generation = (await status()).current + 1
      await surely('model.model.rebuild', { by: 'ada' })
      const asked = await surely<{ id: string }>('replayed.replay', { by: 'ada', stream: 'content', from: 1 })
      await killSome()
      await waitFor(async () => (await status()).current === generation, {
        timeoutMs: 60_000,
        message: 'it is switched'
      })
      // One that was accepted without an answer is the newest on record.
      const [newest] = (await surely<OperationView[]>('replayed.audit', { limit: 1 })) as OperationView[]
      const id = asked === 'BUSY' ? newest!.id : asked.id
      let replay: OperationView | undefined
      await waitFor(
        async () => {
          replay = (await surely<OperationView>('replayed.operation', { id })) as OperationView
          return replay.state !== 'pending'
        },
        { timeoutMs: 60_000, message: 'it is replayed' }
      )
      t.match(replay, { state: 'done', outcome: /^replayed 1 to \d+$/ })
      await surely('model.model.finish', { by: 'ada' }).catch((error: Error) => {
        // It was accepted, and who should have answered had died.
        if (!/no earlier generation is kept/.test(error.message)) throw error
      })
      await waitFor(async () => (await status()).retired.length === 0, { timeoutMs: 60_000, message: 'it is dropped' })
    }
    writing = false
    await Promise.all(writers)

    const { current } = await status()
    t.equal(current, rounds + 1)
    const model = storeWith(store, { tallies: `tallies--r${current}` })
    const all = { bucket: { $in: ids.map(bucketOf) }, _id: { $in: ids } }
    const rowsOf = async (view: typeof store) =>
      new Map((await collectionOf(view.db, tallies).find(all).toArray()).map((row) => [row._id, row]))
    for (const view of [model, other])
      await waitFor(async () => (await rowsOf(view)).values().every((row) => row.last === acknowledged.get(row._id)), {
        timeoutMs: 60_000,
        message: 'every acknowledged write reaches its effect'
      })
    const [built, replayed] = [await rowsOf(model), await rowsOf(other)]
    for (const id of ids) {
      const n = acknowledged.get(id) ?? 0
      const row = built.get(id)
      t.same(
        { last: row?.last, applied: row?.applied, disorder: row?.disorder ?? [] },
        { last: n, applied: n, disorder: [] }
      )
      const twice = replayed.get(id)
      // Only where a replay began does the order jump: back to the first, from the last one that had been applied by then.
      const jumps = (twice?.disorder ?? []).map((jump) => /^1 after (\d+)$/.exec(jump)?.[1])
      t.equal(jumps.length, rounds, `each replay began once (${twice?.disorder})`)
      const again = jumps.reduce((sum, last) => sum + Number(last), 0)
      t.equal(twice?.applied, n + again, 'what had been applied is applied once more by each replay, and the rest once')
    }
    t.comment(`${written} writes`)
  }
)
