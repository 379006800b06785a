// Memory of idle streams and the time from an event to its client, on this machine:
//   node test/measure.ts [streams]
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { PostCreated } from '@skerry/contracts'
import { connectNats } from '@skerry/service'
import { bucketOf, newId } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import { openSse, type SseClient } from './clients.ts'
import { emit, jwk, newUserId, tokenFor, type Where } from './setup.ts'

type Reply = { url?: string; memory?: { rss: number; heapUsed: number; external: number } }

const COUNT = Number(process.argv[2] ?? 1_000)
const EVENTS = 1_000
const ends: (() => Promise<void>)[] = []
const stores = await useStores({ teardown: (end) => ends.push(end) })
const where: Where = { mongoUrl: stores.mongoUrl, database: stores.database('realtime'), nats: stores.nats }

// A small young generation, or its own growth would hide what streams take.
const child = fork(new URL('./child-server.ts', import.meta.url), {
  execArgv: ['--expose-gc', '--max-semi-space-size=1']
})
const ask = async (message: object): Promise<Reply> => {
  child.send(message)
  const [reply] = (await once(child, 'message')) as [Reply]
  return reply
}
const { url } = await ask({ start: where, key: jwk })
const { port } = new URL(url!)

async function idle(count: number): Promise<Socket[]> {
  const sockets: Socket[] = []
  for (let i = 0; i < count; i++) {
    // In groups of 20 at once.
    const socket = connect(Number(port), '127.0.0.1')
    socket.write(`GET /v1/live HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${tokenFor(newUserId())}\r\n\r\n`)
    sockets.push(socket)
    if (i % 20 === 19) await Promise.all(sockets.slice(-20).map(opened))
  }
  return sockets
}

async function opened(socket: Socket): Promise<void> {
  const [head] = (await once(socket, 'data')) as [Buffer]
  if (!head.toString().startsWith('HTTP/1.1 200')) throw new Error(`no stream: ${head}`)
  socket.resume()
}

// The first ones pay for code that is loaded and compiled, and for the heap's growth: the next ones are measured.
const first = await idle(COUNT)
const before = (await ask({ memory: true })).memory!
const sockets = [...first, ...(await idle(COUNT))]
const after = (await ask({ memory: true })).memory!
const each = (name: keyof typeof before) => ((after[name] - before[name]) / COUNT / 1024).toFixed(1)
console.log(
  `${COUNT} idle SSE streams beside as many others, each: ${each('rss')} KB resident, of it ${each('heapUsed')} KB JavaScript heap`
)

const nc = await connectNats({ ...where.nats, name: 'measure' })
const clients: SseClient[] = []
for (let i = 0; i < 20; i++) {
  const id = newUserId()
  const client = await openSse(url!, { token: tokenFor(id) })
  clients.push(Object.assign(client, { id }))
}
const times: number[] = []
for (let i = 0; i < EVENTS; i++) {
  const client = clients[i % clients.length] as SseClient & { id: string }
  const count = client.seen.length
  const now = new Date().toISOString()
  const { id: authorId } = client
  const at = performance.now()
  const arrived = new Promise((resolve) => client.response.once('data', resolve))
  const post = { title: null, summary: null, text: 'hello', tags: [], createdAt: now, updatedAt: now, version: 1 }
  await emit(nc, PostCreated, { postId: newId(bucketOf(authorId)), authorId, ...post })
  await arrived
  await waitFor(() => client.seen.length > count)
  times.push(performance.now() - at)
}
times.sort((a, b) => a - b)
const quantile = (q: number) => times[Math.floor(times.length * q)]!.toFixed(1)
console.log(
  `event published → its client, ${EVENTS} one by one beside them: p50 ${quantile(0.5)} ms, p99 ${quantile(0.99)} ms`
)

for (const socket of [...sockets, ...clients.map((c) => c.response)]) socket.destroy()
await nc.close()
await ask({ stop: true })
for (const end of ends.reverse()) await end()
