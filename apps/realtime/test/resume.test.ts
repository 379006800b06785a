import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { type Client, openSse, openWs, type Seen } from './clients.ts'
import { metricOf, newUserId, startInstance, tokenFor } from './setup.ts'

const stores = await useStores(t)
const where = { mongoUrl: stores.mongoUrl, database: stores.database('realtime'), nats: stores.nats }
const one = await startInstance(t, where, { instance: '1' })
const two = await startInstance(t, where, { instance: '2' })

const MESSAGES = 3_000
const RECONNECTS = 320

/** Messages by number until `done`, and now and then one for somebody else, so that a user's sequences have holes. */
async function flow(user: string, done: () => boolean): Promise<number> {
  const other = newUserId()
  let sent = 0
  while (sent < MESSAGES || !done()) {
    const live = sent % 2 === 0 ? one.live : two.live
    await live.append(user, { id: `e${sent}`, type: 'post.created', body: JSON.stringify({ n: sent }) })
    if (sent % 3 === 0) await live.append(other, { id: `o${sent}`, type: 'x', body: '{}' })
    sent++
    if (sent > 50_000) throw new Error('the readers do not come to an end')
  }
  return sent
}

t.test(`nothing is lost, doubled or out of order over ${RECONNECTS} reconnects while messages flow`, async (t) => {
  const user = newUserId()
  const token = tokenFor(user)
  const steady = await openSse(two.url, { token })
  await waitFor(() => steady.lastId() !== undefined)
  const broken: Seen[] = []
  let finished = false
  let sent = 0
  const flowing = flow(user, () => finished).then((count) => {
    sent = count
  })
  let lastEventId = steady.lastId()
  let reconnects = 0
  while (reconnects < RECONNECTS || sent === 0) {
    if (reconnects === RECONNECTS) finished = true
    const { url } = reconnects % 2 === 0 ? one : two
    const open = reconnects % 3 === 2 ? openWs : openSse
    const client: Client = await open(url, { token, lastEventId })
    const few = Math.floor(Math.random() * 12)
    await waitFor(() => client.seen.length >= few || client.ended || sent > 0, { message: `${few} messages` })
    client.cut()
    broken.push(...client.seen.splice(0))
    lastEventId = client.lastId()
    reconnects++
  }
  await flowing
  const last = await openSse(two.url, { token, lastEventId })
  await waitFor(() => broken.length + last.seen.length >= sent, { message: 'the rest' })
  last.cut()
  broken.push(...last.seen)
  await waitFor(() => steady.seen.length >= sent, { message: 'the stream that was never cut has all' })

  const numbers = Array.from({ length: sent }, (_, n) => n)
  t.ok(reconnects >= RECONNECTS, `${reconnects} reconnects, ${sent} messages`)
  t.same(
    steady.seen.map((m) => m.data.n),
    numbers
  )
  t.equal(new Set(steady.seen.map((m) => m.id)).size, sent)
  t.same(
    broken.map((m) => m.data.n),
    numbers,
    'complete and in order'
  )
  t.same(
    broken.map((m) => m.id),
    steady.seen.map((m) => m.id),
    'under the same ids'
  )
  t.equal(await metricOf(one.metrics, 'skerry_live_resyncs_total'), 0)
  t.equal(await metricOf(two.metrics, 'skerry_live_resyncs_total'), 0)
  steady.cut()
})

t.test('a client that saw no message resumes from the place it was told', async (t) => {
  const user = newUserId()
  const token = tokenFor(user)
  for (const open of [openSse, openWs]) {
    const first = await open(one.url, { token })
    await waitFor(() => first.lastId() !== undefined)
    first.cut()
    await waitFor(() => one.streams.size === 0)
    const id = newUserId()
    await one.live.append(user, { id, type: 'x', body: `{"eventId":"${id}"}` })
    const again = await open(two.url, { token, lastEventId: first.lastId() })
    await again.until(1)
    t.same(again.seen[0]?.data, { eventId: id })
    again.cut()
  }
})

t.test('a longer absence is read in batches', async (t) => {
  const user = newUserId()
  const token = tokenFor(user)
  const first = await openSse(one.url, { token })
  await waitFor(() => first.lastId() !== undefined)
  first.cut()
  const text = 'x'.repeat(4_000)
  for (let n = 0; n < 450; n++) {
    await one.live.append(user, { id: `e${n}`, type: 'x', body: JSON.stringify({ n, text }) })
  }
  const again = await openSse(two.url, { token, lastEventId: first.lastId() })
  await again.until(450)
  t.same(
    again.seen.map((m) => m.data.n),
    Array.from({ length: 450 }, (_, n) => n)
  )
  again.cut()
})

t.test('a message whose republication was lost is read from the log when the next one shows the gap', async (t) => {
  const user = newUserId()
  const client = await openSse(one.url, { token: tokenFor(user) })
  await waitFor(() => client.lastId() !== undefined)
  await one.live.append(user, { id: 'e1', type: 'x', body: '{"n":1}' })
  await client.until(1)
  // The way from the server to the instance, blocked for one message.
  const received = one.nc as unknown as { protocol: { processMsg: (...args: unknown[]) => void } }
  const { processMsg } = received.protocol
  let dropped = 0
  received.protocol.processMsg = function (...args) {
    const [message] = args as [{ subject?: Uint8Array }]
    if (dropped === 0 && Buffer.from(message.subject ?? []).toString() === `rt.${user}`) dropped++
    else processMsg.apply(this, args)
  }
  await two.live.append(user, { id: 'e2', type: 'x', body: '{"n":2}' })
  await waitFor(() => dropped === 1)
  received.protocol.processMsg = processMsg
  t.equal(client.seen.length, 1)
  await two.live.append(user, { id: 'e3', type: 'x', body: '{"n":3}' })
  await client.until(3)
  t.same(
    client.seen.map((m) => m.data.n),
    [1, 2, 3]
  )
  t.equal(await metricOf(one.metrics, 'skerry_live_reads_total', { reason: 'gap' }), 1)
  client.cut()
})
