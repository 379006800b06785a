import { Redis } from 'ioredis'
import { MongoClient } from 'mongodb'
import t from 'tap'
import { start, temporaryHome } from './support/home.ts'

const stores = await start(t, await temporaryHome(t))
const unauthorized = /not authorized|requires authentication/
const noPermission = /NOPERM|No permissions/

async function mongoAs(app: string): Promise<MongoClient> {
  const client = await new MongoClient(stores.envFor(app).MONGO_URL!).connect()
  t.teardown(() => client.close())
  return client
}

function redisAs(app: string): Redis {
  const redis = new Redis(stores.envFor(app).REDIS_URL!, { maxRetriesPerRequest: 1, retryStrategy: () => null })
  t.teardown(async () => redis.disconnect())
  return redis
}

t.test('MongoDB: a service has its own database, whole, and no other', async (t) => {
  const own = (await mongoAs('users')).db('skerry_users')
  const session = own.client.startSession()
  await session.withTransaction(async () => {
    await own.collection('things').insertOne({ n: 1 }, { session })
    await own.collection('outbox').insertOne({ n: 1 }, { session })
  })
  await session.endSession()
  await own.collection('things').createIndex({ n: 1 })
  t.equal(await own.collection('things').countDocuments(), 1)
  const changes = own.collection('things').watch()
  const next = changes.next()
  await own.collection('things').insertOne({ n: 2 })
  t.match(await next, { operationType: 'insert', fullDocument: { n: 2 } }, 'change streams of its own')
  await changes.close()

  const content = await mongoAs('content')
  await t.rejects(content.db('skerry_users').collection('things').findOne(), unauthorized)
  await t.rejects(content.db('skerry_users').collection('things').insertOne({ n: 3 }), unauthorized)
  await t.rejects(content.db('skerry_users').dropDatabase(), unauthorized)
  await t.rejects(content.db('admin').command({ createUser: 'x', pwd: 'x', roles: ['root'] }), unauthorized)
  await t.rejects(content.db('local').collection('oplog.rs').findOne(), unauthorized)
  const nobody = new MongoClient(stores.urls.mongo.replace(/\/\/[^@]+@/, '//'))
  t.teardown(() => nobody.close())
  await t.rejects(nobody.db('skerry_users').collection('things').findOne(), unauthorized)
})

t.test('an app is told its own credentials and no others', async (t) => {
  for (const app of ['auth', 'users', 'gateway']) {
    const text = JSON.stringify(stores.envFor(app))
    for (const [other, password] of Object.entries(stores.secrets.apps))
      t.equal(text.includes(password), other === app, `${other}'s in ${app}'s`)
    t.equal(text.includes('AUTH_SIGNING_KEY'), app === 'auth')
    t.equal(text.includes('MONGO_URL'), app !== 'gateway')
  }
  t.throws(() => stores.envFor('nobody'), /nobody is not an app/)
})

t.test('Redis: an app has the keys and channels of its prefix, and no other', async (t) => {
  const users = redisAs('users')
  const content = redisAs('content')
  t.equal(await users.set('users:a', '1', 'PX', 60_000), 'OK')
  t.equal(await users.get('users:a'), '1')
  t.equal(await users.eval("return redis.call('incr', KEYS[1])", 1, 'users:n'), 1, 'scripts')
  const listener = redisAs('users')
  const heard = new Promise((resolve) => listener.on('message', (channel, text) => resolve([channel, text])))
  await listener.subscribe('users:changed')
  t.equal(await users.publish('users:changed', 'x'), 1)
  t.same(await heard, ['users:changed', 'x'])

  await t.rejects(content.get('users:a'), noPermission)
  await t.rejects(content.set('users:a', '2'), noPermission)
  await t.rejects(content.set('plain', '2'), noPermission)
  await t.rejects(content.eval("return redis.call('get', KEYS[1])", 1, 'users:a'), noPermission)
  await t.rejects(content.publish('users:changed', 'x'), noPermission)
  await t.rejects(redisAs('content').subscribe('users:changed'), noPermission)
  await t.rejects(redisAs('content').psubscribe('*'), noPermission)
  for (const command of [
    'FLUSHALL',
    'KEYS *',
    'SCAN 0',
    'RANDOMKEY',
    'CONFIG GET *',
    'ACL LIST',
    'SHUTDOWN',
    'MONITOR'
  ]) {
    const [name, ...args] = command.split(' ') as [string, ...string[]]
    await t.rejects(content.call(name, ...args), noPermission, command)
  }
  const nobody = new Redis(stores.urls.redis.replace(/\/\/[^@]+@/, '//'), { retryStrategy: () => null })
  nobody.on('error', () => 'refused, as it should be')
  t.teardown(async () => nobody.disconnect())
  await t.rejects(nobody.get('users:a'), /NOAUTH/)
})
