import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { connectNats, ensureBuckets, publishIdentity } from '@skerry/service'
import { childEnv, useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { startProcess } from './helpers/processes.ts'
import { createIssuer } from './helpers/tokens.ts'
import { startUpstream } from './helpers/upstream.ts'

const MAIN = '../../src/main.ts'

t.test('the gateway as a process', async (t) => {
  const stores = await useStores(t)
  const nc = await connectNats({ ...stores.nats, name: 'gateway-test' })
  t.teardown(() => nc.close())
  await ensureBuckets(nc)
  const issuer = createIssuer()
  await (await publishIdentity(nc)).setJwks(issuer.jwks)
  const env = { ...stores.envFor('gateway'), PORT: '0', DRAIN_MS: '50', IDLE_KEPT_MS: '0' }

  const held: ServerResponse[] = []
  await startUpstream(t, nc, {
    prefixes: ['/v1/posts', '/v1/live'],
    answer: (req, res) => {
      if (req.url?.startsWith('/v1/live')) res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      else if (req.url?.endsWith('/held')) held.push(res)
      else res.end('{}')
    }
  })
  const posts = async (url: string) => (await fetch(`${url}/v1/posts`, { headers: issuer.bearer() })).status

  t.test('serves, and tells its metrics only on the operations port', async (t) => {
    const gateway = await startProcess(t, MAIN, env)
    await waitFor(async () => (await posts(gateway.url)) === 200)
    t.equal((await fetch(`${gateway.url}/metrics`)).status, 404)
    t.equal((await fetch(`${gateway.ops}/readyz`)).status, 200)
    const metrics = await (await fetch(`${gateway.ops}/metrics`)).text()
    t.match(metrics, /skerry_gateway_request_duration_seconds_count\{[^}]*upstream="content"[^}]*\} [1-9]/)
    t.match(metrics, /skerry_gateway_live_instances\{[^}]*upstream="content"[^}]*\} 1/)
    gateway.child.disconnect()
    t.equal(await gateway.exited, 0, 'ends when its parent is gone')
  })

  t.test('leaves idle connections to their clients: a request that is on its way is answered', async (t) => {
    const gateway = await startProcess(t, MAIN, { ...env, IDLE_KEPT_MS: '60000', SHUTDOWN_MS: '90000' })
    await waitFor(async () => (await posts(gateway.url)) === 200)
    const { hostname, port } = new URL(gateway.url)
    const idle = connect(Number(port), hostname)
    t.teardown(() => idle.destroy())
    const ask = async () => {
      idle.write(`GET /v1/posts HTTP/1.1\r\nhost: x\r\nauthorization: ${issuer.bearer().authorization}\r\n\r\n`)
      const [head] = await Promise.race([once(idle, 'data'), once(idle, 'close')])
      return String(head)
    }
    t.match(await ask(), /^HTTP\/1\.1 200 .*\r\nconnection: keep-alive\r\n/is)
    gateway.child.kill('SIGTERM')
    const refused = () =>
      fetch(gateway.url).then(
        () => false,
        (error) => error.cause.code === 'ECONNREFUSED'
      )
    await waitFor(refused, { message: 'it listens no more' })
    t.match(await ask(), /^HTTP\/1\.1 200 .*\r\nconnection: close\r\n/is)
    t.equal(await gateway.exited, 0, 'and then it ends')
  })

  t.test('leaves in order: requests are answered, streams end, connections close', async (t) => {
    // It has to be asked while it drains.
    const gateway = await startProcess(t, MAIN, { ...env, DRAIN_MS: '2000' })
    await waitFor(async () => (await posts(gateway.url)) === 200)
    const live = await fetch(`${gateway.url}/v1/live`, { headers: issuer.bearer() })
    const streamed = live.text()
    const asked = fetch(`${gateway.url}/v1/posts/held`, { headers: issuer.bearer() })
    await waitFor(() => held.length === 1)
    gateway.child.kill('SIGTERM')
    await waitFor(async () => (await fetch(`${gateway.url}/readyz`)).status === 503)
    t.equal(await streamed, '', 'the stream ended in good order')
    held[0]?.end('{"late":true}')
    const answer = await asked
    t.equal(answer.headers.get('connection'), 'close')
    t.strictSame(await answer.json(), { late: true })
    t.equal(await gateway.exited, 0)
  })

  t.test('is ready without Redis', async (t) => {
    const gateway = await startProcess(t, MAIN, { ...env, REDIS_URL: 'redis://127.0.0.1:1' })
    await waitFor(async () => (await posts(gateway.url)) === 200)
    t.equal((await fetch(`${gateway.url}/readyz`)).status, 200)
    t.match(gateway.output(), /Redis is unavailable/)
  })

  t.test('says in one line what is wrong with its settings', async (t) => {
    const child = spawn(process.execPath, [join(import.meta.dirname, '../src/main.ts')], {
      env: { ...childEnv(), ...env, URL_LIMIT: 'many', UPSTREAM_RETRIES: '9' },
      stdio: ['ignore', 'ignore', 'pipe']
    })
    let said = ''
    child.stderr.on('data', (chunk) => {
      said += chunk
    })
    const [code] = await once(child, 'exit')
    t.equal(code, 1)
    t.match(said, /^gateway: .*URL_LIMIT.*UPSTREAM_RETRIES.*\n$/)
  })
})
