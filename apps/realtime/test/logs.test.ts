import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { openSse, openWs } from './clients.ts'
import { jwk, newUserId, tokenFor } from './setup.ts'

const stores = await useStores(t)

t.test('tokens never reach the logs, whatever becomes of a stream', async (t) => {
  const server: ChildProcess = fork(new URL('./child-server.ts', import.meta.url), {
    env: { ...process.env, LOG_LEVEL: 'trace' },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc']
  })
  let log = ''
  server.stdout?.on('data', (chunk: Buffer) => {
    log += chunk
  })
  const where = { mongoUrl: stores.mongoUrl, database: stores.database('realtime'), nats: stores.nats }
  server.send({ start: where, key: jwk })
  const [{ url }] = (await once(server, 'message')) as [{ url: string }]
  const token = tokenFor(newUserId())
  const sse = await openSse(url, { token })
  const ws = await openWs(url, { token })
  await t.rejects(openWs(url, { token: `${token}x` }))
  t.equal((await openSse(url, { token, query: `?lastEventId=${'x'.repeat(513)}` })).status, 400)
  await fetch(`${url}/v1/live/ws`, { headers: { authorization: `Bearer ${token}` } })
  ws.cut()
  // Not only when it has ended, but when all that it logged has been read.
  const closed = once(server, 'close')
  server.send({ stop: true })
  await closed
  await waitFor(() => sse.ended && ws.ended)
  t.match(log, /request rejected/, 'something was logged')
  t.notOk(log.includes(token.slice(0, -10)), 'but no token')
  t.notMatch(log, /rawHeaders/)
})
