import { MongoClient } from 'mongodb'
import t from 'tap'
import { startTestStores, type TestStores, useStores, waitFor } from '../src/index.ts'

const run = await startTestStores(() => undefined)
const before = process.env.SKERRY_TEST_STORES
process.env.SKERRY_TEST_STORES = JSON.stringify(run.shared)
t.teardown(async () => {
  if (before === undefined) delete process.env.SKERRY_TEST_STORES
  else process.env.SKERRY_TEST_STORES = before
  await run.stop()
})

/** The stores as a test file gets them, and the end of that file. */
async function file(): Promise<{ stores: TestStores; end(): Promise<void> }> {
  const ends: (() => Promise<void>)[] = []
  const stores = await useStores({ teardown: (work) => ends.push(work) })
  return {
    stores,
    async end() {
      for (const work of ends) await work()
    }
  }
}

t.test('each file has names of its own in the stores of the run', async (t) => {
  const files = await Promise.all([file(), file(), file()])
  const all = files.map(({ stores }) => stores)
  for (const names of [
    all.map((s) => s.nats.user),
    all.map((s) => s.redis.prefix),
    all.map((s) => s.database('content'))
  ])
    t.equal(new Set(names).size, 3, names.join(' '))
  t.equal(new Set(all.map((s) => s.mongoUrl)).size, 1, 'the servers are the same')
  for (const { end } of files) await end()
})

t.test('the environment of an app', async (t) => {
  const { stores, end } = await file()
  const env = stores.envFor('content')
  t.same(Object.keys(env).sort(), [
    'MONGO_DATABASE',
    'MONGO_URL',
    'NATS_PASSWORD',
    'NATS_URL',
    'NATS_USER',
    'REDIS_PREFIX',
    'REDIS_URL'
  ])
  t.not(env.MONGO_DATABASE, stores.envFor('users').MONGO_DATABASE)
  t.ok(env.REDIS_PREFIX?.startsWith(stores.redis.prefix))
  await end()
})

t.test('databases are dropped at the end, those of others are not', async (t) => {
  const [mine, other] = await Promise.all([file(), file()])
  const client = new MongoClient(run.shared.mongoUrl)
  t.teardown(() => client.close())
  const names = [mine.stores.database('content'), other.stores.database('content')] as const
  for (const name of names) await client.db(name).collection('posts').insertOne({})
  await mine.end()
  const { databases } = await client.db('admin').command({ listDatabases: 1, nameOnly: true })
  const left = (databases as { name: string }[]).map((d) => d.name)
  t.notOk(left.includes(names[0]))
  t.ok(left.includes(names[1]))
  await other.end()
})

t.test('when all accounts are taken it says what to raise', async (t) => {
  process.env.SKERRY_TEST_STORES = JSON.stringify({ ...run.shared, natsAccounts: 0 })
  await t.rejects(file(), /all 0 NATS accounts are in use: raise TEST_ACCOUNTS/)
})

t.test('waitFor ends with the condition, its error, or its bound', async (t) => {
  let asked = 0
  await waitFor(() => ++asked === 3)
  t.equal(asked, 3)
  await t.rejects(
    waitFor(() => Promise.reject(new Error('broken'))),
    /broken/
  )
  await t.rejects(
    waitFor(() => false, { timeoutMs: 20, message: 'the moon' }),
    /not within 20 ms: the moon/
  )
})
