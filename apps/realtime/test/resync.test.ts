import { bucketOf, collectionOf } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { subscribers } from '../src/data/subscribers.ts'
import { openSse, openWs } from './clients.ts'
import { newUserId, startInstance, tokenFor } from './setup.ts'

const stores = await useStores(t)
const where = { mongoUrl: stores.mongoUrl, database: stores.database('realtime'), nats: stores.nats }
const one = await startInstance(t, where, { instance: '1', env: { LOG_MESSAGES: '20' } })
const two = await startInstance(t, where, { instance: '2', env: { LOG_MESSAGES: '20' } })

async function append(user: string, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) await one.live.append(user, { id: `e${n}`, type: 'x', body: `{"n":${n}}` })
}

/** A user who was here once, and the place they stand at. */
async function visitor(): Promise<{ user: string; token: string; lastEventId: string }> {
  const user = newUserId()
  const token = tokenFor(user)
  const client = await openSse(one.url, { token })
  await waitFor(() => client.lastId() !== undefined)
  const lastEventId = client.lastId()!
  client.cut()
  await waitFor(() => one.streams.size === 0)
  return { user, token, lastEventId }
}

t.test('an id from before what the log holds is answered by one resync, then it goes on', async (t) => {
  const { user, token, lastEventId } = await visitor()
  await append(user, 0, 30)
  for (const open of [openSse, openWs]) {
    const client = await open(two.url, { token, lastEventId })
    await client.until(1)
    t.equal(client.seen[0]?.type, 'resync')
    t.match(client.seen[0]?.data, { reason: 'expired' })
    const id = newUserId()
    await one.live.append(user, { id, type: 'x', body: `{"id":"${id}"}` })
    await client.until(2)
    t.same(client.seen[1]?.data, { id }, 'nothing of before, everything after')
    client.cut()

    const again = await openSse(one.url, { token, lastEventId: client.seen[0]!.id! })
    await again.until(1)
    t.same(again.seen[0]?.data, { id }, 'the id of a resync can be resumed from')
    again.cut()
  }
})

t.test('as many messages as the log keeps are the bound', async (t) => {
  const { user, token, lastEventId } = await visitor()
  await append(user, 0, 19)
  const within = await openSse(one.url, { token, lastEventId })
  await within.until(19)
  t.same(
    within.seen.map((m) => m.data.n),
    Array.from({ length: 19 }, (_, n) => n)
  )
  within.cut()
  await append(user, 19, 20)
  const beyond = await openSse(one.url, { token, lastEventId })
  await beyond.until(1)
  t.equal(beyond.seen[0]?.type, 'resync', 'with 20 kept nobody can know of a 21st')
  beyond.cut()
})

t.test('ids of another log, or beyond the end of this one, are answered by resync', async (t) => {
  const { user, token, lastEventId } = await visitor()
  const [stamp, seq] = lastEventId.split('-') as [string, string]
  // What is no id at all is what a client has stored by mistake: it must not be refused for ever.
  for (const [i, id] of [
    'null',
    '0',
    'undefined',
    '-',
    'a message of somebody else',
    `zzzzzzzz-${seq}`,
    `${stamp}-${Number(seq) + 1_000_000}`,
    `${stamp}-9007199254740991`
  ].entries()) {
    const client = await openSse(one.url, { token, lastEventId: id })
    await client.until(1)
    t.equal(client.seen[0]?.type, 'resync', `id ${i}`)
    await append(user, 100 + client.seen.length, 101 + client.seen.length)
    client.cut()
  }
  for (const id of ['null', '0', 'undefined']) {
    const client = await openWs(one.url, { token, lastEventId: id })
    await client.until(1)
    t.equal(client.seen[0]?.type, 'resync', `${id} over WebSocket`)
    client.cut()
  }
})

t.test('an empty id is none', async (t) => {
  for (const open of [openSse, openWs]) {
    const { user, token } = await visitor()
    const client = await open(one.url, { token, lastEventId: '' })
    await waitFor(() => client.lastId() !== '')
    await append(user, 0, 1)
    await client.until(1)
    t.same(client.seen[0]?.data, { n: 0 }, `${open.name}: it begins now`)
    client.cut()
  }
})

t.test('who stayed away longer than they are written to gets resync on every device', async (t) => {
  const { user, token, lastEventId } = await visitor()
  await append(user, 0, 2)
  const key = { bucket: bucketOf(user), _id: user }
  const documents = collectionOf(one.store.db, subscribers)
  await documents.updateOne(key, { $set: { activeUntil: new Date(Date.now() - 1_000) } })

  const phone = await openSse(one.url, { token, lastEventId })
  await phone.until(3)
  t.same(
    phone.seen.map((m) => m.type),
    ['x', 'x', 'resync'],
    'what was written before, then that nothing was written since'
  )
  phone.cut()
  await append(user, 2, 3)
  const tablet = await openWs(two.url, { token, lastEventId })
  await tablet.until(4)
  t.same(
    tablet.seen.map((m) => m.type),
    ['x', 'x', 'resync', 'x'],
    'also on the device that comes when the user is active again'
  )
  tablet.cut()
  const fresh = await openSse(one.url, { token, lastEventId: phone.lastId()! })
  await fresh.until(1)
  t.same(fresh.seen[0]?.data, { n: 2 }, 'once for each')
  fresh.cut()

  await documents.updateOne(key, { $set: { marked: false } })
  const clients = await Promise.all([one, two].map(({ url }) => openSse(url, { token, lastEventId: fresh.lastId()! })))
  await append(user, 3, 4)
  for (const client of clients) await client.until(1)
  t.ok(
    clients.every((c) => c.seen[0]?.type === 'x'),
    'the same stretch is marked under the same id'
  )
  t.equal((await documents.findOne(key))?.marked, true)
  for (const client of clients) client.cut()
})

t.test('a stream keeps its user active', async (t) => {
  // Renewed when less than 24 s is left of 25: long enough to be asked for, also on a busy machine.
  const three = await startInstance(t, where, { instance: '3', env: { HEARTBEAT_MS: '150', ACTIVE_MS: '24000' } })
  const user = newUserId()
  const client = await openSse(three.url, { token: tokenFor(user) })
  const documents = collectionOf(three.store.db, subscribers)
  const until = async () => (await documents.findOne({ bucket: bucketOf(user), _id: user }))?.activeUntil.getTime() ?? 0
  const first = await until()
  t.ok(first > Date.now())
  await waitFor(async () => (await until()) > first, { message: 'renewed' })
  t.same(client.seen, [], 'without a word to the client')
  client.cut()
})
