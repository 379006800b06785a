import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay, setImmediate } from 'node:timers/promises'
import { defineEvent } from '@skerry/contracts'
import { bucketOf, collectionOf, newId, randomBucket, type Store, type Tx, transaction } from '@skerry/store'
import { childEnv, waitFor } from '@skerry/testing'
import t from 'tap'
import Type from 'typebox'
import { consumerStates } from '../src/consumer-states.ts'
import { inbox } from '../src/inbox.ts'
import {
  type InboxUse,
  type Incoming,
  onMany,
  onManyIdempotent,
  publish,
  type Subscription,
  startConsumer,
  startReadModel,
  startRelay
} from '../src/index.ts'
import { NO_METRICS } from '../src/metrics.ts'
import { Counted, tallies, tally } from './fixtures/counting.ts'
import type { KillPoint } from './fixtures/kill-points.ts'
import { startOwnStores } from './fixtures/own-stores.ts'
import { openService, tallyOf } from './fixtures/service.ts'
import type { VictimOptions } from './fixtures/victim.ts'

type Counting = { id: string; n: number; poison?: boolean | undefined }
type Event = Incoming<Counting>
type Service = Awaited<ReturnType<typeof openService>>
type Test = { teardown(f: () => Promise<void>): unknown }

// Its own, since how long mongod keeps a transaction is part of some tests.
const stores = await startOwnStores(t, 'many')
const { nats } = stores
const makeIds = (count: number) => Array.from({ length: count }, () => newId(randomBucket()))

/** Publishes events, in this order. */
async function publishAll({ store, jsm, common }: Service, events: readonly Counting[]): Promise<void> {
  const before = (await jsm.streams.info('content').catch(() => undefined))?.state.messages ?? 0
  const relay = startRelay(common)
  for (let i = 0; i < events.length; i += 25)
    await transaction(store, {}, async (tx) => {
      for (const event of events.slice(i, i + 25)) publish(store, tx, Counted, event)
    })
  await waitFor(
    async () => (await jsm.streams.info('content').catch(() => undefined))?.state.messages === before + events.length
  )
  await relay.stop()
}

async function openWith(t: Test, name: string, events: readonly Counting[]): Promise<Service> {
  const service = await openService(t, stores, name)
  await publishAll(service, events)
  return service
}

const events = (ids: readonly string[], times = 1): Counting[] =>
  Array.from({ length: times }, (_, i) => ids.map((id) => ({ id, n: i + 1 }))).flat()

async function tallyAll(store: Store, all: readonly Event[], tx: Tx): Promise<void> {
  for (const event of all) await tally(store, event, bucketOf(event.data.id), tx)
}

/** What handlers without a transaction do here: the same, in one of their own. */
const tallyApart = (store: Store, all: readonly Event[]) => transaction(store, {}, (tx) => tallyAll(store, all, tx))

type Options = { purpose?: string; backoffMs?: number[]; concurrency?: number }

/** Consumes in one lane. The first batch, of whatever is there, ends when all is delivered, so that the rest waits for the next. */
function consume(
  { jsm, common }: Service,
  subscribe: (handle: (all: readonly Event[], tx?: Tx) => Promise<void>) => Subscription[],
  handle: (all: readonly Event[], tx: Tx) => Promise<void>,
  { purpose = 'many', ...options }: Options = {}
) {
  const batches: string[][] = []
  const outcomes: string[] = []
  const info = () => jsm.consumers.info('content', `content--${purpose}`)
  const consumer = startConsumer({
    ...{ concurrency: 1, backoffMs: [0, 0], ...common, ...options },
    purpose,
    metrics: { ...NO_METRICS, handled: (_consumer, _subject, outcome) => void outcomes.push(outcome) },
    subscriptions: subscribe(async (all, tx) => {
      batches.push(all.map(({ data }) => data.id))
      if (batches.length === 1) {
        await waitFor(async () => (await info()).num_pending === 0)
        await setImmediate()
      }
      await handle(all, tx as Tx)
    })
  })
  return {
    batches,
    outcomes,
    consumer,
    async end(count: number) {
      await waitFor(() => outcomes.filter((outcome) => outcome !== 'retried').length >= count)
      await waitFor(async () => (await info()).num_ack_pending === 0)
      await consumer.stop()
    }
  }
}

const inTransaction = (handle: (all: readonly Event[], tx?: Tx) => Promise<void>) => onMany([Counted], handle)
const repeatable =
  (use: InboxUse = 'always') =>
  (handle: (all: readonly Event[]) => Promise<void>) =>
    onManyIdempotent([Counted], handle, { inbox: use })

async function rowsOf({ store }: Service, ids: readonly string[]) {
  const rows = await Promise.all(ids.map((id) => tallyOf(store, id)))
  return rows.map((row) => ({ applied: row?.applied ?? 0, last: row?.last, disorder: row?.disorder }))
}

async function marksOf({ store }: Service): Promise<number> {
  const marks = collectionOf(store.db, inbox).find({}, { sort: { at: 1, _id: 1 }, comment: 'clean-up' })
  return (await marks.toArray()).length
}

async function setLifetime({ store }: Service, seconds: number): Promise<void> {
  await store.client.db('admin').command({ setParameter: 1, transactionLifetimeLimitSeconds: seconds })
}

const KINDS = {
  onMany: { subscribe: inTransaction, effect: tallyAll },
  onManyIdempotent: { subscribe: repeatable(), effect: tallyApart }
}

for (const [kind, { subscribe, effect }] of Object.entries(KINDS)) {
  const lower = kind.toLowerCase()

  t.test(`${kind}: several events of a key come together, in order within a batch and across batches`, async (t) => {
    const ids = makeIds(4)
    const service = await openWith(t, `${lower}-order`, events(ids, 40))
    const { batches, end } = consume(service, subscribe, (all, tx) => effect(service.store, all, tx))
    await end(160)
    t.same(await rowsOf(service, ids), Array(4).fill({ applied: 40, last: 40, disorder: undefined }))
    t.ok(batches.length < 80, `${batches.map((ids) => ids.length)}`)
    t.ok(Math.max(...batches.map((ids) => ids.length)) <= 128, 'no more than 128')
    t.ok(
      batches.some((all) => all.length > new Set(all).size),
      'a key more than once'
    )
  })

  t.test(`${kind}: one poison among 50 becomes a dead letter, and the others have their effect`, async (t) => {
    const ids = makeIds(50)
    const [before, after] = [events(ids), events(ids).map(({ id }) => ({ id, n: 2 }))]
    const bad = ids[20]!
    const service = await openWith(t, `${lower}-poison`, [
      ...before.map((event) => (event.id === bad ? { ...event, poison: true } : event)),
      ...after
    ])
    const { batches, outcomes, end } = consume(service, subscribe, async (all, tx) => {
      if (all.some(({ data }) => data.poison)) throw new Error('cannot digest this')
      await effect(service.store, all, tx)
    })
    await end(100)
    const good = ids.filter((id) => id !== bad)
    t.same(await rowsOf(service, good), Array(49).fill({ applied: 2, last: 2, disorder: undefined }))
    t.match(await rowsOf(service, [bad]), [{ applied: 1, last: 2 }], 'what comes after it in its key is applied')
    t.ok(
      batches.some((all) => all.length > 20 && all.includes(bad)),
      'it was in a batch'
    )
    t.equal((await service.jsm.streams.info('dlq_content')).state.messages, 1)
    const letter = await service.jsm.direct.getMessage('dlq_content', { seq: 1 })
    t.equal(letter?.header.get('skerry-attempts'), '3')
    t.match(letter?.header.get('skerry-error'), /cannot digest this/)
    t.equal(letter?.header.get('ce-subject'), bad)
    t.same(outcomes.sort(), [...Array(99).fill('applied'), 'dead', 'retried', 'retried'])
  })

  t.test(`${kind}: when a part of what waits was applied before, the rest is applied`, async (t) => {
    const ids = makeIds(40)
    const known = ids.slice(0, 25)
    const service = await openWith(t, `${lower}-part`, events(known))
    const first = consume(service, subscribe, (all, tx) => effect(service.store, all, tx))
    await first.end(25)
    // As after the loss of the durable and of what is remembered of it: all comes again, with something new.
    await publishAll(service, events(ids.slice(25)))
    await service.jsm.consumers.delete('content', 'content--many')
    await collectionOf(service.store.db, consumerStates).deleteOne({ _id: 'content:content--many' })
    const second = consume(service, subscribe, (all, tx) => effect(service.store, all, tx))
    await second.end(40)
    t.same(await rowsOf(service, ids), Array(40).fill({ applied: 1, last: 1, disorder: undefined }))
    t.same(second.outcomes.sort(), [...Array(15).fill('applied'), ...Array(25).fill('duplicate')])
  })

  t.test(`${kind}: stopped in the middle of a batch, it goes on where it was`, async (t) => {
    const ids = makeIds(30)
    const service = await openWith(t, `${lower}-stop`, events(ids, 4))
    let stopped: Promise<void> | undefined
    const first = consume(service, subscribe, async (all, tx) => {
      stopped ??= first.consumer.stop()
      await effect(service.store, all, tx)
    })
    await waitFor(() => stopped !== undefined)
    await stopped
    const applied = first.outcomes.length
    t.same(first.outcomes, Array(first.batches[0]!.length).fill('applied'), 'what was under way came to its end')
    const info = await service.jsm.consumers.info('content', 'content--many')
    t.equal(info.num_pending + info.num_ack_pending, 120 - applied, 'and was acknowledged')
    const second = consume(service, subscribe, (all, tx) => effect(service.store, all, tx))
    await second.end(120 - applied)
    t.same(await rowsOf(service, ids), Array(30).fill({ applied: 4, last: 4, disorder: undefined }))
    t.same(second.outcomes.filter((outcome) => outcome === 'applied').length, 120 - applied)
  })

  t.test(`${kind}: a read model is built anew beside the live one`, async (t) => {
    const ids = makeIds(12)
    const service = await openWith(t, `${lower}-model`, events(ids, 5))
    const model = startReadModel({
      ...service.common,
      purpose: 'tallies',
      collections: [tallies],
      checkMs: 100,
      subscriptions: (view) => subscribe((all, tx) => effect(view, all, tx as Tx))
    })
    await waitFor(async () => (await rowsOf(service, ids)).every(({ last }) => last === 5))
    const request = JSON.stringify({ by: 'ada', stay: true })
    const answer = await service.nc.request('ops.content.tallies.model.rebuild', request, { timeout: 30_000 })
    t.match(answer.json(), { ok: true })
    const built = service.store.db.collection<{ _id: string; bucket: number }>('tallies--r2')
    const rows = () => built.find({ bucket: { $in: ids.map(bucketOf) }, _id: { $in: [...ids] } }).toArray()
    await waitFor(async () => (await rows()).filter((row) => 'last' in row && row.last === 5).length === 12)
    t.match(await rows(), Array(12).fill({ applied: 5, last: 5, disorder: undefined }))
    t.same(await rowsOf(service, ids), Array(12).fill({ applied: 5, last: 5, disorder: undefined }))
    await model.stop()
  })
}

for (const step of ['apply: before the commit', 'apply: committed, not acknowledged'] as const satisfies KillPoint[])
  t.test(`a batch whose process is killed at "${step}" has its effect once`, async (t) => {
    const ids = makeIds(10)
    const name = step.includes('before') ? 'before' : 'committed'
    const service = await openWith(t, name, events(ids, 10))
    await setLifetime(service, 1)
    const launch = (kill?: VictimOptions['kill']) => {
      const victim: VictimOptions = {
        ...{ role: 'consumer', instance: 'a', leaseMs: 600, concurrency: 1, nats, many: true },
        mongo: { url: stores.mongoUrl, database: stores.database(name) },
        ...(kill === undefined ? {} : { kill })
      }
      const env = { ...childEnv(), VICTIM: JSON.stringify(victim) }
      const child = fork(new URL('fixtures/victim.ts', import.meta.url), { execArgv: [], env })
      const exited = once(child, 'exit')
      t.teardown(async () => {
        child.kill('SIGKILL')
        await exited
      })
      return exited
    }
    const sum = async () => (await rowsOf(service, ids)).reduce((all, { applied }) => all + applied, 0)
    const [, signal] = await launch({ step, nth: 2 })
    t.equal(signal, 'SIGKILL')
    const left = await sum()
    if (name === 'committed') t.ok(left > 2, 'two commits were the effects of more than two events')
    launch()
    await waitFor(async () => (await sum()) >= 100)
    const pending = async () => (await service.jsm.consumers.info('content', 'content--tally')).num_ack_pending
    await waitFor(async () => (await pending()) === 0)
    t.same(await rowsOf(service, ids), Array(10).fill({ applied: 10, last: 10, disorder: undefined }))
  })

t.test(
  'a pace: an event that comes alone is handled at once, what follows waits until a batch is full, each key with all that it has; a stop waits for nobody',
  async (t) => {
    const ids = makeIds(132)
    const service = await openService(t, stores, 'pace')
    const { jsm, common } = service
    const sizes: number[] = []
    const start = (paceMs: number) =>
      startConsumer({
        ...{ ...common, purpose: 'many' },
        subscriptions: onMany(
          [Counted],
          async (all) => {
            sizes.push(all.length)
          },
          { paceMs }
        )
      })
    const waitsFor = async (count: number) => {
      const info = await jsm.consumers.info('content', 'content--many').catch(() => undefined)
      return info?.num_ack_pending === count && info.num_pending === 0
    }
    const patient = start(3_600_000)
    await publishAll(service, events(ids.slice(0, 1)))
    await waitFor(() => sizes.length === 1)
    await waitFor(() => waitsFor(0))
    await publishAll(service, events(ids.slice(1, 101)))
    await waitFor(() => waitsFor(100))
    t.same(sizes, [1], 'they wait')
    await publishAll(service, events(ids.slice(101, 129)))
    await waitFor(() => waitsFor(0))
    t.same(sizes, [1, 128])
    await publishAll(service, events(ids.slice(129)))
    await waitFor(() => waitsFor(3))
    await patient.stop()
    t.same(sizes, [1, 128], 'what waits is not begun')
    const quick = start(1)
    await waitFor(() => waitsFor(0))
    await quick.stop()
    t.equal(await marksOf(service), 132)
  }
)

t.test('a pace: a backlog of few keys, more than is held at once, is worked off without it', async (t) => {
  const ids = makeIds(2)
  const service = await openWith(t, 'pace-backlog', events(ids, 700))
  const { outcomes, consumer } = consume(
    service,
    (handle) => onMany([Counted], handle, { paceMs: 3_600_000 }),
    (some, tx) => tallyAll(service.store, some, tx)
  )
  // What can be held at the end waits.
  await waitFor(() => outcomes.length >= 1_400 - 512)
  await consumer.stop()
  for (const { applied, last, disorder } of await rowsOf(service, ids)) t.same([applied, disorder], [last, undefined])
})

t.test('a batch that takes most of a second makes the next ones no smaller', async (t) => {
  const service = await openWith(t, 'second', events(makeIds(400)))
  const { batches, end } = consume(service, inTransaction, async () => {
    if (batches.length === 2) await delay(700)
  })
  await end(400)
  const sizes = batches.map((batch) => batch.length)
  // What was there when the first one began, and then full ones.
  t.same(sizes.slice(1, 3), [128, 128], `${sizes}`)
})

t.test('what is large comes in smaller batches, and an event alone may be larger', async (t) => {
  const Large = defineEvent({
    ...{ subject: 'content.test.large', version: 1, summary: 'Only for tests.' },
    entity: (d) => d.id,
    data: Type.Object({ id: Type.String(), text: Type.String() })
  })
  const service = await openService(t, stores, 'bytes')
  const { store, jsm, common } = service
  const ids = makeIds(2)
  const relay = startRelay(common)
  for (let i = 0; i < 8; i++)
    await transaction(store, {}, async (tx) =>
      publish(store, tx, Large, { id: ids[i % 2]!, text: 'x'.repeat(i < 6 ? 300_000 : 990_000) })
    )
  await waitFor(async () => (await jsm.streams.info('content')).state.messages === 8)
  await relay.stop()
  const sizes: number[] = []
  const consumer = startConsumer({
    ...{ ...common, purpose: 'bytes', concurrency: 1 },
    subscriptions: onManyIdempotent([Large], async (all) => {
      sizes.push(all.length)
      if (sizes.length > 1) return
      await waitFor(async () => (await jsm.consumers.info('content', 'content--bytes')).num_pending === 0)
      await setImmediate()
    })
  })
  await waitFor(() => sizes.reduce((sum, n) => sum + n, 0) === 8)
  await consumer.stop()
  t.ok(Math.max(...sizes) <= 3, `${sizes}`)
  t.ok(Math.max(...sizes) > 1, 'more than one where there is room')
})

t.test('an effect that needs no inbox leaves nothing there, and is repeated when its event comes again', async (t) => {
  const ids = makeIds(5)
  const service = await openWith(t, 'never', events(ids))
  const handled: string[] = []
  const handle = async (all: readonly Event[]) => void handled.push(...all.map(({ data }) => data.id))
  const first = consume(service, repeatable('never'), handle)
  await first.end(5)
  await service.jsm.consumers.delete('content', 'content--many')
  await collectionOf(service.store.db, consumerStates).deleteOne({ _id: 'content:content--many' })
  const second = consume(service, repeatable('never'), handle)
  await second.end(5)
  t.same(handled.sort(), [...ids, ...ids].sort())
  t.same(second.outcomes, Array(5).fill('applied'))
  t.equal(await marksOf(service), 0)
})

t.test('the inbox is asked only about what is older than the receiver remembers, and marked for all', async (t) => {
  const ids = makeIds(3)
  const service = await openWith(t, 'after', events(ids))
  const run = async (afterMs: number) => {
    const handled: string[] = []
    const one = consume(
      service,
      repeatable({ afterMs }),
      async (all) => void handled.push(...all.map((e) => e.data.id))
    )
    await one.end(3)
    await service.jsm.consumers.delete('content', 'content--many')
    await collectionOf(service.store.db, consumerStates).deleteOne({ _id: 'content:content--many' })
    return handled.sort()
  }
  t.same(await run(3_600_000), [...ids].sort(), 'handled the first time')
  t.equal(await marksOf(service), 3)
  t.same(await run(3_600_000), [...ids].sort(), 'young: not asked for')
  t.same(await run(0), [], 'old: known')
})

/** The same store, whose first insert into a collection fails. */
function failingOnce(store: Store, collection: string): { store: Store; failed(): boolean } {
  let failed = false
  const wrapped = (name: string) =>
    new Proxy(store.db.collection(name), {
      get(target, member) {
        const value = Reflect.get(target, member, target) as unknown
        if (typeof value !== 'function') return value
        if (name !== collection || member !== 'insertMany' || failed) return value.bind(target)
        return async () => {
          failed = true
          throw new Error('no room')
        }
      }
    })
  const db = new Proxy(store.db, {
    get: (target, member) => (member === 'collection' ? wrapped : Reflect.get(target, member, target))
  })
  return { store: { ...store, db }, failed: () => failed }
}

t.test('where marks cannot be written their events come again, in order, and are marked then', async (t) => {
  const ids = makeIds(3)
  const service = await openWith(t, 'marks', events(ids, 5))
  const { store, failed } = failingOnce(service.store, 'inbox')
  const seen: string[] = []
  const one = consume(
    { ...service, common: { ...service.common, store } },
    repeatable(),
    async (all) => void seen.push(...all.map(({ data }) => `${data.id} ${data.n}`))
  )
  await waitFor(async () => (await marksOf(service)) === 15)
  await one.end(15)
  t.equal(failed(), true)
  for (const id of ids) {
    const numbers = seen.flatMap((event) => (event.startsWith(id) ? [Number(event.split(' ')[1])] : []))
    t.same(numbers.slice(-5), [1, 2, 3, 4, 5], 'the last time in order, from the first on')
  }
})
