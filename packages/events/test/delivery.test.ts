import { jetstream } from '@nats-io/jetstream'
import { bucketOf, collectionOf, newId, randomBucket } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { on, publish, startConsumer, startRelay } from '../src/index.ts'
import { NO_METRICS } from '../src/metrics.ts'
import { outbox } from '../src/outbox.ts'
import { Counted, tallies, tally, write } from './fixtures/counting.ts'
import { openService } from './fixtures/service.ts'

const stores = await useStores(t)
const open = (t: { teardown(f: () => Promise<void>): unknown }, name: string) => openService(t, stores, name)

t.test('every committed event is applied once, in order of its entity', async (t) => {
  const { store, common } = await open(t, 'order')
  const ids = Array.from({ length: 8 }, () => newId(randomBucket()))
  const relay = startRelay(common)
  const consumer = startConsumer({
    ...common,
    purpose: 'order',
    subscriptions: [on(Counted, (e, tx) => tally(store, e, bucketOf(e.data.id), tx))]
  })
  // Writers of one entity race each other: the order of their commits is what must be kept.
  await Promise.all(
    ids.flatMap((id) =>
      [0, 1, 2].map(async () => {
        for (let i = 0; i < 5; i++) await write(store, id, bucketOf(id))
      })
    )
  )
  const rows = collectionOf(store.db, tallies)
  const filter = { bucket: { $in: ids.map(bucketOf) }, _id: { $in: ids } }
  await waitFor(async () => (await rows.countDocuments({ ...filter, applied: { $gte: 15 } })) === ids.length)
  for (const row of await rows.find(filter).toArray()) {
    t.same(
      { last: row.last, applied: row.applied, disorder: row.disorder ?? [] },
      { last: 15, applied: 15, disorder: [] }
    )
  }
  await waitFor(
    async () =>
      (await collectionOf(store.db, outbox).countDocuments({ pending: true }, { comment: 'relay-pending' })) === 0
  )
  await consumer.stop()
  await relay.stop()
})

t.test('a write that does not commit publishes nothing', async (t) => {
  const { store } = await open(t, 'abort')
  const { transaction } = await import('@skerry/store')
  await t.rejects(
    transaction(store, {}, async (tx) => {
      publish(store, tx, Counted, { id: newId(1), n: 1 })
      throw new Error('no')
    }),
    { message: 'no' }
  )
  await t.rejects(
    transaction(store, {}, async (tx) => publish(store, tx, Counted, { id: newId(1), n: 'x' as never })),
    /does not fit its contract/
  )
  t.equal(await collectionOf(store.db, outbox).countDocuments({ pending: true }, { comment: 'relay-pending' }), 0)
})

t.test('what comes again changes nothing, even past the duplicate window', async (t) => {
  const { store, nc, common } = await open(t, 'again')
  const relay = startRelay(common)
  const consumer = startConsumer({
    ...common,
    purpose: 'again',
    subscriptions: [on(Counted, (e, tx) => tally(store, e, bucketOf(e.data.id), tx))]
  })
  const id = newId(randomBucket())
  await write(store, id, bucketOf(id))
  const rows = collectionOf(store.db, tallies)
  await waitFor(async () => (await rows.findOne({ bucket: bucketOf(id), _id: id })) !== null)
  // Without Nats-Msg-Id JetStream can't know the repeat: the inbox alone has to.
  const record = await collectionOf(store.db, outbox).findOne({}, { sort: { seq: 1 }, comment: 'relay-rebuild' })
  const { toHeaders } = await import('../src/headers.ts')
  const again = {
    id: record!._id,
    subject: record!.subject,
    entity: id,
    orderKey: id,
    time: record!.at.toISOString(),
    traceparent: undefined
  }
  for (let i = 0; i < 5; i++)
    await jetstream(nc).publish(`${record!.subject}.0`, record!.payload, { headers: toHeaders('content', again) })
  await write(store, id, bucketOf(id))
  await waitFor(async () => (await rows.findOne({ bucket: bucketOf(id), _id: id }))?.last === 2)
  t.match(await rows.findOne({ bucket: bucketOf(id), _id: id }), { applied: 2, last: 2 })
  await consumer.stop()
  await relay.stop()
})

t.test('a poison event becomes a dead letter and holds nobody else up', async (t) => {
  const { store, jsm, common } = await open(t, 'poison')
  const relay = startRelay(common)
  const consumer = startConsumer({
    ...common,
    purpose: 'poison',
    backoffMs: [10, 20],
    subscriptions: [
      on(Counted, async (e, tx) => {
        if (e.data.poison) throw new Error('cannot digest this')
        await tally(store, e, bucketOf(e.data.id), tx)
      })
    ]
  })
  const [bad, good] = [newId(randomBucket()), newId(randomBucket())]
  await write(store, bad, bucketOf(bad), { poison: true })
  await write(store, good, bucketOf(good))
  const rows = collectionOf(store.db, tallies)
  await waitFor(async () => (await rows.findOne({ bucket: bucketOf(good), _id: good })) !== null)
  await waitFor(async () => (await jsm.streams.info('dlq_content')).state.messages === 1)
  const letter = await jsm.direct.getMessage('dlq_content', { seq: 1 })
  t.equal(letter?.subject, 'dlq.content.poison')
  t.equal(letter?.header.get('skerry-attempts'), '3')
  t.match(letter?.header.get('skerry-error'), /cannot digest this/)
  t.equal(letter?.header.get('ce-subject'), bad)
  t.same(letter?.json(), { id: bad, n: 1, poison: true })
  await waitFor(async () => (await jsm.consumers.info('content', 'content--poison')).num_ack_pending === 0)
  await consumer.stop()
  await relay.stop()
})

t.test('an acknowledgement that is lost keeps nothing waiting, and its event has no second effect', async (t) => {
  const { store, nc, jsm, common } = await open(t, 'lost-ack')
  const id = newId(randomBucket())
  for (let i = 0; i < 3; i++) await write(store, id, bucketOf(id))
  const relay = startRelay(common)
  const { protocol } = nc as unknown as { protocol: { publish(subject: string, ...rest: unknown[]): void } }
  const plain = protocol.publish.bind(protocol)
  let lost = 0
  const asked: unknown[] = []
  protocol.publish = (subject, ...rest) => {
    if (subject.startsWith('$JS.ACK.')) asked.push((rest[1] as { reply?: string } | undefined)?.reply)
    if (subject.startsWith('$JS.ACK.') && lost === 0) lost++
    else plain(subject, ...rest)
  }
  const outcomes: string[] = []
  const start = () =>
    startConsumer({
      ...common,
      purpose: 'lost',
      metrics: { ...NO_METRICS, handled: (_consumer, _subject, outcome) => void outcomes.push(outcome) },
      subscriptions: [on(Counted, (e, tx) => tally(store, e, bucketOf(e.data.id), tx))]
    })
  const info = () => jsm.consumers.info('content', 'content--lost')
  const first = start()
  await waitFor(() => outcomes.length === 3)
  await waitFor(async () => (await info()).num_ack_pending === 1)
  t.equal(lost, 1)
  t.same(asked, [undefined, undefined, undefined], 'nobody is to answer them')
  await first.stop()
  const second = start()
  await waitFor(async () => {
    const { num_ack_pending, num_pending } = await info()
    return num_ack_pending + num_pending === 0 && outcomes.length > 3
  })
  t.same(outcomes.slice(0, 3), ['applied', 'applied', 'applied'], 'the next ones did not wait for it')
  t.same([...new Set(outcomes.slice(3))], ['duplicate'])
  const row = await collectionOf(store.db, tallies).findOne({ bucket: bucketOf(id), _id: id })
  t.match(row, { last: 3, applied: 3 })
  t.notOk(row?.disorder)
  await second.stop()
  await relay.stop()
})

t.test('a stream that was deleted is filled again, and nothing is applied twice', async (t) => {
  const { store, jsm, common } = await open(t, 'rebuild')
  const id = newId(randomBucket())
  const rows = collectionOf(store.db, tallies)
  const subscriptions = [
    on(Counted, (e: Parameters<typeof tally>[1], tx: Parameters<typeof tally>[3]) =>
      tally(store, e, bucketOf(e.data.id), tx)
    )
  ]
  const first = [startRelay(common), startConsumer({ ...common, purpose: 'rebuild', subscriptions })]
  for (let i = 0; i < 10; i++) await write(store, id, bucketOf(id))
  await waitFor(async () => (await rows.findOne({ bucket: bucketOf(id), _id: id }))?.last === 10)
  for (const part of first.reverse()) await part.stop()
  await jsm.streams.delete('content')
  for (let i = 0; i < 5; i++) await write(store, id, bucketOf(id))
  const second = [startRelay(common), startConsumer({ ...common, purpose: 'rebuild', subscriptions })]
  await waitFor(async () => (await rows.findOne({ bucket: bucketOf(id), _id: id }))?.last === 15)
  const { state } = await jsm.streams.info('content', { subjects_filter: 'content.test.>' })
  t.same(Object.values(state.subjects ?? {}), [15])
  t.match(await rows.findOne({ bucket: bucketOf(id), _id: id }), { applied: 15 })
  t.same((await rows.findOne({ bucket: bucketOf(id), _id: id }))?.disorder ?? [], [])
  for (const part of second.reverse()) await part.stop()
})
