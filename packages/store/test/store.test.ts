import { useStores, waitFor } from '@skerry/testing'
import { MongoServerError } from 'mongodb'
import t from 'tap'
import {
  clientOptions,
  collectionOf,
  createIdempotency,
  defineCollection,
  earlierLeases,
  eraseAnswers,
  idempotencyKeys,
  isDuplicate,
  isTransient,
  leases,
  leaveRoles,
  newId,
  openStore,
  readRoles,
  renewRoles,
  type Store,
  transaction
} from '../src/index.ts'

const stores = await useStores(t)
type Thing = { _id: string; bucket: number; n: number; name?: string }
const things = defineCollection<Thing>({
  name: 'things',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [{ key: { bucket: 1, n: -1 } }],
  untargeted: { census: 'Counted once a day.' }
})

async function open(t: { teardown(f: () => Promise<void>): unknown }, checkQueries = true): Promise<Store> {
  const store = await openStore({
    url: stores.mongoUrl,
    database: stores.database(newId(0).slice(-8)),
    collections: [things, idempotencyKeys, leases],
    checkQueries
  })
  t.teardown(() => store.close())
  return store
}

t.test('a transaction commits all or nothing, and is tried again after a conflict', async (t) => {
  const store = await open(t)
  const rows = collectionOf(store.db, things)
  const id = newId(3)
  await rows.insertOne({ _id: id, bucket: 3, n: 0 })
  // None writes before all have read, so all but one meet a conflict.
  const WRITERS = 4
  let reads = 0
  await Promise.all(
    Array.from({ length: WRITERS }, () =>
      transaction(store, {}, async ({ session }) => {
        const row = await rows.findOne({ bucket: 3, _id: id }, { session })
        reads++
        await waitFor(() => reads >= WRITERS)
        await rows.updateOne({ bucket: 3, _id: id }, { $set: { n: row!.n + 1 } }, { session })
      })
    )
  )
  t.equal((await rows.findOne({ bucket: 3, _id: id }))?.n, WRITERS, 'no update was lost')
  t.ok(reads >= 2 * WRITERS - 1, 'those that lost began again')
  await t.rejects(
    transaction(store, {}, async ({ session }) => {
      await rows.updateOne({ bucket: 3, _id: id }, { $set: { n: 99 } }, { session })
      throw new Error('changed my mind')
    }),
    { message: 'changed my mind' }
  )
  t.equal((await rows.findOne({ bucket: 3, _id: id }))?.n, WRITERS)
})

t.test('work before the commit runs in order, after the caller’s own', async (t) => {
  const store = await open(t)
  const order: string[] = []
  const call = {
    async beforeCommit(_: unknown, result: unknown) {
      order.push(`answer ${result}`)
    }
  }
  await transaction(store, call, async (tx) => {
    tx.beforeCommit(async () => void order.push('event 1'))
    tx.beforeCommit(async () => void order.push('event 2'))
    order.push('work')
    return 7
  })
  t.same(order, ['work', 'answer 7', 'event 1', 'event 2'])
})

t.test('a duplicate is known by its collection', async (t) => {
  const store = await open(t)
  const rows = collectionOf(store.db, things)
  const id = newId(1)
  await rows.insertOne({ _id: id, bucket: 1, n: 1 })
  const error = await rows.insertOne({ _id: id, bucket: 1, n: 1 }).catch((e: unknown) => e)
  t.ok(isDuplicate(error))
  t.ok(isDuplicate(error, 'things'))
  t.notOk(isDuplicate(error, 'thing'))
  t.notOk(isTransient(error))
  t.notOk(isDuplicate(new Error('E11000')))
})

t.test('the monitor names queries that are untargeted, unindexed, sorted in memory or undeclared', async (t) => {
  const store = await open({ teardown: () => undefined })
  const rows = collectionOf(store.db, things)
  await rows.find({ bucket: 1 }, { sort: { n: -1 } }).toArray()
  await rows.find({ bucket: { $in: [1, 2] }, _id: { $in: ['a'] } }).toArray()
  await rows.find({ n: 1 }, { comment: 'census', hint: { bucket: 1, n: -1 } }).toArray()
  await rows.find({ _id: 'a' }).toArray()
  await rows.updateOne({ bucket: 1, name: 'x' }, { $set: { n: 1 } })
  await rows.find({ bucket: 1 }, { sort: { name: 1 } }).toArray()
  await rows.deleteMany({ name: 'x' })
  await store.db.collection('strangers').findOne({ a: 1 })
  const error = (await store.close().catch((e: unknown) => e)) as Error
  const lines = error.message.split('\n').slice(1)
  t.ok(lines.some((l) => l.startsWith('untargeted: find things {_id:?}')))
  t.ok(lines.some((l) => l.startsWith('untargeted: delete things {name:?}')))
  t.ok(lines.some((l) => l.startsWith('collection scan: delete things')))
  t.ok(lines.some((l) => l.startsWith('sorted in memory: find things {bucket:?} sort {"name":1}')))
  t.ok(lines.some((l) => l.startsWith('strangers: not a declared collection')))
  t.notOk(lines.some((l) => l.includes('sort {"n":-1}')))
  t.notOk(lines.some((l) => l.includes('$in')))
})

t.test('an idempotency key is claimed once, replayed, and bound to its body', async (t) => {
  const store = await open(t)
  const keys = createIdempotency(store)
  const claims = await Promise.all(Array.from({ length: 10 }, () => keys.claim({ id: 'k1', bodyHash: 'h' })))
  t.equal(claims.filter((c) => c.state === 'new').length, 1)
  t.equal(claims.filter((c) => c.state === 'in-flight').length, 9)
  const answer = { status: 201, body: '{"id":1}' }
  await t.rejects(
    transaction(store, { beforeCommit: (tx) => keys.complete('k1', answer, tx) }, async () => {
      throw new Error('failed')
    }).then(() => undefined)
  )
  t.same(await keys.claim({ id: 'k1', bodyHash: 'h' }), { state: 'in-flight' }, 'a write that failed stored no answer')
  await transaction(store, { beforeCommit: (tx) => keys.complete('k1', answer, tx) }, async () => 1)
  t.same(await keys.claim({ id: 'k1', bodyHash: 'h' }), { state: 'done', answer })
  t.same(await keys.claim({ id: 'k1', bodyHash: 'other' }), { state: 'mismatch' })
  await keys.release('k1')
  t.same(await keys.claim({ id: 'k1', bodyHash: 'h' }), { state: 'done', answer }, 'an answer is not released')
  t.same(await keys.claim({ id: 'k2', bodyHash: 'h' }), { state: 'new' })
  await keys.release('k2')
  t.same(await keys.claim({ id: 'k2', bodyHash: 'h' }), { state: 'new' })
})

t.test('claims are compared by the clock of the database', async (t) => {
  const store = await open(t)
  const keys = createIdempotency(store)
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  const HOUR = 3_600_000
  const request = { id: 'k1', bodyHash: 'h', bucketOf: 'ada' }
  t.same(await keys.claim(request), { state: 'new' })
  Date.now = () => now() + HOUR
  t.same(await keys.claim(request), { state: 'in-flight' }, 'an instance whose clock is ahead takes nothing over')
  t.same(await keys.claim({ ...request, id: 'k2' }), { state: 'new' })
  Date.now = () => now() - HOUR
  t.same(await keys.claim({ ...request, id: 'k3' }), { state: 'new' })
  Date.now = now
  const rows = collectionOf(store.db, idempotencyKeys)
  for (const id of ['k2', 'k3'])
    t.same(await keys.claim({ ...request, id }), { state: 'in-flight' }, 'nor does one that has claimed last too short')
  const mine = [{ owner: 'ada' }, { comment: 'answers-of' }] as const
  await rows.updateMany(mine[0], [{ $set: { lockedUntil: { $subtract: ['$$NOW', 1] } } }], mine[1])
  const claims = await Promise.all(Array.from({ length: 5 }, () => keys.claim(request)))
  t.equal(claims.filter(({ state }) => state === 'new').length, 1, 'whose process died is taken over once')
  const times = await rows.find(...mine).toArray()
  for (const { expiresAt, bodyHash } of times) {
    t.equal(bodyHash, 'h')
    t.ok(Math.abs(expiresAt.getTime() - now() - 24 * HOUR) < HOUR / 2, 'and is kept for a day')
  }
})

t.test('an answer that no claim came before commits with its write, once', async (t) => {
  const store = await open(t)
  const keys = createIdempotency(store)
  const rows = collectionOf(store.db, things)
  const request = { id: 'r1', bodyHash: 'h', bucketOf: 'ada' }
  t.same(await keys.find(request), { state: 'new' })
  const write = (n: number) =>
    transaction(
      store,
      { beforeCommit: (tx) => keys.record({ ...request, answer: { status: 201, body: `${n}` } }, tx) },
      async ({ session }) => {
        await rows.insertOne({ _id: newId(3), bucket: 3, n }, { session })
        return n
      }
    )
  const ended = await Promise.allSettled([1, 2, 3, 4].map(write))
  const [won, ...others] = ended.filter(({ status }) => status === 'fulfilled') as PromiseFulfilledResult<number>[]
  t.equal(others.length, 0)
  for (const one of ended) if (one.status === 'rejected') t.ok(isDuplicate(one.reason, 'idempotency'))
  t.same(await rows.find({ bucket: 3 }).project({ n: 1, _id: 0 }).toArray(), [{ n: won?.value }])
  t.same(await keys.find(request), { state: 'done', answer: { status: 201, body: `${won?.value}` } })
  t.same(await keys.find({ ...request, bodyHash: 'other' }), { state: 'mismatch' })
  await eraseAnswers(store, 'ada')
  t.same(await keys.find(request), { state: 'new' }, 'it is erased with its owner')
})

t.test(
  'a role has one owner; one renewal keeps all that a member has, and what dead members had is free',
  async (t) => {
    const store = await open(t)
    const renew = async (member: string, wants: string[], ttlMs = 60_000) =>
      [...(await renewRoles(store, { member, wants, ttlMs })).mine].sort()
    const got = await Promise.all(['a', 'b', 'c'].map((member) => renew(member, ['relay', 'jobs'])))
    t.same(got.filter((mine) => mine.length > 0).length, 1, 'whoever was first has both')
    const owner = ['a', 'b', 'c'][got.findIndex((mine) => mine.length > 0)]!
    t.same(await renew(owner, ['relay', 'jobs']), ['jobs', 'relay'])
    t.same(await renew('d', ['relay', 'own']), ['own'])
    t.same(Object.fromEntries((await readRoles(store)).owners), { relay: owner, jobs: owner, own: 'd' })
    t.same(await renew(owner, ['jobs']), ['jobs'], 'what is wanted no more is given up')
    t.same(await renew('d', ['relay', 'own']), ['own', 'relay'])
    await leaveRoles(store, 'nobody')
    t.same(await renew('e', ['own']), [])
    await leaveRoles(store, 'd')
    t.same(Object.fromEntries((await readRoles(store)).owners), { jobs: owner })
    t.same(await renew('e', ['own'], 1), ['own'])
    await waitFor(async () => !(await readRoles(store)).owners.has('own'), { message: 'its lease has run out' })
    t.same(await renew('f', ['own', 'jobs']), ['own'])
    const { members: seen } = await renewRoles(store, { member: 'g', wants: [], shares: ['feeds'], ttlMs: 60_000 })
    t.same([...(seen.get('g') ?? [])], ['feeds'])
    await renew('f', ['own', 'jobs'])
    t.same([...((await readRoles(store)).members.get('g') ?? [])], ['feeds'], 'others leave it what it says')
    await leaveRoles(store, 'g')
    const { members } = (await store.db.collection<{ _id: string }>('leases').findOne({ _id: 'roles' })) as unknown as {
      members: { id: string }[]
    }
    t.notOk(
      members.some(({ id }) => id === 'e'),
      'who is dead is not kept'
    )
  }
)

t.test('leases of a release that had one for each role are waited for, and deleted', async (t) => {
  const store = await open(t)
  const old = store.db.collection<{ _id: string; until: Date }>('leases')
  t.equal(await earlierLeases(store), false)
  await old.insertOne({ _id: 'relay:content', until: new Date(Date.now() + 3_600_000) })
  await old.insertOne({ _id: 'scheduler:content', until: new Date(0) })
  t.equal(await earlierLeases(store), true)
  t.equal(await old.findOne({ _id: 'scheduler:content' }), null)
  await old.updateOne({ _id: 'relay:content' }, { $set: { until: new Date(0) } })
  t.equal(await earlierLeases(store), false)
})

t.test('wrong use of the driver, and what a server refuses, is no outage; a bound that ran out is', async (t) => {
  const store = await open(t)
  const rows = collectionOf(store.db, things)
  const wrong = await rows.insertMany([]).catch((e: unknown) => e)
  t.match(wrong, { name: 'MongoInvalidArgumentError' })
  t.notOk(isTransient(wrong))
  const refused = await store.db.command({ noSuchCommand: 1 }).catch((e: unknown) => e)
  t.match(refused, { codeName: 'CommandNotFound' })
  t.notOk(isTransient(refused))
  t.ok(isTransient(new MongoServerError({ message: 'operation exceeded time limit', code: 50 })))
  t.ok(isTransient(new MongoServerError({ message: 'not primary', code: 10107 })))
  t.ok(isTransient(new MongoServerError({ message: 'no space left', code: 14031 })))
  t.notOk(isTransient(new Error('of the handler')))
})

t.test('a database that is not there is a transient error, and nothing is waited for without a bound', async (t) => {
  const url = 'mongodb://127.0.0.1:1/?directConnection=true'
  const error = await openStore({ url, database: 'x', collections: [] }).catch((e: unknown) => e)
  t.match(error, { name: 'MongoServerSelectionError', message: /ECONNREFUSED/ })
  t.ok(isTransient(error))
  const { serverSelectionTimeoutMS, connectTimeoutMS, socketTimeoutMS, waitQueueTimeoutMS, ...options } = clientOptions(
    {}
  )
  t.same(
    [serverSelectionTimeoutMS, connectTimeoutMS, socketTimeoutMS, waitQueueTimeoutMS],
    [3_000, 2_000, 10_000, 5_000]
  )
  t.same(options.writeConcern, { w: 'majority', j: true, wtimeoutMS: 5_000 })
})
