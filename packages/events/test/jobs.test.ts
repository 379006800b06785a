import { connect } from '@nats-io/transport-node'
import { collectionOf, defineCollection, openStore, type Store, transaction } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import Type from 'typebox'
import {
  cancelJob,
  defineJob,
  definePeriodicJob,
  eventCollections,
  type JobHandler,
  onIdempotentJob,
  onJob,
  scheduleJob,
  startJobs,
  startRelay
} from '../src/index.ts'
import { findDue, plannedJobs, takeDue } from '../src/jobs/planned.ts'

const stores = await useStores(t)
const silent = { debug() {}, info() {}, warn() {}, error() {} }
const MINUTE = 60_000
const START = Date.parse('2030-01-01T00:00:00.000Z')

type Note = { _id: string; count: number; dueAt: Date[] }
const notes = defineCollection<Note>({ name: 'notes', shardKey: null, indexes: [] })

let services = 0
const word = () => `jobs${String.fromCharCode(97 + services++)}`

/** A service with `instances` instances whose clock stands until it is moved. */
async function open(t: { teardown(f: () => Promise<void>): unknown }, service: string) {
  const store = await openStore({
    url: stores.mongoUrl,
    database: stores.database(service),
    collections: [...eventCollections, notes],
    checkQueries: true
  })
  const nc = await connect({ servers: stores.nats.url, user: stores.nats.user, pass: stores.nats.password })
  const clock = { now: START }
  const running: { stop(): Promise<void> }[] = []
  const common = { store, nc, service, log: silent, leaseMs: 4_000, backoffMs: [10, 10] }
  const relay = startRelay({ ...common, instance: 'a' })
  t.teardown(async () => {
    await Promise.all([relay, ...running].map((part) => part.stop()))
    await nc.close()
    await store.close()
  })
  return {
    store,
    nc,
    clock,
    start(instance: string, handlers: JobHandler[]) {
      const { scheduler, jobs } = startJobs({
        ...common,
        instance,
        handlers,
        tickMs: 10,
        now: () => clock.now
      })
      running.push(scheduler, jobs)
      return { scheduler, jobs }
    },
    noted: async (id: string) => collectionOf(store.db, notes).findOne({ _id: id })
  }
}

const note = (store: Store, id: string) => (run: { dueAt: Date }, tx: { session: never } | unknown) =>
  collectionOf(store.db, notes)
    .updateOne(
      { _id: id },
      { $inc: { count: 1 }, $push: { dueAt: run.dueAt } },
      { upsert: true, session: (tx as { session: never }).session }
    )
    .then(() => undefined)

t.test('a periodic job runs once a period over all instances, and what was missed is one run', async (t) => {
  const service = word()
  const { store, clock, start, noted } = await open(t, service)
  const Tick = definePeriodicJob({ service, name: 'tick', summary: 'For tests.', everyMs: MINUTE })
  for (const instance of ['a', 'b', 'c']) start(instance, [onJob(Tick, note(store, 'tick'))])
  await waitFor(async () => (await noted('tick'))?.count === 1, { message: 'the first run' })
  clock.now += MINUTE
  await waitFor(async () => (await noted('tick'))?.count === 2, { message: 'the second run' })
  clock.now += 10.5 * MINUTE
  await waitFor(async () => (await noted('tick'))?.count === 3, { message: 'one run for ten' })
  clock.now += 0.5 * MINUTE
  await waitFor(async () => (await noted('tick'))?.count === 4, { message: 'in its old rhythm' })
  t.same(
    (await noted('tick'))?.dueAt.map((at) => (at.getTime() - START) / MINUTE),
    [0, 1, 2, 12]
  )
})

t.test('runs that wait for a handler are one run when it comes', async (t) => {
  const service = word()
  const { store, clock, start, noted } = await open(t, service)
  const Tick = definePeriodicJob({ service, name: 'tick', summary: 'For tests.', everyMs: MINUTE })
  const first = start('a', [onJob(Tick, note(store, 'tick'))])
  await waitFor(async () => (await noted('tick'))?.count === 1)
  await first.jobs.stop()
  for (let i = 1; i <= 5; i++) {
    clock.now += MINUTE
    const due = new Date(START + i * MINUTE)
    await waitFor(async () => {
      const [planned] = await collectionOf(store.db, plannedJobs)
        .find({ name: { $in: ['tick'] } }, { comment: 'jobs-due' })
        .toArray()
      return planned?.lastDueAt?.getTime() === due.getTime()
    })
  }
  start('b', [onJob(Tick, note(store, 'tick'))])
  await waitFor(async () => (await noted('tick'))?.count === 2)
  clock.now += MINUTE
  await first.scheduler.stop()
  await waitFor(async () => (await noted('tick'))?.count === 3)
  t.same(
    (await noted('tick'))?.dueAt.map((at) => (at.getTime() - START) / MINUTE),
    [0, 5, 6]
  )
})

t.test('a planned run commits with its write, comes when it is due, and can be moved and taken back', async (t) => {
  const service = word()
  const { store, clock, start, noted } = await open(t, service)
  const Later = defineJob({
    service,
    name: 'later',
    summary: 'For tests.',
    data: Type.Object({ id: Type.String({ minLength: 1 }) })
  })
  const at = (minutes: number) => new Date(START + minutes * MINUTE)
  start('a', [onJob(Later, (run, tx) => note(store, run.data.id)(run, tx))])

  await t.rejects(
    transaction(store, {}, async (tx) => {
      await scheduleJob(store, tx, Later, { id: 'never' }, { at: at(0) })
      throw new Error('no')
    }),
    { message: 'no' }
  )
  await t.rejects(
    transaction(store, {}, (tx) => scheduleJob(store, tx, Later, { id: '' }, { at: at(0) })),
    /does not fit its contract/
  )
  await transaction(store, {}, async (tx) => {
    await scheduleJob(store, tx, Later, { id: 'one' }, { at: at(2) })
    await scheduleJob(store, tx, Later, { id: 'moved' }, { at: at(1), key: 'm' })
    await scheduleJob(store, tx, Later, { id: 'gone' }, { at: at(1), key: 'g' })
  })
  await transaction(store, {}, async (tx) => {
    await scheduleJob(store, tx, Later, { id: 'moved' }, { at: at(3), key: 'm' })
    t.equal(await cancelJob(store, tx, Later, 'g'), true)
    t.equal(await cancelJob(store, tx, Later, 'unknown'), false)
  })
  clock.now = at(2).getTime()
  await waitFor(async () => (await noted('one'))?.count === 1)
  t.equal(await noted('moved'), null, 'what was moved waits for its new time')
  clock.now = at(3).getTime()
  await waitFor(async () => (await noted('moved'))?.count === 1)
  t.same((await noted('moved'))?.dueAt, [at(3)])
  for (const id of ['gone', 'never']) t.equal(await noted(id), null, `${id} did not run`)
})

t.test('a run that fails is tried again, then it is a dead letter, and the next period comes', async (t) => {
  const service = word()
  const { nc, clock, start } = await open(t, service)
  const Bad = definePeriodicJob({ service, name: 'bad', summary: 'For tests.', everyMs: MINUTE })
  let attempts = 0
  start('a', [
    onIdempotentJob(Bad, async () => {
      attempts++
      throw new Error('the handler is broken')
    })
  ])
  const { jetstreamManager } = await import('@nats-io/jetstream')
  const jsm = await jetstreamManager(nc)
  const letters = async () => {
    const { state } = await jsm.streams.info(`dlq_${service}`)
    return state.messages
  }
  await waitFor(async () => attempts === 3 && (await letters()) === 1)
  clock.now += MINUTE
  await waitFor(async () => attempts === 6 && (await letters()) === 2)
  const letter = await jsm.streams.getMessage(`dlq_${service}`, { seq: 1 })
  t.match(letter?.header.get('skerry-error'), /the handler is broken/)
  t.equal(letter?.subject, `dlq.${service}.jobs`)
})

t.test('what is no job of the service, or twice, is refused', async (t) => {
  const service = word()
  const { start } = await open(t, service)
  const Tick = definePeriodicJob({ service, name: 'tick', summary: 'For tests.', everyMs: MINUTE })
  const Other = definePeriodicJob({ service: 'other', name: 'tick', summary: 'For tests.', everyMs: MINUTE })
  const nothing = async () => undefined
  t.throws(() => start('a', [onJob(Tick, nothing), onJob(Tick, nothing)]), /two handlers/)
  t.throws(() => start('a', [onJob(Other, nothing)]), /not a job of/)
  t.throws(() => definePeriodicJob({ service, name: 'tick', summary: '', everyMs: 10 }), /at least 1000/)
})

t.test('a run planned anew for the same time has its new data, also while it is being taken', async (t) => {
  const service = word()
  const { store } = await open(t, service)
  const Later = defineJob({ service, name: 'later', summary: 'For tests.', data: Type.Object({ id: Type.String() }) })
  const plan = (id: string) =>
    transaction(store, {}, (tx) => scheduleJob(store, tx, Later, { id }, { at: new Date(START), key: 'one' }))
  await plan('old')
  const [found] = await findDue(store, ['later'], new Date(START), 1)
  await plan('new')
  t.equal(
    await transaction(store, {}, (tx) => takeDue(store, tx, found!, undefined)),
    false,
    'what was read is no more'
  )
  const [again] = await findDue(store, ['later'], new Date(START), 1)
  t.equal(again?.data, '{"id":"new"}')
  t.equal(await transaction(store, {}, (tx) => takeDue(store, tx, again!, undefined)), true)
})

t.test('a run that no longer fits its contract keeps no other, and waits for a release that knows it', async (t) => {
  const service = word()
  const { store, start, noted } = await open(t, service)
  const of = (maxLength: number) =>
    defineJob({
      ...{ service, name: 'later', summary: 'For tests.' },
      data: Type.Object({ id: Type.String({ maxLength }) })
    })
  const [Wide, Narrow] = [of(50), of(5)]
  const at = new Date(START)
  await transaction(store, {}, async (tx) => {
    await scheduleJob(store, tx, Wide, { id: 'too long' }, { at: new Date(START - MINUTE) })
    await scheduleJob(store, tx, Wide, { id: 'short' }, { at })
  })
  const narrow = start('a', [onJob(Narrow, (run, tx) => note(store, run.data.id)(run, tx))])
  await waitFor(async () => (await noted('short'))?.count === 1, { message: 'the one behind it' })
  await Promise.all([narrow.scheduler.stop(), narrow.jobs.stop()])
  t.equal(await noted('too long'), null)
  start('b', [onJob(Wide, (run, tx) => note(store, run.data.id)(run, tx))])
  await waitFor(async () => (await noted('too long'))?.count === 1, { message: 'the one that was set aside' })
})
