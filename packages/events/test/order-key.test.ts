import type { NatsConnection } from '@nats-io/transport-node'
import { bucketOf, collectionOf, newId, randomBucket, type Store } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { fromHeaders, on, startConsumer, startRelay } from '../src/index.ts'
import { outbox } from '../src/outbox.ts'
import { Counted, rowOf, tallies, tally, write } from './fixtures/counting.ts'
import { openService } from './fixtures/service.ts'

const stores = await useStores(t)
// Most of it is waiting for publishes that have to be repeated: some go on beside each other, each in an account of its own.
t.jobs = 3
const open = async (t: Test, name: string) => openService(t, { ...stores, nats: await stores.anotherAccount() }, name)

type Service = Awaited<ReturnType<typeof openService>>
type Numbered = { id: string; n: number; owner?: { id: string; n: number }; poison?: true }

/** An owner, and things of theirs: different entities, whose events are in one order. */
function ownerWith(things: number): { owner: string; ids: string[] } {
  const owner = newId(randomBucket())
  return { owner, ids: Array.from({ length: things }, () => newId(bucketOf(owner))) }
}

const writeAll = async (store: Store, { owner, ids }: { owner: string; ids: readonly string[] }) => {
  for (const id of ids) await write(store, id, bucketOf(id), { owner })
}

/** The events of the stream in its order. */
async function published({ jsm }: Service): Promise<Numbered[]> {
  const { state } = await jsm.streams.info('content')
  const found: Numbered[] = []
  for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage('content', { seq })
    if (message !== null && fromHeaders(message.subject, message.header) !== undefined) found.push(message.json())
  }
  return found
}

const countOf = async ({ jsm }: Service) => (await jsm.streams.info('content').catch(() => undefined))?.state.messages

const recordsOf = (store: Store) =>
  collectionOf(store.db, outbox)
    .find({}, { sort: { seq: 1 }, comment: 'relay-rebuild' })
    .toArray()

/** Loses what is published of an entity on its way to the server, the first time: it is sent again when no acknowledgement has come. */
function loseFirst(nc: NatsConnection, id: string): { lost(): boolean } {
  const { protocol } = nc as unknown as {
    protocol: { publish(subject: string, payload: unknown, ...rest: unknown[]): void }
  }
  const plain = protocol.publish.bind(protocol)
  let lost = false
  protocol.publish = (subject, payload, ...rest) => {
    const found = subject.startsWith('content.test.') && JSON.parse(Buffer.from(payload as Buffer).toString()).id === id
    if (found && !lost) lost = true
    else plain(subject, payload, ...rest)
  }
  return { lost: () => lost }
}

t.test('a publish that has to be repeated is not overtaken by its key, whatever that is about', async (t) => {
  const service = await open(t, 'repeated')
  const { store, nc, common } = service
  const { owner, ids } = ownerWith(3)
  const other = ownerWith(1)
  const lost = loseFirst(nc, ids[0]!)
  const relay = startRelay(common)
  await writeAll(store, { owner, ids })
  await writeAll(store, other)
  await waitFor(async () => (await countOf(service)) === 1, { message: 'another key does not wait' })
  t.ok(lost.lost())
  await waitFor(async () => (await countOf(service)) === 4)
  t.same(
    (await published(service)).map(({ id }) => id),
    [...other.ids, ...ids]
  )
  await relay.stop()
})

t.test('a record lies in the bucket of its key, and its message names the key', async (t) => {
  const service = await open(t, 'bucket')
  const { store, jsm, common } = service
  const [owner, id] = [newId(17), newId(4_000)]
  const relay = startRelay(common)
  await write(store, id, bucketOf(id), { owner })
  await waitFor(async () => (await countOf(service)) === 1)
  const [record] = await recordsOf(store)
  t.match(record, { bucket: 17, entity: id, orderKey: owner })
  t.equal(bucketOf(record!._id), 17)
  const message = await jsm.streams.getMessage('content', { seq: 1 })
  t.equal(message?.header.get('ce-subject'), id)
  t.equal(message?.header.get('ce-partitionkey'), owner)
  await relay.stop()
})

/** A consumer whose handler waits at the first event of an entity, until it is let go. */
function startWaiting({ store, common }: Service, at: string) {
  const begun: string[] = []
  const { promise: gate, resolve: letGo } = Promise.withResolvers<void>()
  const consumer = startConsumer({
    ...common,
    purpose: 'waiting',
    subscriptions: [
      on(Counted, async (event, tx) => {
        if (begun.at(-1) !== event.data.id) begun.push(event.data.id)
        if (event.data.id === at) await gate
        await tally(store, event, bucketOf(event.data.id), tx)
      })
    ]
  })
  return { begun, letGo, consumer }
}

const appliedOf = async ({ store }: Service, ids: readonly string[]) =>
  (
    await collectionOf(store.db, tallies)
      .find({ bucket: { $in: ids.map(bucketOf) }, _id: { $in: [...ids] } })
      .toArray()
  ).reduce((sum, row) => sum + row.applied, 0)

t.test('an event that is worked on keeps its key waiting, and nobody else', async (t) => {
  const service = await open(t, 'worked-on')
  const { owner, ids } = ownerWith(3)
  const other = ownerWith(1)
  const { begun, letGo, consumer } = startWaiting(service, ids[0]!)
  const relay = startRelay(service.common)
  await writeAll(service.store, { owner, ids })
  await waitFor(async () => (await countOf(service)) === 3)
  await writeAll(service.store, other)
  await waitFor(async () => (await appliedOf(service, other.ids)) === 1, { message: 'another key does not wait' })
  t.notOk(begun.includes(ids[1]!) || begun.includes(ids[2]!), 'those of the key do')
  letGo()
  await waitFor(async () => (await appliedOf(service, ids)) === 3)
  t.same(
    begun.filter((id) => ids.includes(id)),
    ids
  )
  await consumer.stop()
  await relay.stop()
})

t.test('an event that fails keeps its key waiting until it is a dead letter', async (t) => {
  const service = await open(t, 'failing')
  const { store, jsm, common } = service
  const { owner, ids } = ownerWith(3)
  const seen: string[] = []
  const consumer = startConsumer({
    ...common,
    purpose: 'failing',
    backoffMs: [300, 300],
    subscriptions: [
      on(Counted, async ({ data }) => {
        seen.push(data.id)
        if (data.poison) throw new Error('cannot digest this')
      })
    ]
  })
  const relay = startRelay(common)
  await write(store, ids[0]!, bucketOf(owner), { owner, poison: true })
  await writeAll(store, { owner, ids: ids.slice(1) })
  await waitFor(() => seen.includes(ids[2]!))
  t.same(seen.slice(-5), [ids[0], ids[0], ids[0], ids[1], ids[2]])
  t.equal((await jsm.streams.info('dlq_content')).state.messages, 1)
  await consumer.stop()
  await relay.stop()
})

t.test('events that share transactions keep the order of their keys: no two of a key share one', async (t) => {
  const service = await open(t, 'sharing')
  const { store, common } = service
  const owners = Array.from({ length: 12 }, () => ownerWith(4))
  const relay = startRelay(common)
  for (let round = 0; round < 4; round++)
    for (const { owner, ids } of owners) await writeAll(store, { owner, ids: [ids[round]!] })
  await waitFor(async () => (await countOf(service)) === 48)
  await relay.stop()
  const transactions = new Map<string, string[]>()
  const consumer = startConsumer({
    ...common,
    purpose: 'sharing',
    subscriptions: [
      on(Counted, async (event, tx) => {
        const { id, serverSession } = tx.session
        const key = `${id?.id.toString('hex')} ${serverSession?.txnNumber}`
        transactions.set(key, [...(transactions.get(key) ?? []), event.orderKey])
        await tally(store, event, bucketOf(event.data.id), tx)
      })
    ]
  })
  const rows = owners.map(({ owner }) => rowOf(owner))
  await waitFor(async () => (await appliedOf(service, rows)) === 48)
  const kept = await collectionOf(store.db, tallies)
    .find({ bucket: { $in: rows.map(bucketOf) }, _id: { $in: rows } })
    .toArray()
  t.same(
    kept.map(({ last, applied, disorder }) => ({ last, applied, disorder })),
    rows.map(() => ({ last: 4, applied: 4, disorder: undefined }))
  )
  t.ok([...transactions.values()].some((keys) => keys.length > 1))
  t.same(
    [...transactions.values()].filter((keys) => new Set(keys).size < keys.length),
    []
  )
  await consumer.stop()
})

t.test('a lost stream is filled again in the order of the keys, also where a publish has to be repeated', async (t) => {
  const service = await open(t, 'refill')
  const { store, nc, jsm, common } = service
  const { owner, ids } = ownerWith(4)
  const relay = startRelay({ ...common, checkMs: 200 })
  await writeAll(store, { owner, ids })
  await writeAll(store, { owner, ids })
  await waitFor(async () => (await countOf(service)) === 8)
  const lost = loseFirst(nc, ids[0]!)
  await jsm.streams.delete('content')
  await waitFor(async () => (await published(service).catch(() => [])).length === 8, { timeoutMs: 60_000 })
  t.ok(lost.lost())
  t.same(
    (await published(service)).map(({ owner }) => owner?.n),
    [1, 2, 3, 4, 5, 6, 7, 8]
  )
  await relay.stop()
})

t.test('records and messages of a release before order keys stay in order with those that have one', async (t) => {
  const service = await open(t, 'before')
  const { store, nc, common } = service
  const { owner, ids } = ownerWith(4)
  await writeAll(store, { owner, ids: ids.slice(0, 2) })
  for (const { bucket, _id } of await recordsOf(store))
    await collectionOf(store.db, outbox).updateOne({ bucket, _id }, { $unset: { orderKey: 1 } })
  await writeAll(store, { owner, ids: ids.slice(2) })
  loseFirst(nc, ids[1]!)
  const relay = startRelay(common)
  await waitFor(async () => (await countOf(service)) === 4)
  t.same(
    (await published(service)).map(({ owner }) => owner?.n),
    [1, 2, 3, 4]
  )
  await relay.stop()
  const { begun, letGo, consumer } = startWaiting(service, ids[0]!)
  const other = ownerWith(1)
  const second = startRelay(common)
  await writeAll(store, other)
  await waitFor(async () => (await appliedOf(service, other.ids)) === 1)
  t.same(
    begun.filter((id) => ids.includes(id)),
    [ids[0]],
    'the consumer takes the key from the payload'
  )
  letGo()
  await waitFor(async () => (await appliedOf(service, ids)) === 4)
  t.same(
    begun.filter((id) => ids.includes(id)),
    ids
  )
  await consumer.stop()
  await second.stop()
})
