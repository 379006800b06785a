import { bucketOf, collectionOf, newId, randomBucket, transaction } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { faults } from '../src/faults.ts'
import { keyOf } from '../src/inbox.ts'
import { on, onIdempotent, publish, startConsumer, startRelay } from '../src/index.ts'
import { NO_METRICS } from '../src/metrics.ts'
import { outbox } from '../src/outbox.ts'
import { createPlaces } from '../src/places.ts'
import { Counted, tally, write } from './fixtures/counting.ts'
import { openService, tallying, tallyOf } from './fixtures/service.ts'

const stores = await useStores(t)
/** A wait between attempts that no test lives to see the end of. */
const LONG_MS = 3_600_000

t.test('more poison than there are places, each with long waits, keeps no other entity waiting', async (t) => {
  const { store, common } = await openService(t, stores, 'places')
  const relay = startRelay(common)
  let failed = 0
  const handled = (_: string, __: string, outcome: string) => void (outcome === 'retried' && failed++)
  const consumer = startConsumer({
    ...common,
    metrics: { ...NO_METRICS, handled },
    purpose: 'places',
    concurrency: 4,
    backoffMs: [LONG_MS],
    subscriptions: tallying(store)
  })
  const bad = Array.from({ length: 12 }, () => newId(randomBucket()))
  for (const id of bad) await write(store, id, bucketOf(id), { poison: true })
  const good = newId(randomBucket())
  await write(store, good, bucketOf(good))
  await waitFor(async () => (await tallyOf(store, good))?.last === 1)
  await waitFor(() => failed === 12)
  await consumer.stop()
  await relay.stop()
})

t.test('many events behind a poisonous one find their turn in order, and others do not wait for them', async (t) => {
  const { store, jsm, common } = await openService(t, stores, 'behind')
  const crowded = newId(randomBucket())
  await write(store, crowded, bucketOf(crowded), { poison: true })
  // More than a consumer holds at once.
  for (let n = 2; n <= 601; n += 100)
    await transaction(store, {}, async (tx) => {
      for (let i = 0; i < 100; i++) publish(store, tx, Counted, { id: crowded, n: n + i })
    })
  const good = newId(randomBucket())
  await write(store, good, bucketOf(good))
  let digestible = false
  const relay = startRelay(common)
  const consumer = startConsumer({
    ...common,
    purpose: 'behind',
    backoffMs: Array.from({ length: 10_000 }, () => 50),
    subscriptions: [
      on(Counted, async (e, tx) => {
        if (e.data.poison && !digestible) throw new Error('cannot digest this')
        await tally(store, e, bucketOf(e.data.id), tx)
      })
    ]
  })
  await waitFor(async () => (await tallyOf(store, good))?.last === 1, { message: 'the last event of all is applied' })
  t.equal(await tallyOf(store, crowded), null, 'the crowd waits behind its first')
  digestible = true
  await waitFor(async () => (await tallyOf(store, crowded))?.last === 601, { timeoutMs: 60_000 })
  t.match(await tallyOf(store, crowded), { applied: 601 })
  t.notOk((await tallyOf(store, crowded))?.disorder)
  t.equal((await jsm.streams.info('dlq_content')).state.messages, 0)
  await consumer.stop()
  await relay.stop()
})

for (const [kind, subscribe] of Object.entries({ on, onIdempotent }))
  t.test(`a handler that never returns fails its attempts, and keeps nobody waiting for ever (${kind})`, async (t) => {
    const { store, jsm, common } = await openService(t, stores, `never-${kind.toLowerCase()}`)
    const relay = startRelay(common)
    const stuck = newId(randomBucket())
    const seen: string[] = []
    const consumer = startConsumer({
      ...common,
      purpose: 'never',
      backoffMs: [1],
      handlerLimitMs: 20,
      subscriptions: [
        subscribe(Counted, async ({ data }) => {
          seen.push(`${data.id === stuck ? 'stuck' : 'other'} ${data.n}`)
          if (data.poison) await new Promise<never>(() => undefined)
        })
      ]
    })
    await write(store, stuck, bucketOf(stuck), { poison: true })
    await write(store, stuck, bucketOf(stuck))
    await waitFor(() => seen.includes('stuck 2'), { message: 'the event behind it is applied' })
    t.equal(seen.filter((one) => one === 'stuck 1').length >= 2, true, 'it was tried again before')
    const letters = await jsm.streams.info('dlq_content')
    t.equal(letters.state.messages, 1, 'and is a dead letter then')
    await consumer.stop()
    await relay.stop()
  })

t.test('a restart does not begin the attempts anew', async (t) => {
  const { store, jsm, common } = await openService(t, stores, 'restart')
  const id = newId(randomBucket())
  await write(store, id, bucketOf(id), { poison: true })
  const relay = startRelay(common)
  const start = (backoffMs: number[]) =>
    startConsumer({ ...common, purpose: 'restart', backoffMs, subscriptions: tallying(store) })
  const event = await collectionOf(store.db, outbox).findOne({}, { sort: { seq: 1 }, comment: 'relay-rebuild' })
  const noted = () => collectionOf(store.db, faults).findOne(keyOf('content--restart', event!._id, id))
  const first = start([0, LONG_MS, 0])
  await waitFor(async () => (await noted())?.count === 2)
  const before = await noted()
  await first.stop()
  const second = start([0, 0, 0])
  await waitFor(async () => (await jsm.streams.info('dlq_content')).state.messages === 1)
  const letter = await jsm.direct.getMessage('dlq_content', { seq: 1 })
  t.equal(letter?.header.get('skerry-attempts'), '4')
  t.equal(letter?.header.get('skerry-first-at'), before?.firstAt.toISOString())
  t.ok(Date.parse(letter!.header.get('skerry-last-at')) >= before!.lastAt.getTime())
  t.match(letter?.header.get('skerry-error'), /cannot digest this/)
  t.match(
    [letter?.header.get('skerry-stream'), letter?.header.get('skerry-sequence'), letter?.header.get('ce-subject')],
    ['content', '1', id]
  )
  await waitFor(async () => (await noted()) === null)
  await second.stop()
  await relay.stop()
})

t.test('an event that is too large for NATS fails its write', async (t) => {
  const { store } = await openService(t, stores, 'large')
  await t.rejects(
    transaction(store, {}, async (tx) => publish(store, tx, Counted, { id: 'x'.repeat(1_100_000), n: 1 })),
    /1000000 are allowed/
  )
})

t.test('places are given in turn, and given back by what fails', async (t) => {
  const places = createPlaces(1)
  const order: string[] = []
  let wake: () => void = () => undefined
  const first = places.use(async () => {
    order.push('a begins')
    await new Promise<void>((resolve) => (wake = resolve))
    order.push('a ends')
    throw new Error('a fails')
  })
  const others = ['b', 'c'].map((name) => places.use(async () => void order.push(name)))
  wake()
  await t.rejects(first, /a fails/)
  await Promise.all(others)
  t.same(order, ['a begins', 'a ends', 'b', 'c'])
})
