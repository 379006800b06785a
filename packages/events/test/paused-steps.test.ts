import { once } from 'node:events'
import { bucketOf, collectionOf, newId, randomBucket } from '@skerry/store'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import { fromHeaders, on, startConsumer, startRelay } from '../src/index.ts'
import { Counted, rowOf, tallies, tally, write } from './fixtures/counting.ts'
import { KILL_POINTS, type KillPoint } from './fixtures/kill-points.ts'
import { launch } from './fixtures/launch.ts'
import { startOwnStores } from './fixtures/own-stores.ts'
import { openService } from './fixtures/service.ts'

// Its own, since mongod is to end the transaction of a paused process soon.
const stores = await startOwnStores(t, 'paused')
/** Events of each person before the pause, and after it: all together are several times what is passed before the pause. */
const EACH = 6
/** What a paused consumer had asked for is over when its lease is, as in production. */
const LEASE_MS = { relay: 1_000, consumer: 8_000 } as const
t.setTimeout(600_000)
// Most of a step is waiting, for a lease to run out: two go on beside each other, each with an account of its own.
t.jobs = 2

// Those of a consumer wait longest, and come first.
const ALL = (['consumer', 'relay'] as const).flatMap((role) =>
  (KILL_POINTS[role] as readonly KillPoint[]).map((step) => ({ role, step }))
)

for (const [at, { role, step }] of ALL.entries())
  t.test(
    `paused at "${step}" while another takes over, and let go: nothing is lost, twice or in disorder`,
    async (t) => {
      const name = `${role}${at}`
      const nats = await stores.anotherAccount()
      const service = await openService(t, { ...stores, nats }, name)
      const { store, jsm } = service
      await store.client.db('admin').command({ setParameter: 1, transactionLifetimeLimitSeconds: 2 })
      const leaseMs = LEASE_MS[role]
      const common = { ...service.common, leaseMs, partitions: 8 }
      const people = Array.from({ length: 8 }, () => newId(randomBucket()))
      const things = people.map((owner) => [1, 2].map(() => newId(bucketOf(owner))))
      const rows = people.map(rowOf)
      const writeAll = (times: number) =>
        Promise.all(
          people.map(async (owner, i) => {
            for (let n = 0; n < times; n++) {
              const id = things[i]![n % 2]!
              await write(store, id, bucketOf(id), { owner })
            }
          })
        )
      const kept = () =>
        collectionOf(store.db, tallies)
          .find({ bucket: { $in: rows.map(bucketOf) }, _id: { $in: rows } })
          .toArray()
      const applied = (times: number) =>
        waitFor(
          async () => {
            const found = await kept()
            return found.length === rows.length && found.every(({ last }) => last >= times)
          },
          { message: `${times} events of each person have had their effect` }
        )
      const relay = () => startRelay({ ...common, instance: 'other' })
      const consumer = () =>
        startConsumer({
          ...{ ...common, instance: 'other', purpose: 'tally' },
          subscriptions: [on(Counted, (event, tx) => tally(store, event, bucketOf(event.data.id), tx))]
        })

      const beside = role === 'relay' ? consumer() : relay()
      const { child, isPaused } = launch(t, {
        ...{ role, instance: 'victim', leaseMs, nats },
        mongo: { url: stores.mongoUrl, database: stores.database(name) },
        // Marks are written for all that was acknowledged since the last: on a quick machine few times, or once.
        kill: { step, nth: step.startsWith('ack:') ? 1 : 10, how: 'paused' }
      })
      await once(child, 'message')
      await writeAll(EACH)
      await waitFor(isPaused)
      const other = role === 'relay' ? relay() : consumer()
      await applied(EACH)
      child.kill('SIGCONT')
      await writeAll(EACH)
      await applied(EACH * 2)

      const expected = { last: EACH * 2, applied: EACH * 2, disorder: undefined }
      for (const { last, applied, disorder } of await kept()) t.same({ last, applied, disorder }, expected)
      const first = new Map<string, number>()
      const { state } = await jsm.streams.info('content')
      for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
        const message = await jsm.streams.getMessage('content', { seq })
        if (message === null || fromHeaders(message.subject, message.header) === undefined) continue
        const { owner } = message.json<{ owner: { id: string; n: number } }>()
        const before = first.get(owner.id) ?? 0
        if (owner.n !== before + 1) t.fail(`${owner.n} after ${before} in the stream`)
        first.set(owner.id, owner.n)
      }
      t.same(
        [...first.values()],
        people.map(() => EACH * 2),
        'the stream has all of it once and in order'
      )
      await other.stop()
      await beside.stop()
    }
  )
