import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MongoClient } from 'mongodb'
import t, { type Test } from 'tap'
import { lives, start, temporaryHome, until } from './support/home.ts'
import { connectAs } from './support/nats.ts'

t.test('data, users and secrets outlive a restart on other ports', async (t) => {
  const home = await temporaryHome(t)
  const first = await start(t, home)
  const content = await connectAs(t, first, 'content')
  await content.jsm.streams.add({ name: 'content', subjects: ['content.>'] })
  await content.js.publish('content.post.p1', 'kept')
  await content.nc.close()
  const client = new MongoClient(first.envFor('content').MONGO_URL!)
  await client
    .db('skerry_content')
    .collection('posts')
    .insertOne({ kept: true }, { writeConcern: { w: 'majority' } })
  await client.close()
  const pids = first.parts.map((p) => p.server.pid())
  await first.stop()
  for (const pid of pids) t.notOk(await lives(pid), 'no process is left')

  const second = await start(t, home)
  t.notSame(second.ports, first.ports)
  t.same(second.secrets, first.secrets)
  const again = new MongoClient(second.envFor('content').MONGO_URL!)
  t.match(await again.db('skerry_content').collection('posts').findOne(), { kept: true })
  await again.close()
  const { jsm } = await connectAs(t, second, 'content')
  t.equal((await jsm.streams.info('content')).state.messages, 1)
})

t.test('an app that is new gets its users at the next start', async (t) => {
  const home = await temporaryHome(t)
  const before = await start(t, home)
  const { auth } = before.secrets.apps
  await before.stop()
  const apps = [
    { name: 'auth', kind: 'service' as const, database: 'skerry_auth' },
    { name: 'shop', kind: 'service' as const, database: 'skerry_shop' }
  ]
  const stores = await start(t, home, { apps })
  t.equal(stores.secrets.apps.auth, auth)
  const client = new MongoClient(stores.envFor('shop').MONGO_URL!)
  t.ok((await client.db('skerry_shop').collection('carts').insertOne({})).acknowledged)
  await client.close()
  await (await connectAs(t, stores, 'shop')).nc.flush()
})

t.test('a server that is killed comes back on its port, and says so', async (t) => {
  const home = await temporaryHome(t)
  const said: string[] = []
  const stores = await start(t, home, { onChange: (name, what) => said.push(`${name} ${what}`) })
  for (const { name, server } of stores.parts) {
    const pid = server.pid()
    server.kill('SIGKILL')
    await until(() => said.includes(`${name} is back`), `${name} is back`)
    t.not(server.pid(), pid)
    t.ok(await lives(server.pid()))
    t.match(said, [`${name} died (SIGKILL); starting again in 200 ms`, `${name} is back`])
    t.equal(Number(await readFile(join(home, `${name}.pid`), 'utf8')), server.pid(), 'and its pid is noted')
    said.length = 0
  }
  const client = new MongoClient(stores.envFor('users').MONGO_URL!)
  t.ok((await client.db('skerry_users').collection('things').insertOne({})).acknowledged)
  await client.close()
  await (await connectAs(t, stores, 'users')).nc.flush()
})

t.test('a stop while a killed server waits to come back leaves nothing', async (t) => {
  const died: string[] = []
  const stores = await start(t, await temporaryHome(t), {
    onChange(name, what) {
      if (what.startsWith('died')) died.push(name)
    }
  })
  const waiting = holdTimers(t, 200)
  for (const { server } of stores.parts) server.kill('SIGKILL')
  await until(() => died.length === 3, 'all have died')
  t.equal(waiting.size, 3, 'each waits to come back')
  await stores.stop()
  t.equal(waiting.size, 0, 'and none does')
})

/** The timers of so many ms that are set from now on and not cleared; none of them ends by itself. */
function holdTimers(t: Test, heldMs: number): ReadonlySet<unknown> {
  const { setTimeout: real, clearTimeout: clear } = globalThis
  const waiting = new Set<unknown>()
  const hold = (work: () => void, ms?: number) => {
    if (ms !== heldMs) return real(work, ms)
    const timer = real(() => undefined, 2 ** 31 - 1)
    waiting.add(timer)
    return timer
  }
  globalThis.setTimeout = hold as typeof setTimeout
  globalThis.clearTimeout = (timer) => {
    waiting.delete(timer)
    clear(timer)
  }
  t.teardown(async () => {
    globalThis.setTimeout = real
    globalThis.clearTimeout = clear
    for (const timer of waiting) clear(timer as NodeJS.Timeout)
  })
  return waiting
}
