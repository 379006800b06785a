import { type Deadline, withDeadline } from '@skerry/deadline'
import { useStores, waitFor } from '@skerry/testing'
import { type ClientSession, MongoClient } from 'mongodb'
import t, { type Test } from 'tap'
import { collectionOf, defineCollection, openStore, type Store, transaction } from '../src/index.ts'

const stores = await useStores(t)
type Thing = { _id: string; bucket: number; n: number }
const things = defineCollection<Thing>({ name: 'things', shardKey: null, indexes: [] })

/** A deadline that leaves so many milliseconds whenever it is asked, so that a slow machine sends the operation too. */
const leaving = (ms: number): Deadline => ({ remainingMs: () => ms })
const over: Deadline = { remainingMs: () => 0 }
const late = { code: 'UNAVAILABLE', headers: { 'x-skerry-deadline': 'passed' } }

let opened = 0

async function open(t: Test) {
  const store = await openStore({
    url: stores.mongoUrl,
    database: stores.database(`late${++opened}`),
    collections: [things]
  })
  const onlooker = new MongoClient(stores.mongoUrl, { monitorCommands: true })
  t.teardown(async () => {
    await store.close()
    await onlooker.close()
  })
  const rows = collectionOf(store.db, things)
  await rows.insertMany([1, 2].map((n) => ({ _id: `thing ${n}`, bucket: n, n: 0 })))
  const running = async () => {
    const pipeline = [{ $currentOp: {} }, { $match: { ns: `${store.db.databaseName}.things`, active: true } }]
    return onlooker.db('admin').aggregate(pipeline).toArray()
  }
  /** The store by the connection whose commands are seen. */
  const watched: Store = {
    client: onlooker,
    db: onlooker.db(rows.dbName),
    ping: async () => undefined,
    close: async () => undefined
  }
  return { store, rows, onlooker, watched, running }
}

/** Holds a document in a transaction of somebody else. */
async function hold(t: Test, store: Store, onlooker: MongoClient, _id: string): Promise<ClientSession> {
  const session = onlooker.startSession()
  session.startTransaction()
  const held = onlooker.db(store.db.databaseName).collection<Thing>('things')
  await held.updateOne({ _id }, { $inc: { n: 100 } }, { session })
  t.teardown(() => session.endSession())
  return session
}

/** Queries that end only when mongod stops them. */
const ENDLESS = { $where: 'for (;;) sleep(1)' } as object
const unwound = (name: string) => [{ $set: { [name]: { $range: [0, 100_000] } } }, { $unwind: `$${name}` }]
const VAST = [...unwound('a'), ...unwound('b'), ...unwound('c'), { $count: 'n' }]

t.test('an operation ends in mongod when its deadline passes', async (t) => {
  const { rows, onlooker, running } = await open(t)
  const ways: Record<string, () => Promise<unknown>> = {
    find: () => rows.find(ENDLESS).toArray(),
    findOne: () => rows.findOne(ENDLESS),
    aggregate: () => rows.aggregate(VAST).toArray(),
    distinct: () => rows.distinct('n', ENDLESS),
    updateOne: () => rows.updateOne(ENDLESS, { $set: { n: 1 } }),
    updateMany: () => rows.updateMany(ENDLESS, { $set: { n: 1 } }),
    replaceOne: () => rows.replaceOne(ENDLESS, { bucket: 1, n: 1 }),
    deleteOne: () => rows.deleteOne(ENDLESS),
    deleteMany: () => rows.deleteMany(ENDLESS),
    findOneAndUpdate: () => rows.findOneAndUpdate(ENDLESS, { $set: { n: 1 } }),
    findOneAndReplace: () => rows.findOneAndReplace(ENDLESS, { bucket: 1, n: 1 }),
    findOneAndDelete: () => rows.findOneAndDelete(ENDLESS),
    bulkWrite: () => rows.bulkWrite([{ deleteOne: { filter: ENDLESS } }])
  }
  for (const [name, run] of Object.entries(ways)) {
    // Else each would run until the driver gives its connection up, which is another error, and mongod would go on.
    await t.rejects(withDeadline(leaving(100), run), { code: 50 }, name)
    await waitFor(async () => (await running()).length === 0, { message: `${name} has ended` })
  }
  const seen = withDeadline(leaving(60_000), () => rows.find(ENDLESS).toArray()).catch((error: unknown) => error)
  await waitFor(async () => (await running()).length === 1, { message: 'one that runs is seen' })
  await onlooker.db('admin').command({ killOp: 1, op: (await running())[0]?.opid })
  t.match(await seen, { code: 11601 }, 'and only that ended it')
})

t.test('the bound of the operation itself holds where it is less', async (t) => {
  const { rows } = await open(t)
  const asked = withDeadline(leaving(60_000), () => rows.find(ENDLESS, { maxTimeMS: 50 }).toArray())
  await t.rejects(asked, { code: 50 })
})

t.test('a write that waits for another ends with its deadline and has written nothing', async (t) => {
  const { rows, store, onlooker, running } = await open(t)
  const other = await hold(t, store, onlooker, 'thing 1')
  const asked = withDeadline(leaving(150), () => rows.updateOne({ _id: 'thing 1' }, { $inc: { n: 1 } }))
  await t.rejects(asked, { code: 50 })
  await waitFor(async () => (await running()).length === 0)
  await other.commitTransaction()
  t.equal((await rows.findOne({ _id: 'thing 1' }))?.n, 100)
})

t.test('nothing is sent when no time is left, and it rejects rather than throws', async (t) => {
  const { onlooker, watched } = await open(t)
  const rows = collectionOf(watched.db, things)
  const sent: string[] = []
  onlooker.on('commandStarted', ({ commandName }) => void sent.push(commandName))
  const refused = withDeadline(over, (): Promise<unknown>[] => [
    rows.find({}).toArray(),
    rows.find({}).next(),
    rows.findOne({}),
    rows.countDocuments({}),
    rows.insertOne({ _id: 'x', bucket: 1, n: 1 }),
    rows.insertMany([{ _id: 'y', bucket: 1, n: 1 }]),
    rows.updateOne({}, { $set: { n: 9 } }),
    transaction(watched, {}, async () => t.fail('the work began'))
  ])
  for (const one of refused) await t.rejects(one, late)
  t.same(sent, [])
  t.equal(await rows.countDocuments({}), 2, 'the next work is free again')
  t.equal(await withDeadline(over, () => withDeadline(undefined, () => rows.countDocuments({}))), 2)
})

t.test('a transaction that conflicts is not tried again after its deadline', async (t) => {
  const { rows, store, onlooker } = await open(t)
  const other = await hold(t, store, onlooker, 'thing 1')
  let attempts = 0
  const asked = withDeadline({ remainingMs: () => (attempts < 3 ? 60_000 : 0) }, () =>
    transaction(store, {}, async ({ session }) => {
      attempts++
      await rows.updateOne({ _id: 'thing 1' }, { $inc: { n: 1 } }, { session })
    })
  )
  await t.rejects(asked, late)
  await other.commitTransaction()
  t.equal((await rows.findOne({ _id: 'thing 1' }))?.n, 100)
  t.equal(attempts, 3, 'as long as time was left')
})

t.test('a transaction whose operation is stopped by the deadline ends as any that is late', async (t) => {
  const { rows, store, running } = await open(t)
  let left = 60_000
  const asked = withDeadline({ remainingMs: () => left }, () =>
    transaction(store, {}, async ({ session }) => {
      await rows.insertOne({ _id: 'x', bucket: 1, n: 1 }, { session })
      left = 100
      const stopped = rows.updateOne(ENDLESS, { $set: { n: 1 } }, { session })
      left = 0
      await stopped
    })
  )
  await t.rejects(asked, { ...late, cause: { code: 50 } })
  await waitFor(async () => (await running()).length === 0)
  t.equal(await rows.findOne({ _id: 'x' }), null)
})

t.test('a transaction whose deadline passes before the commit leaves nothing', async (t) => {
  const { rows, store } = await open(t)
  let left = 60_000
  const asked = withDeadline({ remainingMs: () => left }, () =>
    transaction(store, {}, async ({ session }) => {
      await rows.insertOne({ _id: 'x', bucket: 1, n: 1 }, { session })
      left = 0
    })
  )
  await t.rejects(asked, late)
  t.equal(await rows.findOne({ _id: 'x' }), null)
})

t.test('once the commit is sent its outcome is told, whatever the deadline', async (t) => {
  const { rows, onlooker, watched } = await open(t)
  let left = 60_000
  onlooker.on('commandStarted', ({ commandName }) => {
    if (commandName === 'commitTransaction') left = 0
  })
  const mine = collectionOf(watched.db, things)
  const told = await withDeadline({ remainingMs: () => left }, () =>
    transaction(watched, {}, async ({ session }) => {
      await mine.insertOne({ _id: 'x', bucket: 1, n: 1 }, { session })
      return 'committed'
    })
  )
  t.equal(told, 'committed')
  t.equal(left, 0, 'the deadline passed while it committed')
  t.match(await rows.findOne({ _id: 'x' }), { n: 1 })
})
