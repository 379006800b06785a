import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { openSse, openWs } from './clients.ts'
import { metricOf, newIdentity, newUserId, startInstance, tokenFor } from './setup.ts'

const stores = await useStores(t)
const where = { mongoUrl: stores.mongoUrl, database: stores.database('realtime'), nats: stores.nats }
const env = { HEARTBEAT_MS: '600', MAX_STREAMS: '60' }

t.test('a revoked session ends its streams, and only those', async (t) => {
  const identity = newIdentity()
  const one = await startInstance(t, where, { identity, env })
  const user = newUserId()
  const sessionId = newUserId()
  const token = tokenFor(user, { sessionId })
  const sse = await openSse(one.url, { token })
  const ws = await openWs(one.url, { token })
  const other = await openSse(one.url, { token: tokenFor(user) })
  identity.revoke(sessionId)
  await waitFor(() => sse.ended && ws.ended)
  t.ok(sse.response.complete, 'an orderly end')
  t.equal(ws.code, 4401)
  t.equal(ws.reason, 'SESSION_REVOKED')
  await one.live.append(user, { id: 'e1', type: 'x', body: '{}' })
  await other.until(1)
  t.notOk(other.ended)
  t.equal((await openSse(one.url, { token })).status, 401)
  t.equal(await metricOf(one.metrics, 'skerry_live_ended_total', { reason: 'revoked' }), 2)
  other.cut()
})

t.test('a stream ends with its token', async (t) => {
  const one = await startInstance(t, where, { env })
  // Long enough to open one, also on a busy machine.
  const soon = () => tokenFor(newUserId(), { seconds: 12 })
  const [sse, ws] = await Promise.all([openSse(one.url, { token: soon() }), openWs(one.url, { token: soon() })])
  const lasting = await openSse(one.url, { token: tokenFor(newUserId()) })
  t.equal(sse.status, 200)
  await waitFor(() => sse.ended && ws.ended)
  t.equal(await metricOf(one.metrics, 'skerry_live_ended_total', { reason: 'expired' }), 2)
  t.equal(ws.code, 4401)
  t.equal(ws.reason, 'TOKEN_EXPIRED')
  t.notOk(lasting.ended)
  lasting.cut()
})

t.test('an instance that leaves tells its clients to come back, spread, and takes no new ones', async (t) => {
  const one = await startInstance(t, where, { env })
  const two = await startInstance(t, where, { instance: '2', env })
  const users = Array.from({ length: 20 }, () => tokenFor(newUserId()))
  const sse = await Promise.all(users.map((token) => openSse(one.url, { token })))
  const ws = await Promise.all(users.map((token) => openWs(one.url, { token })))
  const drained = one.streams.drain(3_000)
  const refused = await openSse(one.url, { token: users[0]! })
  t.equal(refused.status, 503)
  t.ok(Number(refused.headers['retry-after']) >= 1)
  t.match(JSON.parse(refused.text), { code: 'UNAVAILABLE' })
  await drained
  await waitFor(() => [...sse, ...ws].every((c) => c.ended))
  t.ok(
    sse.every((c) => c.response.complete),
    'orderly ends'
  )
  t.ok(ws.every((c) => c.code === 1012))
  const retries = sse.map((c) => c.retries.at(-1)!)
  t.ok(
    retries.every((ms) => ms >= 250 && ms <= 2_250),
    'soon'
  )
  t.ok(new Set(retries).size > 5, 'not all at once')
  t.equal(one.streams.size, 0)
  const again = await openSse(two.url, { token: users[0]!, lastEventId: sse[0]!.lastId() })
  t.equal(again.status, 200)
  again.cut()
})

t.test('closing the server ends all streams', async (t) => {
  const one = await startInstance(t, where, { env })
  const clients = await Promise.all(
    Array.from({ length: 10 }, (_, i) => (i % 2 ? openSse : openWs)(one.url, { token: tokenFor(newUserId()) }))
  )
  t.equal(one.streams.size, 10)
  // Resolves when no connection is left.
  await one.close()
  t.equal(one.streams.size, 0)
  await waitFor(() => clients.every((c) => c.ended))
})

t.test('an instance has a bound on its streams', async (t) => {
  const one = await startInstance(t, where, { env: { MAX_STREAMS: '3' } })
  const clients = await Promise.all(Array.from({ length: 5 }, () => openSse(one.url, { token: tokenFor(newUserId()) })))
  t.same(clients.map((c) => c.status).sort(), [200, 200, 200, 503, 503])
  const waits = new Set<unknown>()
  await waitFor(async () => {
    const refused = await openSse(one.url, { token: tokenFor(newUserId()) })
    const wait = Number(refused.headers['retry-after'])
    if (!(wait >= 3 && wait <= 7)) throw new Error(`told to come back after ${wait} s`)
    return waits.add(wait).size > 2
  })
  t.ok(waits.size > 2, 'they do not come back all at once')
  for (const client of clients) client.cut()
})
