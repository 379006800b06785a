import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { type DataOf, defineEvent } from '@skerry/contracts'
import { bucketOf, collectionOf, defineCollection, newId, openStore, randomBucket, transaction } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import Type from 'typebox'
import {
  eventCollections,
  on,
  publish,
  publishBoth,
  type Subscription,
  startConsumer,
  startRelay
} from '../src/index.ts'

const base = { subject: 'content.ship.sailed', summary: 'Only for tests.' } as const
const members = { id: Type.String(), n: Type.Integer() }
const V1 = defineEvent({
  ...base,
  version: 1,
  entity: (d) => d.id,
  data: Type.Object({ ...members, port: Type.String() })
})
const V2 = defineEvent({
  ...base,
  version: 2,
  entity: (d) => d.id,
  data: Type.Object({ ...members, port: Type.Object({ name: Type.String() }) })
})

type Seen = { _id: string; bucket: number; list: string[] }
const seen = defineCollection<Seen>({ name: 'seen', shardKey: { bucket: 1, _id: 1 }, indexes: [] })
const silent = { debug() {}, info() {}, warn() {}, error() {} }
const stores = await useStores(t)
const store = await openStore({
  url: stores.mongoUrl,
  database: stores.database('versions'),
  collections: [...eventCollections, seen],
  checkQueries: true
})
const nc = await connect({ servers: stores.nats.url, user: stores.nats.user, pass: stores.nats.password })
t.teardown(async () => {
  await nc.close()
  await store.close()
})
const common = { store, nc, service: 'content', instance: 'a', log: silent, leaseMs: 10_000, partitions: 1 }
const id = newId(randomBucket())
const dataOf = (n: number): [DataOf<typeof V1>, DataOf<typeof V2>] => [
  { id, n, port: 'Oban' },
  { id, n, port: { name: 'Oban' } }
]
const publishN = (n: number, how: 'old' | 'both' | 'new') =>
  transaction(store, {}, async (tx) => {
    const [one, two] = dataOf(n)
    if (how === 'old') publish(store, tx, V1, one)
    else if (how === 'new') publish(store, tx, V2, two)
    else publishBoth(store, tx, [V1, one], [V2, two])
  })

/** What a consumer applied, one after the other: `1 v1`, `2 v2`. The list is its effect: what came twice would stand there twice. */
function consumer(purpose: string, versions: readonly (1 | 2)[]) {
  const note = (n: number, version: number, tx: Parameters<Subscription['handle']>[1]) =>
    collectionOf(store.db, seen)
      .updateOne(
        { bucket: bucketOf(id), _id: purpose },
        { $push: { list: `${n} v${version}` } },
        { upsert: true, session: tx.session }
      )
      .then(() => undefined)
  const all = {
    1: on(V1, ({ data }, tx) => note(data.n, 1, tx)),
    2: on(V2, ({ data }, tx) => note(data.n, 2, tx))
  }
  return startConsumer({ ...common, purpose, subscriptions: versions.map((version) => all[version]) })
}
const listOf = async (purpose: string) =>
  (await collectionOf(store.db, seen).findOne({ bucket: bucketOf(id), _id: purpose }))?.list ?? []
const handled = (purpose: string, last: string) =>
  waitFor(async () => (await listOf(purpose)).at(-1)?.startsWith(`${last} `), {
    message: `${purpose} has seen ${last}`
  })
const drained = (purpose: string) =>
  waitFor(async () => {
    const { num_pending, num_ack_pending } = await (await jetstreamManager(nc)).consumers.info(
      'content',
      `content--${purpose}`
    )
    return num_pending + num_ack_pending === 0
  })

t.test('two versions of one subject side by side, and a consumer that moves from one to the other', async (t) => {
  const relay = startRelay(common)
  const old = consumer('old', [1])
  let moving = consumer('moving', [1])
  const next = consumer('next', [2])

  await publishN(1, 'old')
  await handled('moving', '1')
  for (const n of [2, 3]) await publishN(n, 'both')
  await handled('moving', '3')

  // Its next release handles both; what it has applied as version 1 comes to it as version 2 as well.
  await moving.stop()
  await publishN(4, 'both')
  moving = consumer('moving', [1, 2])
  await publishN(5, 'both')
  await handled('moving', '5')
  await drained('moving')

  // The one after it has left version 1 out, and lastly so does the publisher.
  await moving.stop()
  await publishN(6, 'both')
  moving = consumer('moving', [2])
  await publishN(7, 'both')
  await publishN(8, 'new')
  await handled('moving', '8')
  await handled('next', '8')
  await handled('old', '7')
  for (const purpose of ['old', 'moving', 'next']) await drained(purpose)

  t.same(
    await listOf('old'),
    [1, 2, 3, 4, 5, 6, 7].map((n) => `${n} v1`)
  )
  t.same(
    await listOf('next'),
    [2, 3, 4, 5, 6, 7, 8].map((n) => `${n} v2`)
  )
  const moved = await listOf('moving')
  t.same(
    moved.map((one) => Number(one.split(' ')[0])),
    [1, 2, 3, 4, 5, 6, 7, 8],
    'each fact once, in order'
  )
  t.match(moved, { 0: '1 v1', 2: '3 v1', 6: '7 v2', 7: '8 v2' })

  const { state } = await (await jetstreamManager(nc)).streams.info('content', { subjects_filter: 'content.ship.>' })
  t.same(state.subjects, { 'content.ship.sailed.v1.0': 7, 'content.ship.sailed.v2.0': 7 })
  for (const part of [relay, old, moving, next]) await part.stop()
})

t.test('both are versions of one fact, or the write fails', async (t) => {
  const [one, two] = dataOf(9)
  const Other = defineEvent({ ...V2, subject: 'content.ship.sunk' })
  const attempt = (work: (tx: Parameters<typeof publish>[1]) => void) => transaction(store, {}, async (tx) => work(tx))
  await t.rejects(
    attempt((tx) => publishBoth(store, tx, [V2, two], [V1, one])),
    /not an older and a newer version of one event/
  )
  await t.rejects(
    attempt((tx) => publishBoth(store, tx, [V1, one], [V1, one])),
    /not an older and a newer version/
  )
  await t.rejects(
    attempt((tx) => publishBoth(store, tx, [V1, one], [Other, two])),
    /not an older and a newer version/
  )
  await t.rejects(
    attempt((tx) => publishBoth(store, tx, [V1, one], [V2, { ...two, id: 'x' }])),
    /not about the same entity/
  )
  await t.rejects(
    attempt((tx) => publishBoth(store, tx, [V1, one], [V2, { ...two, n: 'x' as never }])),
    /v2 does not fit its contract/
  )
})
