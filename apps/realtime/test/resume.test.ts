import { PostUpdated } from '@skerry/contracts'
import { bucketOf, newId } from '@skerry/store'
import { randomOf, useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { type Client, openSse, openWs, type Seen } from './clients.ts'
import { emit, metricOf, newUserId, startInstance, tokenFor } from './setup.ts'

const stores = await useStores(t)
const where = { mongoUrl: stores.mongoUrl, database: stores.database('realtime'), nats: stores.nats }
const one = await startInstance(t, where, { instance: '1', events: true })
const two = await startInstance(t, where, { instance: '2', events: true })

const RECONNECTS = 100

/** Changes of one post, numbered, as its service publishes them: they come to their author by fan-out, in order. */
function changesOf(authorId: string) {
  const postId = newId(bucketOf(authorId))
  const at = new Date().toISOString()
  const post = { postId, authorId, title: null, summary: null, tags: [], createdAt: at, updatedAt: at }
  const ids: string[] = []
  return {
    ids,
    async emit() {
      const n = ids.length
      ids.push(newUserId())
      await emit(one.nc, PostUpdated, { ...post, text: String(n), version: n + 1 }, ids[n])
    }
  }
}

t.test(`nothing is lost, doubled or out of order over ${RECONNECTS} reconnects while events flow`, async (t) => {
  const random = randomOf('reconnects')
  const user = newUserId()
  const token = tokenFor(user)
  const steady = await openSse(two.url, { token })
  await waitFor(() => steady.lastId() !== undefined)
  // Somebody else is written to in between, so that a user's sequences have holes.
  const other = newUserId()
  const beside = await openSse(one.url, { token: tokenFor(other) })
  await waitFor(() => beside.lastId() !== undefined)
  const [mine, theirs] = [changesOf(user), changesOf(other)]
  const broken: Seen[] = []
  let lastEventId = steady.lastId()
  for (let reconnect = 0; reconnect < RECONNECTS; reconnect++) {
    // They are published while the client connects, reads some of them, and is cut off.
    const [before, more] = [mine.ids.length, Math.floor(random() * 12)]
    const few = before + Math.floor(random() * (more + 1))
    const publishing = (async () => {
      for (let i = 0; i < more; i++) {
        await mine.emit()
        if (i % 3 === 0) await theirs.emit()
      }
    })()
    const { url } = reconnect % 2 === 0 ? one : two
    const open = reconnect % 3 === 2 ? openWs : openSse
    const client: Client = await open(url, { token, lastEventId })
    await waitFor(() => broken.length + client.seen.length >= few, { message: `${few} messages` })
    client.cut()
    broken.push(...client.seen.splice(0))
    lastEventId = client.lastId()
    await publishing
  }
  const sent = mine.ids.length
  const last = await openSse(two.url, { token, lastEventId })
  await waitFor(() => broken.length + last.seen.length >= sent, { message: 'the rest' })
  last.cut()
  broken.push(...last.seen)
  await waitFor(() => steady.seen.length >= sent, { message: 'the stream that was never cut has all' })
  await waitFor(() => beside.seen.length >= theirs.ids.length, { message: 'so has the other user' })

  const events = (seen: readonly Seen[]) => seen.map(({ type, data }) => [type, data.text, data.eventId])
  const expected = mine.ids.map((id, n) => ['post.updated', String(n), id])
  t.ok(sent > RECONNECTS, 'there were more events than reconnects')
  t.same(events(steady.seen), expected)
  t.equal(new Set(steady.seen.map((m) => m.id)).size, sent)
  t.same(events(broken), expected, 'complete and in order')
  t.same(
    broken.map((m) => m.id),
    steady.seen.map((m) => m.id),
    'under the same ids'
  )
  t.equal(await metricOf(one.metrics, 'skerry_live_resyncs_total'), 0)
  t.equal(await metricOf(two.metrics, 'skerry_live_resyncs_total'), 0)
  steady.cut()
  beside.cut()
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
  const gaps = () => metricOf(one.metrics, 'skerry_live_reads_total', { reason: 'gap' })
  const before = await gaps()
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
  t.equal((await gaps()) - before, 1)
  client.cut()
})
