import { useStores } from '@skerry/testing'
import t from 'tap'
import {
  collectionOf,
  defineCollection,
  ensureCollections,
  generationName,
  isDuplicate,
  openStore,
  plainName,
  storeWith,
  useNames
} from '../src/index.ts'

const stores = await useStores(t)
const things = defineCollection<{ _id: string; bucket: number }>({
  name: 'things',
  shardKey: { bucket: 1, _id: 1 },
  indexes: []
})

t.test('names of generations', async (t) => {
  t.equal(generationName('things', 1), 'things')
  t.equal(generationName('things', 12), 'things--r12')
  t.equal(plainName('things--r12'), 'things')
  t.equal(plainName('things'), 'things')
  t.equal(plainName('things--read'), 'things--read')
})

t.test('a view of a database stores a collection elsewhere; others see theirs', async (t) => {
  const store = await openStore({
    url: stores.mongoUrl,
    database: stores.database('names'),
    collections: [things],
    checkQueries: true
  })
  const view = storeWith(store, { things: 'things--r2' })
  await ensureCollections(store.db, [{ ...things, name: 'things--r2' }])
  const document = { _id: 'a', bucket: 1 }
  await collectionOf(view.db, things).insertOne(document)
  t.equal(await collectionOf(store.db, things).findOne(document), null)
  t.same(await collectionOf(view.db, things).findOne(document), document)
  const error = await collectionOf(view.db, things)
    .insertOne(document)
    .catch((fault: unknown) => fault)
  t.ok(isDuplicate(error, 'things'))
  t.notOk(isDuplicate(error, 'thing'))
  // From now on everybody who uses the store reads the other one.
  useNames(store.db, { things: 'things--r2' })
  t.same(await collectionOf(store.db, things).findOne(document), document)
  useNames(store.db, { things: 'things' })
  t.equal(await collectionOf(store.db, things).findOne(document), null)
  // A generation is held to the rules of its collection.
  await collectionOf(view.db, things).findOne({ _id: 'a' })
  await t.rejects(store.close(), /untargeted: find things--r2/)
})
