import { bucketOf, collectionOf, newId, randomBucket } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { on, startConsumer, startRelay } from '../src/index.ts'
import { outbox } from '../src/outbox.ts'
import { findDamage, streamStates } from '../src/streams.ts'
import { Counted, write } from './fixtures/counting.ts'
import { openService, tallying, tallyOf } from './fixtures/service.ts'

const stores = await useStores(t)

/** Ten events of an entity, published and applied, and both parts running. */
async function withTen(t: Test, name: string) {
  const service = await openService(t, stores, name)
  const { store, jsm, common } = service
  const id = newId(randomBucket())
  // What the relay notices is read from its log: it makes it good at once.
  const noticed: unknown[] = []
  const log = {
    ...common.log,
    warn(fields: object, message: string) {
      if (message === 'the stream was damaged') noticed.push((fields as { damage: string }).damage)
    }
  }
  const parts = [
    startRelay({ ...common, log, checkMs: 100 }),
    startConsumer({ ...common, purpose: name, subscriptions: tallying(store) })
  ]
  const stop = async () => {
    for (const part of parts) await part.stop()
  }
  for (let i = 0; i < 10; i++) await write(store, id, bucketOf(id))
  await waitFor(async () => (await tallyOf(store, id))?.last === 10)
  const last = () => collectionOf(store.db, streamStates).findOne({ _id: 'content' })
  await waitFor(async () => (await last())?.lastSeq === 10, { message: 'the stream is remembered as it is' })
  return {
    ...service,
    id,
    stop,
    damage: () => findDamage(store, jsm, 'content'),
    async noticed() {
      await waitFor(() => noticed.length > 0, { message: 'the damage is noticed' })
      return noticed[0]
    }
  }
}

/** Nothing is lost for whoever comes new, and nothing is applied twice by who was there. */
async function isWhole(t: Test, service: Awaited<ReturnType<typeof withTen>>): Promise<void> {
  const { store, common, id } = service
  await write(store, id, bucketOf(id))
  await waitFor(async () => (await tallyOf(store, id))?.last === 11, { message: 'events go on' })
  t.match(await tallyOf(store, id), { applied: 11, last: 11 })
  t.notOk((await tallyOf(store, id))?.disorder)
  const seen = new Set<number>()
  const subscriptions = [on(Counted, async (e) => void seen.add(e.data.n))]
  const late = startConsumer({ ...common, purpose: 'late', subscriptions })
  await waitFor(() => seen.size === 11, { message: 'a new consumer gets all of them' })
  await late.stop()
  t.equal(await service.damage(), undefined)
  await service.stop()
}

t.test('a front that was purged is noticed while the relay runs, and made good', async (t) => {
  const service = await withTen(t, 'front')
  await service.jsm.streams.purge('content', { seq: 6 })
  t.match(await service.noticed(), /5 holes/)
  await waitFor(async () => (await service.damage()) === undefined)
  await isWhole(t, service)
})

t.test('a message that is missing in the middle is noticed, and made good', async (t) => {
  const service = await withTen(t, 'middle')
  await service.jsm.streams.deleteMessage('content', 4)
  t.match(await service.noticed(), /1 holes/)
  await waitFor(async () => (await service.damage()) === undefined)
  await isWhole(t, service)
})

t.test('a stream that is deleted under a running relay and consumer is made again', async (t) => {
  const service = await withTen(t, 'deleted')
  await service.jsm.streams.delete('content')
  t.equal(await service.noticed(), 'it is gone')
  const isThere = () => service.jsm.streams.info('content').then(Boolean, () => false)
  await waitFor(isThere)
  await isWhole(t, service)
})

t.test('an older copy that has grown past its end is told by the event at the last known place', async (t) => {
  const { jsm, store, damage, stop } = await withTen(t, 'older')
  await stop()
  t.equal(await damage(), undefined)
  // As if other events had come into these places: the ids there are not the one that was acknowledged last.
  await collectionOf(store.db, streamStates).updateOne({ _id: 'content' }, { $set: { lastSeq: 9 } })
  t.equal(await damage(), 'another event is at 9')
  await collectionOf(store.db, streamStates).updateOne({ _id: 'content' }, { $set: { lastSeq: 11 } })
  t.equal(await damage(), 'it ends at 10, and 11 was there')
  await jsm.streams.delete('content')
})

t.test('an event that is published again is kept no longer than the inboxes know it', async (t) => {
  const service = await withTen(t, 'again')
  const records = collectionOf(service.store.db, outbox)
  const all = () => records.find({ bucket: bucketOf(service.id), _id: { $gt: '' } }, { hint: { _id: 1 } }).toArray()
  const marked = async (count: number) =>
    (await all()).filter((one) => one.publishedAt !== undefined && one.pending === undefined).length === count
  await waitFor(() => marked(10), { message: 'all are marked' })
  const ids = (await all()).map(({ _id }) => _id)
  const first = new Date(Date.now() - 6 * 24 * 3_600_000)
  await records.updateMany({ bucket: bucketOf(service.id), _id: { $in: ids } }, { $set: { publishedAt: first } })
  await service.jsm.streams.purge('content')
  t.ok(await service.noticed())
  await waitFor(async () => (await service.damage()) === undefined)
  await isWhole(t, service)
  t.ok(await marked(11))
  const times = (await all()).filter(({ _id }) => ids.includes(_id)).map(({ publishedAt }) => publishedAt)
  t.same(
    times,
    ids.map(() => first),
    'the first time stays'
  )
})
