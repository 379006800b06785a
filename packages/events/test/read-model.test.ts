import { bucketOf, collectionOf, newId, plainName, randomBucket } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { type ModelStatus, type OperationView, on, startReadModel, startRelay, WHOLE } from '../src/index.ts'
import { readModels } from '../src/read-model/state.ts'
import { ensureStreams, rememberLast } from '../src/streams.ts'
import { Counted, openTestStore, tallies, tally, write } from './fixtures/counting.ts'
import { type Bench, openBench } from './fixtures/operator.ts'

const stores = await useStores(t)

type ModelOptions = { instance?: string; store?: Bench['store']; poison?: () => boolean; checkMs?: number }

function startModel(bench: Bench, options: ModelOptions = {}) {
  const { store = bench.store, instance = 'a', poison = () => false, checkMs = 100 } = options
  return startReadModel({
    ...bench.common,
    store,
    instance,
    purpose: 'tallies',
    collections: [tallies],
    checkMs,
    backoffMs: [],
    subscriptions: (view) => [
      on(Counted, async (e, tx) => {
        if (e.data.poison && poison()) throw new Error('cannot digest this')
        await tally(view, e, bucketOf(e.data.id), tx)
      })
    ]
  })
}

const id = newId(randomBucket())
const key = { bucket: bucketOf(id), _id: id }
const read = (store: Bench['store']) => collectionOf(store.db, tallies).findOne(key)
const status = (bench: Bench) => bench.ask<ModelStatus>('tallies.model.status')
const command = (bench: Bench, name: string, more: object = {}) =>
  bench.ask<ModelStatus>(`tallies.model.${name}`, { by: 'ada', ...more })
const collectionsOf = async ({ store }: Bench) =>
  (await store.db.listCollections({}, { nameOnly: true }).toArray())
    .map(({ name }) => name)
    .filter((name) => plainName(name) === tallies.name)
    .sort()

t.test('a model is built anew beside the live one, switched to, gone back from, and the old one dropped', async (t) => {
  const bench = await openBench(t, stores, 'rebuild')
  const { store, jsm, common } = bench
  // A second instance of the service, with a connection of its own: it must follow.
  const other = await openTestStore(stores.mongoUrl, store.db.databaseName, true)
  t.teardown(() => other.close())
  const relay = startRelay(common)
  const models = [startModel(bench), startModel(bench, { instance: 'b', store: other })]
  for (let i = 0; i < 10; i++) await write(store, id, bucketOf(id))
  await waitFor(async () => (await read(store))?.last === 10)
  await waitFor(() => models.every((model) => model.attached()))
  // What a bug has left: replaying would not mend it.
  await collectionOf(store.db, tallies).updateOne(key, { $set: { applied: 1_000 } })

  t.match(await command(bench, 'rebuild', { stay: true }), {
    current: 1,
    building: { generation: 2, consumer: 'content--tallies--r2', by: 'ada' }
  })
  await t.rejects(command(bench, 'rebuild'), /BUSY: generation 2 is being built already/)
  await waitFor(async () => (await status(bench)).building?.waits === null)
  t.match((await status(bench)).progress, [{ stream: 'content', applied: 10, left: 0 }])
  t.match(await read(store), { applied: 1_000 }, 'the live one is read until the switch')

  t.match(await command(bench, 'switch'), { current: 2, building: null, kept: { generation: 1 } })
  for (const each of [store, other]) await waitFor(async () => (await read(each))?.applied === 10)
  await t.rejects(command(bench, 'rebuild'), /REFUSED: generation 1 is still kept/)
  // Both are fed.
  await write(store, id, bucketOf(id))
  await waitFor(async () => (await read(other))?.last === 11)
  await waitFor(
    async () => (await store.db.collection<{ _id: string; last: number }>('tallies').findOne(key))?.last === 11
  )

  t.match(await command(bench, 'rollback'), { current: 1, kept: null, retired: [2] })
  for (const each of [store, other]) await waitFor(async () => (await read(each))?.applied === 1_001)
  await waitFor(async () => (await status(bench)).retired.length === 0)
  t.same(await collectionsOf(bench), ['tallies'])

  // The second time without staying: it switches by itself.
  t.match(await command(bench, 'rebuild'), { building: { generation: 3 } })
  await waitFor(async () => (await status(bench)).current === 3)
  for (const each of [store, other]) await waitFor(async () => (await read(each))?.applied === 11)
  t.match(await command(bench, 'finish'), { current: 3, kept: null })
  await waitFor(async () => (await status(bench)).retired.length === 0)
  t.same(await collectionsOf(bench), ['tallies--r3'])
  await t.rejects(jsm.consumers.info('content', 'content--tallies'), /not found/)
  await write(store, id, bucketOf(id))
  for (const each of [store, other]) await waitFor(async () => (await read(each))?.applied === 12)
  t.same((await read(store))?.disorder ?? [], [])

  await t.rejects(command(bench, 'rollback'), /REFUSED: no earlier generation is kept/)
  await t.rejects(command(bench, 'abort'), /REFUSED: nothing is being built/)
  await t.rejects(command(bench, 'switch'), /REFUSED: nothing is being built/)
  await t.rejects(bench.ask('tallies.model.rebuild', {}), /BAD_REQUEST/)
  const record = await bench.ask<OperationView[]>('tallies.model.audit')
  t.same(
    record.map(({ kind }) => kind),
    ['finish', 'switch', 'rebuild', 'rollback', 'switch', 'rebuild']
  )
  t.match(record[1]?.by, /^content [ab]$/)
  t.match(JSON.parse(record[0]?.before ?? ''), { current: 3, kept: 1 })
  t.match(JSON.parse(record[0]?.after ?? ''), { current: 3, retired: [1] })
  for (const part of [...models, relay]) await part.stop()

  // Whoever starts later reads the generation that is current, before it says that it is attached.
  const late = startModel(bench)
  await waitFor(() => late.attached())
  t.match(await read(store), { applied: 12 })
  await late.stop()
})

t.test('a rebuild goes on after all instances ended, and can be aborted', async (t) => {
  const bench = await openBench(t, stores, 'resume')
  const { store, common } = bench
  const relay = startRelay(common)
  let model = startModel(bench)
  for (let i = 0; i < 5; i++) await write(store, id, bucketOf(id))
  await waitFor(async () => (await read(store))?.last === 5)
  await command(bench, 'rebuild', { stay: true })
  await model.stop()
  await write(store, id, bucketOf(id))
  model = startModel(bench)
  await waitFor(async () => (await status(bench)).building?.waits === null)
  t.match(await store.db.collection<{ _id: string }>('tallies--r2').findOne(key), { applied: 6, last: 6 })

  t.match(await command(bench, 'abort'), { current: 1, building: null })
  await waitFor(async () => (await status(bench)).retired.length === 0)
  t.same(await collectionsOf(bench), ['tallies'])
  // A process that was paused past its lease has written once more.
  await model.stop()
  await store.db.createCollection('tallies--r2')
  await store.db.createCollection('tallies--r9')
  model = startModel(bench)
  await waitFor(async () => !(await collectionsOf(bench)).includes('tallies--r2'))
  t.same(await collectionsOf(bench), ['tallies', 'tallies--r9'], 'a later number may have been begun meanwhile')
  t.match(await read(store), { applied: 6 })
  await model.stop()
  await relay.stop()
})

t.test('it does not switch to a model with dead letters, unless told to', async (t) => {
  const bench = await openBench(t, stores, 'letters')
  const { store, common } = bench
  let choking = false
  const relay = startRelay(common)
  const model = startModel(bench, { poison: () => choking })
  await write(store, id, bucketOf(id), { poison: true })
  await waitFor(async () => (await read(store))?.last === 1)
  choking = true
  await command(bench, 'rebuild')
  await waitFor(async () => /^1 dead letters of content--tallies--r2/.test((await status(bench)).building?.waits ?? ''))
  await t.rejects(command(bench, 'switch'), /REFUSED: 1 dead letters/)
  t.equal((await status(bench)).current, 1)
  choking = false
  // Mended, and retried for this generation: then nothing holds it up.
  const { id: retry } = await bench.ask<{ id: string }>('tallies--r2.retry', { by: 'ada', letter: 1 })
  t.match(await bench.ended('tallies--r2', retry), { state: 'done', outcome: 'applied' })
  await waitFor(async () => (await status(bench)).current === 2)
  t.match(await read(store), { applied: 1 })
  await model.stop()
  await relay.stop()
})

t.test('a stream that does not reach back to the beginning is refused', async (t) => {
  const bench = await openBench(t, stores, 'partial')
  const { store, jsm, common } = bench
  // It would make good what is missing, were it to look in between.
  const carrying = { ...common, checkMs: 3_600_000 }
  let relay = startRelay(carrying)
  let model = startModel(bench)
  for (let i = 0; i < 3; i++) await write(store, id, bucketOf(id))
  await waitFor(async () => (await read(store))?.last === 3)
  const restart = async (between: () => Promise<unknown>) => {
    await model.stop()
    await relay.stop()
    await between()
    relay = startRelay(carrying)
    await waitFor(() => relay.owner())
    model = startModel(bench)
    await waitFor(() => model.attached())
  }
  await jsm.streams.deleteMessage('content', 2)
  await t.rejects(
    command(bench, 'rebuild'),
    /PARTIAL: the stream content may lack events: 1 events were deleted from it/
  )
  await jsm.streams.purge('content', { seq: 3 })
  await t.rejects(command(bench, 'rebuild'), /PARTIAL: .* its oldest event is number 3 of .*--allow-partial/)
  await restart(() => jsm.streams.delete('content'))
  await t.rejects(
    command(bench, 'rebuild'),
    /PARTIAL: .* it was lost or cut, and refilled 2.* with what the outbox kept/
  )
  t.match(await command(bench, 'rebuild', { partial: true, stay: true }), { building: { generation: 2 } })
  await waitFor(async () => (await status(bench)).building?.waits === null)
  await restart(() => jsm.streams.delete('content'))
  t.match((await status(bench)).building?.waits, /the stream content was replaced since the rebuild began/)
  await model.stop()
  await relay.stop()
})

t.test('what was read is not dropped while an instance may still read it', async (t) => {
  const bench = await openBench(t, stores, 'late')
  const { store, common } = bench
  const relay = startRelay(common)
  // It looks when it is woken, and its three looks by the clock are far away.
  const model = startModel(bench, { checkMs: 600_000 })
  await write(store, id, bucketOf(id))
  await waitFor(async () => (await read(store))?.last === 1)
  await command(bench, 'rebuild', { stay: true })
  await waitFor(async () => (await status(bench)).building?.waits === null)
  await command(bench, 'switch')
  await command(bench, 'finish')
  // The next rebuild is begun by a look that has seen the end of the last one.
  await command(bench, 'rebuild', { stay: true })
  await waitFor(async () => (await status(bench)).building?.waits === null)
  t.same((await status(bench)).retired, [1])
  t.same(await collectionsOf(bench), ['tallies', 'tallies--r2', 'tallies--r3'])
  t.match(await store.db.collection<{ _id: string }>('tallies').findOne(key), { last: 1 }, 'with all that is in it')
  await model.stop()
  await relay.stop()
})

t.test('a stream that was cut is refused as well; generations are counted', async (t) => {
  const bench = await openBench(t, stores, 'cut')
  const { store, jsm, common } = bench
  await ensureStreams(store, jsm, 'content', 1)
  t.equal((await jsm.streams.info('content')).config.metadata?.[WHOLE], 'yes')
  const model = startModel(bench)
  await waitFor(() => model.attached())
  await collectionOf(store.db, readModels).insertOne({ _id: 'content--tallies', current: 1, last: 50, retired: [] })
  await t.rejects(command(bench, 'rebuild'), /REFUSED: it had 50 generations/)
  await collectionOf(store.db, readModels).deleteOne({ _id: 'content--tallies' })
  // It was further than it is.
  const { created } = await jsm.streams.info('content')
  await rememberLast(store, 'content', { created }, { seq: 1_000, id: 'gone' })
  const relay = startRelay(common)
  await waitFor(() => relay.owner())
  await t.rejects(command(bench, 'rebuild'), /PARTIAL: .* it was cut, and refilled with what the outbox kept/)
  // The mark is nobody's event.
  await write(store, id, bucketOf(id))
  await waitFor(async () => (await read(store))?.last === 1)
  t.equal((await jsm.streams.info('dlq_content')).state.messages, 0)
  await model.stop()
  await relay.stop()
})
