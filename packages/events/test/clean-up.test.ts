import { bucketOf, collectionOf, newId } from '@skerry/store'
import { useStores } from '@skerry/testing'
import { Timestamp } from 'mongodb'
import t from 'tap'
import { deleteOld } from '../src/clean-up.ts'
import { inbox } from '../src/inbox.ts'
import { type OutboxDocument, outbox } from '../src/outbox.ts'
import { openTestStore } from './fixtures/counting.ts'

const stores = await useStores(t)
const DAY_S = 24 * 3600
const NOW = Date.parse('2030-01-10T00:00:00.000Z')
const daysAgo = (days: number) => new Date(NOW - days * DAY_S * 1_000)

t.test('what is older than it must be kept goes, and nothing else', async (t) => {
  const store = await openTestStore(stores.mongoUrl, stores.database('cleanup'), true)
  t.teardown(() => store.close())
  const record = (kept: Pick<OutboxDocument, 'pending'> | { publishedAt: Date }): OutboxDocument => {
    const _id = newId(7)
    const event = { subject: 'content.test.counted.v1', entity: _id, payload: '{}', at: daysAgo(30) }
    return { _id, bucket: bucketOf(_id), seq: new Timestamp({ t: 0, i: 0 }), ...event, ...kept }
  }
  const old = Array.from({ length: 2_100 }, () => record({ publishedAt: daysAgo(3) }))
  const kept = [record({ publishedAt: daysAgo(1) }), record({ pending: true })]
  await collectionOf(store.db, outbox).insertMany([...old, ...kept])
  const applied = [2.5, 3.5].map((days) => ({ _id: `c:${days}`, bucket: 7, at: daysAgo(days) }))
  await collectionOf(store.db, inbox).insertMany(applied)

  t.same(await deleteOld(store, { now: NOW, retentionS: 2 * DAY_S }), { outbox: 2_100, inbox: 1 })
  const all = [...old, ...kept].map((r) => r._id)
  const left = await collectionOf(store.db, outbox)
    .find({ bucket: 7, _id: { $in: all } })
    .toArray()
  t.same(
    left.map((r) => r._id).sort(),
    kept.map((r) => r._id).sort(),
    'what is younger, and what is not published, stays'
  )
  t.same(await deleteOld(store, { now: NOW, retentionS: 2 * DAY_S }), { outbox: 0, inbox: 0 })
})
