import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import { findBinary, freePort, NATS_SERVER } from '@skerry/stores'
import { binCache, useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { type Client, openSse, openWs } from './clients.ts'
import { type Instance, metricOf, newUserId, startInstance, tokenFor } from './setup.ts'

const stores = await useStores(t)
const home = await mkdtemp(join(tmpdir(), 'skerry-nats-'))
const data = join(home, 'data')
const port = await freePort()
const binary = await findBinary(NATS_SERVER, binCache(), (line) => t.comment(line))
const config = join(home, 'nats.json')
await writeFile(
  config,
  JSON.stringify({
    host: '127.0.0.1',
    port,
    jetstream: { store_dir: data, sync_interval: 'always' },
    authorization: { users: [{ user: 'realtime', password: 'realtime' }] }
  })
)
let server: ChildProcess

async function up(): Promise<void> {
  server = spawn(binary.path, ['-c', config], { stdio: 'ignore' })
  await waitFor(() => greeted(), { message: 'NATS answers' })
}

async function down(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  const exited = once(server, 'exit')
  server.kill(signal)
  await exited
}

function greeted(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' })
    socket.once('data', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

await up()
t.teardown(async () => {
  await down('SIGKILL')
  await rm(home, { recursive: true, force: true })
})
const where = {
  mongoUrl: stores.mongoUrl,
  database: stores.database('realtime'),
  nats: { url: `nats://127.0.0.1:${port}`, user: 'realtime', password: 'realtime' }
}
const one = await startInstance(t, where, { instance: '1', env: { HEARTBEAT_MS: '600' } })
const two = await startInstance(t, where, { instance: '2', env: { HEARTBEAT_MS: '600' } })

async function openAll(token: string): Promise<Client[]> {
  const clients = [
    await openSse(one.url, { token }),
    await openWs(one.url, { token }),
    await openSse(two.url, { token })
  ]
  for (const client of clients) await waitFor(() => client.lastId() !== undefined)
  return clients
}

async function append(instance: Instance, user: string, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n++) {
    await instance.live.appendSurely(user, { id: `${user}-${n}`, type: 'x', body: `{"n":${n}}` })
  }
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

t.test('NATS is killed three times while messages flow: streams stay open and miss nothing', async (t) => {
  const user = newUserId()
  const token = tokenFor(user)
  const clients = await openAll(token)
  let sent = 0
  let finished = false
  const flowing = (async () => {
    while (!finished || sent % 100 !== 0) {
      await append(sent % 2 === 0 ? one : two, user, sent, sent + 1)
      sent++
    }
  })()
  for (let i = 0; i < 3; i++) {
    const before = sent
    await waitFor(() => sent > before + 100, { message: 'messages flow' })
    await down('SIGKILL')
    await waitFor(() => !one.live.available() && !two.live.available())
    const refused = await openSse(one.url, { token })
    t.equal(refused.status, 503, 'new streams have to wait')
    t.ok(Number(refused.headers['retry-after']) >= 1)
    await up()
  }
  const before = sent
  await waitFor(() => sent > before + 50)
  finished = true
  await flowing
  for (const client of clients) {
    await client.until(sent)
    t.notOk(client.ended, 'the same connection')
    t.same(
      client.seen.map((m) => m.data.n),
      numbers(0, sent)
    )
    t.equal(new Set(client.seen.map((m) => m.id)).size, sent)
    client.cut()
  }
  for (const { metrics } of [one, two]) t.equal(await metricOf(metrics, 'skerry_live_resyncs_total'), 0)
})

t.test('what was appended while an instance was cut off is read when it is back', async (t) => {
  const user = newUserId()
  const clients = await openAll(tokenFor(user))
  await one.nc.reconnect()
  await append(two, user, 0, 50)
  await one.nc.reconnect()
  await append(two, user, 50, 60)
  for (const client of clients) {
    await client.until(60)
    t.same(
      client.seen.map((m) => m.data.n),
      numbers(0, 60)
    )
    client.cut()
  }
})

t.test('a log that was deleted under us is made again, and everybody is told', async (t) => {
  const user = newUserId()
  const token = tokenFor(user)
  const clients = await openAll(token)
  await append(one, user, 0, 3)
  for (const client of clients) await client.until(3)
  const old = clients[0]?.lastId()
  const jsm = await jetstreamManager(one.nc, { checkAPI: false })
  await jsm.streams.delete('live')
  await append(one, user, 3, 4)
  for (const client of clients) {
    await waitFor(() => client.seen.some((m) => m.type === 'resync'), { message: 'resync' })
  }
  await append(two, user, 4, 6)
  for (const client of clients) {
    await waitFor(() => client.seen.at(-1)?.data.n === 5)
    const after = client.seen.slice(client.seen.findIndex((m) => m.type === 'resync') + 1).map((m) => m.data.n)
    t.same(after.slice(-2), [4, 5], 'then it goes on')
    t.not(client.lastId()?.split('-')[0], old?.split('-')[0], 'ids of another log')
    client.cut()
  }
  const late = await openSse(two.url, { token, lastEventId: old })
  await late.until(1)
  t.equal(late.seen[0]?.type, 'resync')
  late.cut()
})

t.test('a log that is older than what was sent is noticed', async (t) => {
  const user = newUserId()
  const clients = await openAll(tokenFor(user))
  await append(one, user, 0, 3)
  await down('SIGTERM')
  await cp(data, `${data}.old`, { recursive: true })
  await up()
  await append(one, user, 3, 6)
  for (const client of clients) await client.until(6)
  await down('SIGTERM')
  await rm(data, { recursive: true })
  await cp(`${data}.old`, data, { recursive: true })
  await up()
  for (const client of clients) {
    await client.until(7)
    t.equal(client.seen[6]?.type, 'resync')
  }
  await append(two, user, 6, 7)
  for (const client of clients) {
    await client.until(8)
    t.equal(client.seen[7]?.data.n, 6)
    client.cut()
  }
})
