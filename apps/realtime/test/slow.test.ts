import { connect, type Socket } from 'node:net'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { openSse } from './clients.ts'
import { type Instance, metricOf, newUserId, startInstance, tokenFor } from './setup.ts'

const stores = await useStores(t)
const where = { mongoUrl: stores.mongoUrl, database: stores.database('realtime'), nats: stores.nats }
const BUFFER = 65_536
/** One batch of the log and one message may come on top of what is buffered. */
const BOUND = BUFFER + 128 * 1024 + 32 * 1024
const TEXT = 'x'.repeat(16_000)
/** More than the kernel takes for a reader that doesn't. */
const MESSAGES = 900

/** Opens a stream whose client takes nothing until it is resumed. */
async function openDeaf(
  instance: Instance,
  token: string
): Promise<{ socket: Socket; served: Socket; text(): string }> {
  let text = ''
  const accepted = new Promise<Socket>((resolve) => instance.app.server.once('connection', resolve))
  const socket = connect(Number(new URL(instance.url).port), '127.0.0.1')
  socket.on('error', () => socket.destroy())
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => {
    text += chunk
  })
  socket.write(`GET /v1/live HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\n\r\n`)
  await waitFor(() => /\nid: /.test(text), { message: 'the stream is open' })
  socket.pause()
  return { socket, served: await accepted, text: () => text }
}

const numbersIn = (text: string) => [...text.matchAll(/"n":(\d+)/g)].map((m) => Number(m[1]))

async function flood(instance: Instance, user: string, watch: () => void): Promise<void> {
  for (let n = 0; n < MESSAGES; n += 20) {
    for (let i = n; i < n + 20; i++) {
      await instance.live.append(user, { id: `e${i}`, type: 'x', body: JSON.stringify({ n: i, text: TEXT }) })
    }
    watch()
  }
}

t.test('a slow reader takes a bounded buffer and misses nothing', async (t) => {
  const one = await startInstance(t, where, { env: { STREAM_BUFFER_BYTES: String(BUFFER) } })
  const user = newUserId()
  const deaf = await openDeaf(one, tokenFor(user))
  let most = 0
  await flood(one, user, () => {
    most = Math.max(most, deaf.served.writableLength)
  })
  t.ok(most > 0, 'the kernel had enough')
  t.ok(most < BOUND, `${most} bytes were held`)
  t.ok((await metricOf(one.metrics, 'skerry_live_reads_total', { reason: 'slow' })) >= 1)
  deaf.socket.resume()
  await waitFor(() => deaf.text().includes(`"n":${MESSAGES - 1},`), { message: 'the last message' })
  t.same(
    numbersIn(deaf.text()),
    Array.from({ length: MESSAGES }, (_, n) => n)
  )
  deaf.socket.destroy()
})

t.test('a reader that takes nothing is let go of, and resumes', async (t) => {
  const two = await startInstance(t, where, {
    instance: '2',
    env: { STREAM_BUFFER_BYTES: String(BUFFER), HEARTBEAT_MS: '150', STALL_MS: '400' }
  })
  const user = newUserId()
  const token = tokenFor(user)
  const deaf = await openDeaf(two, token)
  await flood(two, user, () => undefined)
  await waitFor(() => two.streams.size === 0, { message: 'the stalled stream is closed' })
  t.equal(await metricOf(two.metrics, 'skerry_live_ended_total', { reason: 'stalled' }), 1)
  t.ok(deaf.served.destroyed)
  deaf.socket.resume()
  await waitFor(() => deaf.socket.closed || deaf.socket.readableEnded, { message: 'the client saw it' })
  const blocks = deaf
    .text()
    .split('\n\n')
    .slice(0, -1)
    .filter((b) => b.includes('data: '))
  const seen = blocks.map((b) => numbersIn(b)[0])
  const lastEventId = /id: (\S+)/.exec(blocks.at(-1) ?? '')?.[1]
  t.ok(seen.length > 0 && seen.length < MESSAGES, `it had taken ${seen.length}`)
  // At one that leaves it time: a busy machine may keep this process from reading, too.
  const three = await startInstance(t, where, { instance: '3' })
  const again = await openSse(three.url, { token, lastEventId })
  await again.until(MESSAGES - seen.length)
  t.same(
    [...seen, ...again.seen.map((m) => m.data.n)],
    Array.from({ length: MESSAGES }, (_, n) => n)
  )
  again.cut()
})
