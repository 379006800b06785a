import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { bucketOf, collectionOf, newId, randomBucket } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { openTestStore, tallies, write } from './fixtures/counting.ts'

const stores = await useStores(t)
// A seed makes a run repeatable: which instance dies, and after how many writes.
const seed = Number(process.env.SKERRY_SEED ?? 1)
const kills = Number(process.env.SKERRY_KILLS ?? 8)

function random(state: { s: number }): number {
  state.s = (Math.imul(state.s, 1664525) + 1013904223) >>> 0
  return state.s / 2 ** 32
}

t.test(
  `${kills} kill -9 of relays and consumers under writes: nothing lost, nothing twice, in order (seed ${seed})`,
  async (t) => {
    const database = stores.database('kill')
    const store = await openTestStore(stores.mongoUrl, database)
    const ids = Array.from({ length: 10 }, () => newId(randomBucket()))
    const children = new Map<string, ChildProcess>()

    async function launch(instance: string): Promise<void> {
      const child = fork(new URL('fixtures/worker.ts', import.meta.url), {
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
        execArgv: [],
        env: {
          MONGO_URL: stores.mongoUrl,
          MONGO_DATABASE: database,
          NATS_URL: stores.nats.url,
          NATS_USER: stores.nats.user,
          NATS_PASSWORD: stores.nats.password,
          INSTANCE: instance,
          LEASE_MS: '800'
        }
      })
      children.set(instance, child)
      await once(child, 'message')
    }
    t.teardown(async () => {
      for (const child of children.values()) child.kill('SIGKILL')
      await store.close()
    })

    await Promise.all([launch('a'), launch('b')])
    const acknowledged = new Map<string, number>()
    let writing = true
    let written = 0
    let allowed = 0
    const writers = ids.map(async (id) => {
      while (writing) {
        // Writers keep ahead of the kills, not of the machine.
        if (written >= allowed) await waitFor(() => written < allowed || !writing)
        acknowledged.set(id, await write(store, id, bucketOf(id)))
        written++
      }
    })
    const state = { s: seed }
    for (let i = 0; i < kills; i++) {
      const target = written + 20 + Math.floor(random(state) * 100)
      allowed = target + 50
      await waitFor(() => written >= target)
      const instance = random(state) < 0.5 ? 'a' : 'b'
      const child = children.get(instance)!
      child.kill('SIGKILL')
      await once(child, 'exit')
      await launch(`${instance}`)
    }
    writing = false
    await Promise.all(writers)

    const rows = collectionOf(store.db, tallies)
    const all = { bucket: { $in: ids.map(bucketOf) }, _id: { $in: ids } }
    await waitFor(
      async () =>
        (await rows.find(all).toArray()).filter((row) => row.last >= (acknowledged.get(row._id) ?? 0)).length ===
        ids.length,
      { timeoutMs: 60_000, message: 'every acknowledged write reaches its effect' }
    )
    for (const row of await rows.find(all).toArray()) {
      const expected = acknowledged.get(row._id)
      t.same(
        { last: row.last, applied: row.applied, disorder: row.disorder ?? [] },
        { last: expected, applied: expected, disorder: [] }
      )
    }
    t.comment(`${written} writes`)
  }
)
