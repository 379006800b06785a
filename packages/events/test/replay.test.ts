import { bucketOf, collectionOf, newId, randomBucket } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { type ConsumerStatus, on, onIdempotent, type Replays, startConsumer, startRelay } from '../src/index.ts'
import { Counted, tallies, tally, write } from './fixtures/counting.ts'
import { type Bench, openBench } from './fixtures/operator.ts'

const stores = await useStores(t)

type Gate = { at: number; wait: Promise<void> }

function startTallying(bench: Bench, options: { replays?: Replays; gate?: Gate; instance?: string } = {}) {
  const { store, common } = bench
  const { gate, replays, instance = 'a' } = options
  return startConsumer({
    ...common,
    instance,
    purpose: 'tallies',
    ...(replays === undefined ? {} : { replays }),
    subscriptions: [
      on(Counted, async (e, tx) => {
        if (e.data.n === gate?.at) await gate.wait
        await tally(store, e, bucketOf(e.data.id), tx)
      })
    ]
  })
}

t.test('a replay applies everything from there again, once, in order, before what is new', async (t) => {
  const bench = await openBench(t, stores, 'replay')
  const { store, jsm, ask, ended, common } = bench
  const relay = startRelay(common)
  const ids = [newId(randomBucket()), newId(randomBucket())] as const
  const rows = collectionOf(store.db, tallies)
  const rowOf = (id: string) => rows.findOne({ bucket: bucketOf(id), _id: id })
  const settled = (last: number) =>
    waitFor(async () => {
      const found = await Promise.all(ids.map(rowOf))
      return found.every((row) => row?.last === last)
    })
  let consumer = startTallying(bench, { replays: 'safe' })
  for (let i = 0; i < 6; i++) for (const id of ids) await write(store, id, bucketOf(id))
  await settled(6)

  // From the start, for a model that was lost, while writes go on.
  for (const id of ids) await rows.deleteOne({ bucket: bucketOf(id), _id: id })
  const { id: whole } = await ask<{ id: string }>('tallies.replay', { by: 'ada', stream: 'content', from: 1 })
  for (let i = 0; i < 3; i++) for (const id of ids) await write(store, id, bucketOf(id))
  t.match(await ended('tallies', whole), { state: 'done', kind: 'replay', outcome: /^replayed 1 to 1[2-8]$/ })
  await settled(9)
  for (const id of ids)
    t.strictSame({ ...(await rowOf(id)), disorder: [] }, { ...(await rowOf(id)), applied: 9, last: 9, disorder: [] })

  // From the middle: the first events stay as they are.
  const { id: part } = await ask<{ id: string }>('tallies.replay', { by: 'ada', stream: 'content', from: 13 })
  await ended('tallies', part)
  for (const id of ids) t.match(await rowOf(id), { applied: 12, last: 9 })

  // What was replayed is not applied a third time: neither delivered again from the start, nor after the consumer began anew.
  await consumer.stop()
  await jsm.consumers.reset('content', 'content--tallies', 1)
  consumer = startTallying(bench, { replays: 'safe' })
  for (const id of ids) await write(store, id, bucketOf(id))
  await settled(10)
  for (const id of ids) t.match(await rowOf(id), { applied: 13, last: 10 })
  await consumer.stop()
  await relay.stop()
})

t.test('a replay outlives its owner', async (t) => {
  const bench = await openBench(t, stores, 'owner')
  const { store, ask, ended, common } = bench
  const relay = startRelay(common)
  const id = newId(randomBucket())
  const row = () => collectionOf(store.db, tallies).findOne({ bucket: bucketOf(id), _id: id })
  const { promise: wait, resolve: open } = Promise.withResolvers<void>()
  const first = startTallying(bench, { replays: 'safe' })
  for (let i = 0; i < 8; i++) await write(store, id, bucketOf(id))
  await waitFor(async () => (await row())?.last === 8)
  await first.stop()
  const held = startTallying(bench, { replays: 'safe', gate: { at: 5, wait } })
  const { id: replay } = await ask<{ id: string }>('tallies.replay', { by: 'ada', stream: 'content', from: 1 })
  await waitFor(async () => (await row())?.last === 4)
  const status = await ask<ConsumerStatus>('tallies.status')
  t.match(status, { consumer: 'content--tallies', replays: 'safe', parts: [{ stream: 'content', owner: 'a' }] })
  t.match(status.parts[0]?.replay, { from: 1, until: 8, operation: replay })
  await t.rejects(ask('tallies.replay', { by: 'bob', stream: 'content', from: 1 }), /BUSY/)
  const stopped = held.stop()
  open()
  await stopped
  const second = startTallying(bench, { replays: 'safe', instance: 'b' })
  t.match(await ended('tallies', replay), { state: 'done' })
  t.match(await row(), { applied: 16, last: 8 })
  t.match(await ask('tallies.status'), { parts: [{ owner: 'b', replay: null }] })
  await second.stop()
  await relay.stop()
})

t.test('what may not be repeated is refused, unless it is forced', async (t) => {
  const bench = await openBench(t, stores, 'refused')
  const { store, ask, ended, common } = bench
  const relay = startRelay(common)
  const id = newId(randomBucket())
  const row = () => collectionOf(store.db, tallies).findOne({ bucket: bucketOf(id), _id: id })
  await write(store, id, bucketOf(id))
  const undeclared = startTallying(bench)
  await waitFor(async () => (await row())?.last === 1)
  const replay = { by: 'ada', stream: 'content', from: 1 }
  await t.rejects(
    ask('tallies.replay', replay),
    /REFUSED: content--tallies must not be replayed: its service does not say/
  )
  await undeclared.stop()
  const refusing = startTallying(bench, { replays: { refused: 'it would count twice' } })
  await waitFor(() => refusing.owner())
  await t.rejects(ask('tallies.replay', replay), /REFUSED: .* it would count twice\. --force does it nevertheless/)
  await t.rejects(ask('tallies.replay', { ...replay, stream: 'users' }), /BAD_REQUEST: .* only content/)
  await t.rejects(
    ask('tallies.replay', { ...replay, from: 2, force: true }),
    /BAD_REQUEST: the stream content ends at 1/
  )
  await t.rejects(ask('tallies.replay', { ...replay, from: 0 }), /BAD_REQUEST: \/from/)
  const { id: forced } = await ask<{ id: string }>('tallies.replay', { ...replay, force: true })
  t.match(await ended('tallies', forced), { state: 'done' })
  t.match(await row(), { applied: 2 })
  await refusing.stop()
  await relay.stop()
})

t.test('effects without a transaction are replayed as well; a replaced stream ends a replay', async (t) => {
  const bench = await openBench(t, stores, 'idempotent')
  const { store, jsm, ask, ended, common } = bench
  let relay = startRelay(common)
  const seen: number[] = []
  const start = () =>
    startConsumer({
      ...common,
      purpose: 'seen',
      replays: 'safe',
      subscriptions: [onIdempotent(Counted, async (e) => void seen.push(e.data.n))]
    })
  let consumer = start()
  const id = newId(randomBucket())
  for (let i = 0; i < 3; i++) await write(store, id, bucketOf(id))
  await waitFor(() => seen.length === 3)
  const { id: replay } = await ask<{ id: string }>('seen.replay', { by: 'ada', stream: 'content', from: 2 })
  t.match(await ended('seen', replay), { state: 'done' })
  t.same(seen, [1, 2, 3, 2, 3])

  await consumer.stop()
  await relay.stop()
  const { consumerStates } = await import('../src/consumer-states.ts')
  const { recordOperation } = await import('../src/operator/operations.ts')
  const operation = await recordOperation(store, {
    ...{ consumer: 'content--seen', kind: 'replay', target: 'replay:content', by: 'ada' },
    request: { stream: 'content', from: 1 }
  })
  await collectionOf(store.db, consumerStates).updateOne(
    { _id: 'content:content--seen' },
    { $set: { replay: { operation: operation._id, from: 1, until: 3, rewound: true } } }
  )
  await jsm.streams.delete('content')
  relay = startRelay(common)
  consumer = start()
  t.match(await ended('seen', operation._id), { state: 'failed', outcome: 'the stream was replaced during the replay' })
  await write(store, id, bucketOf(id))
  await waitFor(() => seen.length === 6)
  t.same(seen.slice(5), [4], 'the refilled stream repeats nothing')
  await consumer.stop()
  await relay.stop()
})
