import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay, setImmediate } from 'node:timers/promises'
import { bucketOf, collectionOf, newId, randomBucket, type Store, type Tx } from '@skerry/store'
import { childEnv, waitFor } from '@skerry/testing'
import t from 'tap'
import { consumerStates } from '../src/consumer-states.ts'
import { type Incoming, on, startConsumer, startRelay } from '../src/index.ts'
import { NO_METRICS } from '../src/metrics.ts'
import { Counted, tallies, tally, write } from './fixtures/counting.ts'
import type { KillPoint } from './fixtures/kill-points.ts'
import { startOwnStores } from './fixtures/own-stores.ts'
import { openService, tallyOf } from './fixtures/service.ts'
import type { VictimOptions } from './fixtures/victim.ts'

type Event = Incoming<{ id: string; n: number; poison?: boolean | undefined }>
type Handle = (store: Store, event: Event, tx: Tx) => Promise<void>
type Service = Awaited<ReturnType<typeof openService>>
type Test = { teardown(f: () => Promise<void>): unknown }

// Its own, since how long mongod keeps a transaction is part of some tests.
const stores = await startOwnStores(t, 'together')
const { nats } = stores
const makeIds = (count: number) => Array.from({ length: count }, () => newId(randomBucket()))
const tallyOne: Handle = (store, event, tx) => tally(store, event, bucketOf(event.data.id), tx)

async function appliedOf({ store }: Service, ids: readonly string[]): Promise<number[]> {
  const rows = await Promise.all(ids.map((id) => tallyOf(store, id)))
  return rows.map((row) => row?.applied ?? 0)
}

async function setLifetime({ store }: Service, seconds: number): Promise<void> {
  await store.client.db('admin').command({ setParameter: 1, transactionLifetimeLimitSeconds: seconds })
}

/** A service that has published one event of each entity, in their order. */
async function openWithEvents(t: Test, name: string, ids: readonly string[], poison?: string) {
  const service = await openService(t, stores, name)
  const { store, jsm, common } = service
  const relay = startRelay(common)
  for (const id of ids) await write(store, id, bucketOf(id), id === poison ? { poison: true } : {})
  const published = async () => (await jsm.streams.info('content').catch(() => undefined))?.state.messages
  await waitFor(async () => (await published()) === ids.length)
  await relay.stop()
  return service
}

/** Consumes in one lane. The handler of the first event ends when all others are there, so that they share the next transaction. */
function consumeTogether(service: Service, ids: readonly string[], handle: Handle) {
  const { store, jsm, common } = service
  const outcomes: string[] = []
  const transactions = new Map<string, string[]>()
  const info = () => jsm.consumers.info('content', 'content--together')

  const consumer = startConsumer({
    ...common,
    purpose: 'together',
    concurrency: 1,
    backoffMs: [0, 0],
    metrics: { ...NO_METRICS, handled: (_consumer, _subject, outcome) => void outcomes.push(outcome) },
    subscriptions: [
      on(Counted, async (event, tx) => {
        const { id, serverSession } = tx.session
        const key = `${id?.id.toString('hex')} ${serverSession?.txnNumber}`
        transactions.set(key, [...(transactions.get(key) ?? []), event.data.id])
        if (event.data.id === ids[0]) {
          // What the server says here comes after what it has delivered, on the same connection.
          await waitFor(async () => (await info()).num_ack_pending === ids.length)
          await setImmediate()
        }
        await handle(store, event, tx)
      })
    ]
  })
  return {
    outcomes,
    /** The entities of each transaction that had several. */
    shared: () => [...transactions.values()].filter((events) => events.length > 1),
    async end() {
      await waitFor(() => outcomes.filter((outcome) => outcome !== 'retried').length >= ids.length)
      await waitFor(async () => (await info()).num_ack_pending === 0)
      await consumer.stop()
    }
  }
}

t.test(
  'poison among events that share a transaction: the others have their effect once, it has its attempts',
  async (t) => {
    const ids = makeIds(9)
    const service = await openWithEvents(t, 'poison', ids, ids[4])
    const consumer = consumeTogether(service, ids, async (store, event, tx) => {
      if (event.data.poison) throw new Error('cannot digest this')
      await tallyOne(store, event, tx)
    })
    await consumer.end()
    t.same(consumer.shared(), [ids.slice(1, 5)], 'they shared one up to the poison')
    t.same(await appliedOf(service, ids), [1, 1, 1, 1, 0, 1, 1, 1, 1])
    t.equal((await service.jsm.streams.info('dlq_content')).state.messages, 1)
    const letter = await service.jsm.direct.getMessage('dlq_content', { seq: 1 })
    t.equal(letter?.header.get('skerry-attempts'), '3')
    t.match(letter?.header.get('skerry-error'), /cannot digest this/)
    t.equal(letter?.header.get('ce-subject'), ids[4])
    t.same(consumer.outcomes.sort(), [...Array(8).fill('applied'), 'dead', 'retried', 'retried'])
  }
)

t.test('a handler sees what those before it wrote in the same transaction', async (t) => {
  const ids = makeIds(33)
  const [common] = makeIds(1) as [string]
  const service = await openWithEvents(t, 'sees', ids)
  const consumer = consumeTogether(service, ids, async (store, event, tx) => {
    const rows = collectionOf(store.db, tallies)
    const before = await rows.findOne({ bucket: bucketOf(common), _id: common }, { session: tx.session })
    const data = { id: common, n: (before?.last ?? 0) + 1 }
    await tallyOne(store, { ...event, data }, tx)
  })
  await consumer.end()
  t.same(consumer.shared(), [ids.slice(1)], 'as many as a transaction takes, in order')
  const row = await tallyOf(service.store, common)
  t.same(
    { last: row?.last, applied: row?.applied, disorder: row?.disorder },
    { last: 33, applied: 33, disorder: undefined }
  )
})

t.test('transactions that take too long become smaller, so that what shares one is not done twice', async (t) => {
  const ids = makeIds(97)
  const service = await openWithEvents(t, 'smaller', ids)
  const consumer = consumeTogether(service, ids, async (store, event, tx) => {
    await delay(60)
    await tallyOne(store, event, tx)
  })
  await consumer.end()
  t.same(await appliedOf(service, ids), Array(97).fill(1))
  const sizes = consumer.shared().map((events) => events.length)
  t.ok(sizes[0]! > 8, `${sizes}`)
  t.ok(sizes.at(-1)! <= 8, `${sizes}`)
})

t.test('an id that the inbox knows takes no effect from the others', async (t) => {
  const ids = makeIds(5)
  const service = await openWithEvents(t, 'known', ids)
  const first = consumeTogether(service, ids, tallyOne)
  await first.end()
  // As after the loss of the durable and of what is remembered of it: all comes again, with something new.
  const fresh = makeIds(3)
  const relay = startRelay(service.common)
  for (const id of fresh) await write(service.store, id, bucketOf(id))
  await waitFor(async () => (await service.jsm.streams.info('content')).state.messages === 8)
  await relay.stop()
  await service.jsm.consumers.delete('content', 'content--together')
  await collectionOf(service.store.db, consumerStates).deleteOne({ _id: 'content:content--together' })
  const all = [...ids, ...fresh]
  const second = consumeTogether(service, all, tallyOne)
  await second.end()
  t.same(await appliedOf(service, all), Array(8).fill(1))
  t.same(second.outcomes.sort(), [...Array(3).fill('applied'), ...Array(5).fill('duplicate')])
})

t.test('a conflict that lasts keeps only its own event waiting', async (t) => {
  const ids = makeIds(5)
  const service = await openWithEvents(t, 'conflict', ids)
  await setLifetime(service, 60)
  const last = ids[4]!
  const session = service.store.client.startSession()
  session.startTransaction()
  const rows = collectionOf(service.store.db, tallies)
  await rows.updateOne({ bucket: bucketOf(last), _id: last }, { $set: { last: 0 } }, { upsert: true, session })
  const consumer = consumeTogether(service, ids, tallyOne)
  await waitFor(async () => (await appliedOf(service, ids.slice(0, 4))).every((n) => n === 1))
  t.same(consumer.shared()[0], ids.slice(1), 'they had shared a transaction')
  t.equal(await tallyOf(service.store, last), null)
  await session.abortTransaction()
  await session.endSession()
  await consumer.end()
  t.same(await appliedOf(service, ids), [1, 1, 1, 1, 1])
})

t.test('a handler that hangs keeps only its own event waiting', async (t) => {
  const ids = makeIds(4)
  const service = await openWithEvents(t, 'hangs', ids)
  await setLifetime(service, 1)
  let wake: () => void = () => undefined
  let late: Promise<void> | undefined
  const consumer = consumeTogether(service, ids, async (store, event, tx) => {
    if (event.data.id !== ids[2] || late !== undefined) return tallyOne(store, event, tx)
    const woken = new Promise<void>((resolve) => (wake = resolve))
    late = woken.then(() => tallyOne(store, event, tx))
    return late
  })
  await consumer.end()
  t.same(consumer.shared(), [ids.slice(1, 3)], 'they had shared a transaction')
  t.same(await appliedOf(service, ids), [1, 1, 1, 1])
  wake()
  await t.rejects(late!)
  t.same(await appliedOf(service, ids), [1, 1, 1, 1], 'when it wakes its transaction is over')
})

for (const step of ['apply: before the commit', 'apply: committed, not acknowledged'] as const satisfies KillPoint[])
  t.test(`several events in one transaction, killed at "${step}": each has its effect once`, async (t) => {
    const ids = makeIds(20)
    const name = step.includes('before') ? 'before' : 'committed'
    const service = await openWithEvents(t, name, ids)
    await setLifetime(service, 1)
    const launch = (kill?: VictimOptions['kill']) => {
      const victim: VictimOptions = {
        ...{ role: 'consumer', instance: 'a', leaseMs: 600, concurrency: 1, nats },
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
    const sum = async () => (await appliedOf(service, ids)).reduce((a, b) => a + b, 0)
    const [, signal] = await launch({ step, nth: 2 })
    t.equal(signal, 'SIGKILL')
    if (name === 'before') t.equal(await sum(), 1)
    else t.ok((await sum()) > 2, 'two commits were the effects of more than two events')
    launch()
    await waitFor(async () => (await sum()) >= 20)
    const left = async () => (await service.jsm.consumers.info('content', 'content--tally')).num_ack_pending
    await waitFor(async () => (await left()) === 0)
    t.same(await appliedOf(service, ids), Array(20).fill(1))
  })
