import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { announce, connectNats, ensureBuckets, publishIdentity } from '@skerry/service'
import { useStores, waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { startBare } from '../helpers/bare.ts'
import { burst } from '../helpers/burst.ts'
import { startProcess } from '../helpers/processes.ts'
import { createIssuer } from '../helpers/tokens.ts'

const REQUESTS = 1_200
/** An address that nobody else listens at, so that its port stays free while nothing is there. */
const HOST = `127.99.${(process.pid >> 8) & 255}.${(process.pid & 127) + 1}`

/** A service of which first nothing is there but its port: connections to it are refused. */
async function portOf(t: Test) {
  const server = createServer((request, response) => {
    request.resume()
    response.end('{}')
  })
  const listen = async (port: number) => {
    server.listen(port, HOST)
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }
  const port = await listen(0)
  server.close()
  await once(server, 'close')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://${HOST}:${port}`, start: () => listen(port) }
}

const portOfUrl = (url: string) => Number(new URL(url).port)

t.test('many requests at once for a service that refuses connections', async (t) => {
  t.test('leave the gateway standing', async (t) => {
    const stores = await useStores(t)
    const nc = await connectNats({ ...stores.nats, name: 'gateway-test' })
    t.teardown(() => nc.close())
    await ensureBuckets(nc)
    await (await publishIdentity(nc)).setJwks(createIssuer().jwks)
    const service = await portOf(t)
    const announced = await announce(nc, {
      service: 'content',
      version: '0.0.0',
      instance: '1',
      url: service.url,
      weight: 1,
      prefixes: ['/v1/posts']
    })
    t.teardown(() => announced.drain())
    const env = { ...stores.envFor('gateway'), PORT: '0', DRAIN_MS: '0', LIMIT_EXEMPT: '127.0.0.1' }
    const gateway = await startProcess(t, '../../src/main.ts', env)
    let ended = false
    gateway.exited.then(() => {
      ended = true
    })
    await waitFor(async () => (await fetch(`${gateway.url}/readyz`)).status === 200)

    const statuses = await burst(portOfUrl(gateway.url), '/v1/posts', REQUESTS)
    t.strictSame(new Set([...statuses.keys()].filter((status) => status !== 0)), new Set([503]))
    t.ok(statuses.get(503)! >= REQUESTS / 2, 'all that waited for an answer got one')
    t.equal((await fetch(`${gateway.url}/livez`)).status, 200)
    await service.start()
    await waitFor(async () => (await fetch(`${gateway.url}/v1/posts`)).status === 200)
    t.notOk(ended)
  })

  t.test('no longer kill the bare package', async (t) => {
    const service = await portOf(t)
    const bare = await startBare(t, service.url)
    const statuses = await burst(portOfUrl(bare.url), '/v1/posts', REQUESTS)
    t.strictSame(new Set([...statuses.keys()].filter((status) => status !== 0)), new Set([500]))
    t.equal(bare.child.exitCode, null, bare.output())
    await service.start()
    t.equal((await fetch(`${bare.url}/v1/posts`)).status, 200)
  })
})
