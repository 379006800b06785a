import { useStores } from '@skerry/testing'
import t from 'tap'
import { collectionOf, defineCollection, insertMissing, openStore } from '../src/index.ts'

type Thing = { _id: string; name: string }

const stores = await useStores(t)
const things = defineCollection<Thing>({
  ...{ name: 'things', shardKey: null },
  indexes: [{ key: { name: 1 }, options: { unique: true } }]
})
const store = await openStore({ url: stores.mongoUrl, database: stores.database('missing'), collections: [things] })
t.teardown(() => store.close())

t.test('what is missing is inserted, and what is there stays as it is', async (t) => {
  const collection = collectionOf(store.db, things)
  await insertMissing(collection, [])
  await insertMissing(collection, [{ _id: 'a', name: 'first' }])
  await insertMissing(collection, [
    { _id: 'a', name: 'again' },
    { _id: 'b', name: 'first' },
    { _id: 'c', name: 'third' }
  ])
  t.same(await collection.find({}, { sort: { _id: 1 } }).toArray(), [
    { _id: 'a', name: 'first' },
    { _id: 'c', name: 'third' }
  ])
})

t.test('any other fault is told, also beside what is there', async (t) => {
  await store.db.command({ collMod: 'things', validator: { name: { $ne: 'bad' } } })
  const collection = collectionOf(store.db, things)
  const all = [
    { _id: 'a', name: 'again' },
    { _id: 'd', name: 'bad' }
  ]
  await t.rejects(insertMissing(collection, all), { name: 'MongoBulkWriteError' })
})
