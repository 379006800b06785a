import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { openSse, openWs } from './clients.ts'
import { newUserId, startInstance, tokenFor } from './setup.ts'

const stores = await useStores(t)
const where = { mongoUrl: stores.mongoUrl, database: stores.database('realtime'), nats: stores.nats }
const one = await startInstance(t, where, { env: { HEARTBEAT_MS: '300', STREAMS_PER_USER: '3' } })

t.test('the first bytes come at once, then messages, then heartbeats', async (t) => {
  const user = newUserId()
  const client = await openSse(one.url, { token: tokenFor(user) })
  t.equal(client.status, 200)
  t.match(client.headers['content-type'], /^text\/event-stream/)
  t.match(client.headers['cache-control'], /no-store/)
  await waitFor(() => client.text !== '')
  t.match(client.text, /^retry: \d+\n: live\n\nid: [0-9a-z]+-\d+\n\n/, 'a place to go on from before any message')
  await one.live.append(user, { id: 'e1', type: 'post.created', body: '{"eventId":"e1","text":"ä\\n\\u2028"}' })
  await client.until(1)
  t.same(client.seen[0]?.data, { eventId: 'e1', text: 'ä\n\u2028' })
  t.equal(client.seen[0]?.type, 'post.created')
  const beats = client.beats
  await waitFor(() => client.beats > beats + 1, { message: 'heartbeats' })
  client.cut()
  await waitFor(() => one.streams.size === 0, { message: 'the closed stream is forgotten' })
})

t.test('a WebSocket gets the same, its place in frames without a type', async (t) => {
  const user = newUserId()
  const client = await openWs(one.url, { token: tokenFor(user) })
  await waitFor(() => client.frames > 0)
  t.match(client.lastId(), /^[0-9a-z]+-\d+$/)
  await one.live.append(user, { id: 'e1', type: 'post.created', body: '{"eventId":"e1"}' })
  await client.until(1)
  t.same(client.seen[0]?.data, { eventId: 'e1' })
  const { frames } = client
  await waitFor(() => client.frames > frames + 1, { message: 'heartbeats' })
  t.notOk(client.ended, 'who answers pings stays')
  client.socket.send('a client may say something')
  client.cut()
  await waitFor(() => one.streams.size === 0)
})

t.test('devices of one user share a subscription and all get each message', async (t) => {
  const user = newUserId()
  const token = tokenFor(user)
  const clients = [
    await openSse(one.url, { token }),
    await openSse(one.url, { token }),
    await openWs(one.url, { token })
  ]
  const refused = await openSse(one.url, { token })
  t.equal(refused.status, 429)
  t.match(JSON.parse(refused.text), { code: 'RT_TOO_MANY_STREAMS' })
  t.ok(Number(refused.headers['retry-after']) >= 1)
  await t.rejects(openWs(one.url, { token }))
  await one.live.append(user, { id: 'e1', type: 'x', body: '{"eventId":"e1"}' })
  for (const client of clients) await client.until(1)
  t.equal(new Set(clients.map((c) => c.seen[0]?.id)).size, 1, 'under one id')
  clients[0]?.cut()
  await waitFor(() => one.streams.size === 2)
  const again = await openSse(one.url, { token })
  t.equal(again.status, 200, 'a closed stream makes room')
  for (const client of [again, ...clients]) client.cut()
  await waitFor(() => one.streams.size === 0)
})

t.test('what is not right is refused before a stream begins', async (t) => {
  const token = tokenFor(newUserId())
  const garbage = [
    'x',
    'mf3k2j9a',
    'mf3k2j9a-',
    'mf3k2j9a--1',
    'mf3k2j9a-01',
    'mf3k2j9a-1e3',
    '-1',
    `mf3k2j9a-${'9'.repeat(17)}`
  ]
  for (const lastEventId of garbage) {
    for (const where of [{ lastEventId }, { query: `?lastEventId=${lastEventId}` }]) {
      const client = await openSse(one.url, { token, ...where })
      await client.until(1)
      t.equal(client.seen[0]?.type, 'resync', `${lastEventId} is a place in no log, and that is told`)
      client.cut()
    }
  }
  await waitFor(() => one.streams.size === 0)
  const bad = ['?lastEventId=%00', `?lastEventId=${'x'.repeat(513)}`, '?other=1', '?lastEventId=a&lastEventId=b']
  for (const query of bad) {
    const client = await openSse(one.url, { token, query })
    t.equal(client.status, 400, query)
    t.match(JSON.parse(client.text), { code: 'BAD_REQUEST' })
  }
  t.equal((await openSse(one.url, {})).status, 401)
  t.equal((await openSse(one.url, { token: `${token}x` })).status, 401)
  t.equal((await openSse(one.url, { token: tokenFor(newUserId(), { seconds: -1 }) })).status, 401)
  t.equal((await openSse(one.url, { token: tokenFor('>') })).status, 401, 'a subject is not a user')
  const plain = await fetch(`${one.url}/v1/live/ws`, { headers: { authorization: `Bearer ${token}` } })
  t.equal(plain.status, 400)
  t.match(await plain.json(), { code: 'BAD_REQUEST' })
  await t.rejects(openWs(one.url, {}))
  const posted = await fetch(`${one.url}/v1/live`, { method: 'POST', headers: { authorization: `Bearer ${token}` } })
  t.equal(posted.status, 405)
  t.equal(one.streams.size, 0, 'nothing is left behind')
})

t.test('a WebSocket that sends too much is closed', async (t) => {
  const client = await openWs(one.url, { token: tokenFor(newUserId()) })
  client.socket.send('x'.repeat(2_000))
  await waitFor(() => client.ended)
  t.equal(client.code, 1009)
  await waitFor(() => one.streams.size === 0)
})
