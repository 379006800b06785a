import { bucketOf, collectionOf, newId, randomBucket } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { listLetters, type OperationView, type Owned, on, readLetter, startConsumer, startRelay } from '../src/index.ts'
import { recordOperation } from '../src/operator/operations.ts'
import { Counted, tallies, tally, write } from './fixtures/counting.ts'
import { type Bench, openBench } from './fixtures/operator.ts'
import { tallying, tallyOf } from './fixtures/service.ts'

const stores = await useStores(t)

/** A consumer that chokes on poison, and what it has applied. */
function startChoking({ store, common }: Bench, purpose: string, applied: string[], gate = Promise.resolve()): Owned {
  return startConsumer({
    ...common,
    purpose,
    backoffMs: [10],
    subscriptions: [
      on(Counted, async (e, tx) => {
        if (e.data.poison) throw new Error('cannot digest this')
        if (e.data.n === 99) await gate
        await tally(store, e, bucketOf(e.data.id), tx)
        applied.push(`${e.data.id} ${e.data.n}`)
      })
    ]
  })
}

t.test('a letter is retried, edited and discarded, and all of it is on record', async (t) => {
  const bench = await openBench(t, stores, 'letters')
  const { store, jsm, ask, ended } = bench
  const [one, other]: [string[], string[]] = [[], []]
  const parts = [startRelay(bench.common), startChoking(bench, 'one', one)]
  // It takes poison as well: what is retried for `one` must not come to it again.
  parts.push(
    startConsumer({
      ...bench.common,
      purpose: 'other',
      subscriptions: [on(Counted, async (e) => void other.push(e.data.id))]
    })
  )
  const id = newId(randomBucket())
  await write(store, id, bucketOf(id), { poison: true })
  await waitFor(async () => (await listLetters(jsm, 'content', { limit: 10 })).length === 1 && other.length === 1)
  const letters = await listLetters(jsm, 'content', { limit: 10, consumer: 'content--one' })
  const [letter] = letters
  const number = letter?.number ?? 0
  t.match(letter, {
    service: 'content',
    consumer: 'content--one',
    subject: 'content.test.counted.v1',
    entity: id,
    attempts: 2,
    error: 'Error: cannot digest this',
    inboxKey: 'content--one'
  })
  t.same(JSON.parse(letter?.payload ?? ''), { id, n: 1, poison: true })

  const again = await ended('one', (await ask<{ id: string }>('one.retry', { by: 'ada', letter: number })).id)
  t.match(again, { state: 'failed', outcome: 'Error: cannot digest this', by: 'ada', after: null })
  t.ok(await readLetter(jsm, 'content', number), 'a retry that fails leaves the letter')

  const refuse = (topic: string, request: object, message: RegExp) => t.rejects(ask(topic, request), message)
  await refuse('one.retry', { by: 'ada', letter: number, data: '{' }, /BAD_REQUEST: the payload is not JSON/)
  await refuse(
    'one.retry',
    { by: 'ada', letter: number, data: JSON.stringify({ id, n: 'x' }) },
    /BAD_REQUEST: the payload does not fit content\.test\.counted\.v1: \/n must be integer/
  )
  await refuse(
    'one.retry',
    { by: 'ada', letter: number, data: JSON.stringify({ id: newId(1), n: 1 }) },
    /BAD_REQUEST: .* an edit may not change that/
  )
  await refuse(
    'one.retry',
    { by: 'ada', letter: number, data: JSON.stringify({ id, n: 1, owner: { id: newId(1), n: 1 } }) },
    /BAD_REQUEST: the payload is ordered by .* an edit may not change that/
  )
  await refuse('one.retry', { by: 'ada', letter: 77 }, /NOT_FOUND: there is no dead letter content\/77/)
  await refuse('other.retry', { by: 'ada', letter: number }, /NOT_FOUND: .* is one of content--one/)
  await refuse('one.retry', { letter: number }, /BAD_REQUEST: .*by/)
  await refuse('one.retry', { by: 'ada', letter: -1 }, /BAD_REQUEST: \/letter/)
  await refuse('one.nonsense', {}, /BAD_REQUEST: this consumer knows no such command/)

  const data = JSON.stringify({ id, n: 1 })
  const edited = await ended('one', (await ask<{ id: string }>('one.retry', { by: 'bob', letter: number, data })).id)
  t.match(edited, { state: 'done', outcome: 'applied', by: 'bob', after: data })
  t.same(one, [`${id} 1`])
  t.same(other, [id], 'only the consumer that failed gets it')
  t.equal(await readLetter(jsm, 'content', number), undefined)
  t.match(await collectionOf(store.db, tallies).findOne({ bucket: bucketOf(id), _id: id }), { applied: 1, last: 1 })

  await write(store, id, bucketOf(id), { poison: true })
  await waitFor(async () => (await listLetters(jsm, 'content', { limit: 10 })).length === 1)
  const [second] = await listLetters(jsm, 'content', { limit: 10 })
  const discard = await ask<{ id: string }>('one.discard', { by: 'eve', letter: second?.number })
  t.match(await ended('one', discard.id), { state: 'done', kind: 'discard', outcome: 'discarded' })
  t.same(await listLetters(jsm, 'content', { limit: 10 }), [])

  const record = await ask<OperationView[]>('one.audit')
  t.match(
    record.map(({ kind, by, target, before, after, state }) => ({ kind, by, target, before, after, state })),
    [
      { kind: 'discard', by: 'eve', target: `letter:${second?.number}`, before: second?.payload, after: null },
      { kind: 'retry', by: 'bob', target: `letter:${number}`, before: letter?.payload, after: data, state: 'done' },
      { kind: 'retry', by: 'ada', target: `letter:${number}`, before: letter?.payload, after: null, state: 'failed' }
    ]
  )
  t.equal((await ask<OperationView[]>('one.audit', { letter: number, limit: 1 }))[0]?.by, 'bob')
  t.same(await ask('one.audit', { before: record.at(-1)?.id }), [])
  for (const part of parts.reverse()) await part.stop()
})

t.test('an accepted retry outlives its owner, waits its turn, and is applied once', async (t) => {
  const bench = await openBench(t, stores, 'turns')
  const { store, jsm, ask, common } = bench
  const applied: string[] = []
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  const relay = startRelay(common)
  const first = startChoking(bench, 'turns', applied, gate)
  const owner = newId(randomBucket())
  const [id, next] = [newId(bucketOf(owner)), newId(bucketOf(owner))]
  await write(store, id, bucketOf(id), { owner, poison: true })
  await waitFor(async () => (await listLetters(jsm, 'content', { limit: 10 })).length === 1)
  const [letter] = await listLetters(jsm, 'content', { limit: 10 })
  const request = { by: 'ada', letter: letter?.number, data: JSON.stringify({ id, n: 99, owner: { id: owner, n: 1 } }) }
  const { id: operation } = await ask<{ id: string }>('turns.retry', request)
  await t.rejects(ask('turns.retry', request), /BUSY: an operation on letter:\d+ of content--turns is still pending/)
  await t.rejects(ask('turns.discard', { by: 'bob', letter: letter?.number }), /BUSY/)
  // A later event of the same key comes while the retry is being applied.
  await write(store, next, bucketOf(next), { owner })
  await waitFor(async () => (await jsm.consumers.info('content', 'content--turns')).num_ack_pending === 1)
  t.same(applied, [], 'it waits behind the retry')
  open()
  t.match(await bench.ended('turns', operation), { state: 'done', outcome: 'applied' })
  await waitFor(async () => (await tallyOf(store, next))?.applied === 1)
  // A transaction that had to wait for too long begins anew; only the last one has an effect.
  t.same([...new Set(applied)], [`${id} 99`, `${next} 1`])
  const before = applied.length

  await first.stop()
  // As an instance that died between the effect and the end of the operation has left it.
  const { request: work } = (await collectionOf(
    store.db,
    (
      await import('../src/operator/operations.ts')
    ).operations
  ).findOne({ _id: operation }))!
  const left = await recordOperation(store, {
    ...{ consumer: 'content--turns', kind: 'retry', target: 'letter:1', by: 'ada' },
    request: work
  })
  const second = startChoking(bench, 'turns', applied)
  await waitFor(() => second.owner())
  t.match(await bench.ended('turns', left._id), { state: 'done', outcome: 'had been applied before' })
  t.equal(applied.length, before)
  t.match(await tallyOf(store, id), { applied: 1, last: 99 })
  await second.stop()
  await relay.stop()
})

t.test('a service that only consumes has its dead letters, also when their stream is lost', async (t) => {
  const { store, jsm, common } = await openBench(t, stores, 'reader')
  await jsm.streams.delete('dlq_reader').catch((error: Error) => t.match(error.message, /not found/))
  const relay = startRelay(common)
  // Several at once, each of which finds none.
  const consumers = ['one', 'two', 'three', 'four'].map((purpose) =>
    startConsumer({
      ...{ ...common, service: 'reader', purpose, backoffMs: [] },
      subscriptions: purpose === 'one' ? tallying(store) : [on(Counted, async () => undefined)]
    })
  )
  await waitFor(async () => consumers.every((consumer) => consumer.owner()))
  const lettersOf = async () => (await listLetters(jsm, 'reader', { limit: 10 })).map((letter) => letter.entity)
  t.equal((await jsm.streams.info('dlq_reader')).state.messages, 0, 'there from the start')

  const [bad, good] = [newId(1), newId(1)]
  await write(store, bad, bucketOf(bad), { poison: true })
  await waitFor(async () => (await lettersOf()).length === 1)
  t.same(await lettersOf(), [bad])

  await jsm.streams.delete('dlq_reader')
  await write(store, bad, bucketOf(bad), { poison: true })
  await write(store, good, bucketOf(good))
  await waitFor(async () => (await tallyOf(store, good))?.last === 1, { message: 'others go on' })
  await waitFor(async () => (await lettersOf().catch(() => [])).length === 1, { message: 'the letter is kept' })
  t.same(await lettersOf(), [bad])
  await waitFor(async () => (await jsm.consumers.info('content', 'reader--one')).ack_floor.stream_seq === 3)
  for (const part of [relay, ...consumers]) await part.stop()
})
