import { setTimeout as delay } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { collectionOf, leases, openStore, readRoles, type Store, storeWith } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { on } from '../src/index.ts'
import { NO_METRICS } from '../src/metrics.ts'
import { runOwned } from '../src/owner.ts'
import { createPlaces } from '../src/places.ts'
import { consumePartition } from '../src/stream-consumer.ts'
import { ensureStreams } from '../src/streams.ts'
import { Counted, openTestStore } from './fixtures/counting.ts'

const stores = await useStores(t)
const log = { debug() {}, info() {}, warn() {}, error() {} }

t.test('one instance works, the other stands by and takes over when it stops', async (t) => {
  const store = await openStore({
    url: stores.mongoUrl,
    database: stores.database('owner'),
    collections: [leases],
    checkQueries: true
  })
  t.teardown(() => store.close())
  const running = new Set<string>()
  const start = (instance: string) =>
    runOwned({
      store,
      name: 'work',
      instance,
      log,
      leaseMs: 4_000,
      work: async (signal, working) => {
        running.add(instance)
        working()
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
        running.delete(instance)
      }
    })
  const a = start('a')
  await waitFor(() => a.owner())
  const b = start('b')
  await waitFor(() => b.attached())
  t.notOk(b.owner())
  await a.stop()
  await waitFor(() => b.owner())
  t.same([...running], ['b'])
  await b.stop()
  t.equal(running.size, 0)
  t.equal((await readRoles(store)).owners.size, 0, 'the role was given up')
})

t.test('a clock that is put back leaves no role with an instance that hears nothing of the database', async (t) => {
  const store = await openStore({ url: stores.mongoUrl, database: stores.database('clock'), collections: [leases] })
  const one = runOwned({
    ...{ store, name: 'work', instance: 'a', log, leaseMs: 600 },
    work: async (signal, working) => {
      working()
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    }
  })
  await waitFor(() => one.owner())
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  Date.now = () => now() - 3_600_000
  await store.close()
  await waitFor(() => !one.owner(), { message: 'it gives its role up' })
  t.notOk(one.attached())
  await one.stop()
})

t.test('while a process of an earlier release has a role, an instance stands by and is not away', async (t) => {
  const store = await openStore({ url: stores.mongoUrl, database: stores.database('earlier'), collections: [leases] })
  t.teardown(() => store.close())
  const documents = store.db.collection<{ _id: string; until: Date }>(leases.name)
  await documents.insertOne({ _id: 'work', until: new Date(Date.now() + 3_600_000) })
  const standings: unknown[] = []
  const noted = { ...log, debug: (said: object) => standings.push((said as { standing?: unknown }).standing) }
  const join = (name: string) =>
    runOwned({
      ...{ store, name, instance: 'a', log: noted, leaseMs: 12_000 },
      work: async (signal, working) => {
        working()
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      }
    })
  const work = join('work')
  await waitFor(() => work.attached())
  // Whoever joins has all leases of the instance looked at.
  const more = join('more')
  t.ok(work.attached(), 'it was not found to be away')
  await waitFor(() => more.attached())
  t.strictSame(standings, ['standby', 'standby'])
  await documents.deleteOne({ _id: 'work' })
  await waitFor(() => work.owner() && more.owner(), { message: 'it follows the other' })
  await Promise.all([work.stop(), more.stop()])
})

t.test('views of one store are one member: none of them gives up what another has', async (t) => {
  const store = await openStore({ url: stores.mongoUrl, database: stores.database('views'), collections: [leases] })
  t.teardown(() => store.close())
  const start = (view: Store, name: string) =>
    runOwned({
      ...{ store: view, name, instance: 'a', log, leaseMs: 300 },
      work: async (signal, working) => {
        working()
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      }
    })
  const all = [start(store, 'one'), start(storeWith(store, { things: 'others' }), 'two')]
  await waitFor(() => all.every((one) => one.owner()))
  const seen = new Set<number>()
  await waitFor(async () => {
    const document = await collectionOf(store.db, leases).findOne({ _id: 'roles' })
    seen.add(document!.members[0]!.until.getTime())
    if (document!.owners.length !== 2) throw new Error(`roles of ${JSON.stringify(document!.owners)} alone`)
    return seen.size >= 8
  })
  t.same([...(await readRoles(store)).owners].sort(), [
    ['one', 'a'],
    ['two', 'a']
  ])
  await Promise.all(all.map((one) => one.stop()))
})

t.test('shares go over however quickly their work ends, and whatever renewal is on its way', async (t) => {
  const store = await openStore({ url: stores.mongoUrl, database: stores.database('quick'), collections: [leases] })
  t.teardown(() => store.close())
  const start = (instance: string) =>
    Array.from({ length: 8 }, (_, part) =>
      runOwned({
        ...{ store, name: `part ${part}`, instance, log, leaseMs: 900, share: { what: 'parts', part, of: 8 } },
        work: async (signal, working) => {
          working()
          await new Promise((resolve) => signal.addEventListener('abort', resolve))
          // As long as a renewal, now and then.
          await delay(part)
        }
      })
    )
  const countOf = async (instance: string) =>
    [...(await readRoles(store)).owners.values()].filter((owner) => owner === instance).length
  const one = start('one')
  for (let round = 0; round < 5; round++) {
    await waitFor(async () => (await countOf('one')) === 8, { message: 'one has all' })
    const two = start('two')
    await waitFor(async () => (await countOf('one')) === 4 && (await countOf('two')) === 4, {
      message: 'both have as many'
    })
    await Promise.all(two.map((part) => part.stop()))
  }
  await Promise.all(one.map((part) => part.stop()))
})

t.test('work that fails starts again', async (t) => {
  const store = await openStore({ url: stores.mongoUrl, database: stores.database('again'), collections: [leases] })
  t.teardown(() => store.close())
  let starts = 0
  const owned = runOwned({
    store,
    name: 'work',
    instance: 'a',
    log,
    work: async (signal, working) => {
      if (++starts < 3) throw new Error('not yet')
      working()
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
    }
  })
  await waitFor(() => owned.owner())
  t.equal(starts, 3)
  await owned.stop()
})

t.test('consuming that is stopped while it begins ends at once', async (t) => {
  const store = await openTestStore(stores.mongoUrl, stores.database('stopped'))
  const nc = await connect({ servers: stores.nats.url, user: stores.nats.user, pass: stores.nats.password })
  t.teardown(async () => {
    await nc.close()
    await store.close()
  })
  await ensureStreams(store, await jetstreamManager(nc), 'content', 1)
  await t.rejects(
    consumePartition({
      ...{ store, nc, service: 'content', stream: 'content', consumer: 'content--stopped', log, metrics: NO_METRICS },
      ...{ concurrency: 1, backoffMs: [], working() {}, repartitioned() {}, places: createPlaces(1) },
      partition: { index: 0, of: 1, token: '.0' },
      stretches: { join: () => () => undefined, wake() {}, late() {}, keepFloor() {}, stop() {} },
      batches: { join: async () => undefined, turnOf: () => undefined, hurry() {}, mostOf: () => 1, flush() {} },
      subscriptions: [on(Counted, async () => undefined)],
      signal: AbortSignal.abort(new Error('stopping'))
    }).then(() => Promise.reject(new Error('ended'))),
    { message: /stopping|ended/ }
  )
})
