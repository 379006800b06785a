import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { json } from 'node:stream/consumers'
import { connectNats, ensureBuckets, publishIdentity } from '@skerry/service'
import { useStores, waitFor } from '@skerry/testing'
import t from 'tap'
import { startProcess } from './helpers/processes.ts'
import { bytesOf, MIB, sha, talk } from './helpers/streamed.ts'
import { createIssuer, idOf } from './helpers/tokens.ts'

// A service that announces routes with streamed bodies, and the gateway that finds it: two processes, and the registry between them.

t.test('a service of files', async (t) => {
  const stores = await useStores(t)
  const nc = await connectNats({ ...stores.nats, name: 'gateway-test' })
  t.teardown(() => nc.close())
  await ensureBuckets(nc)
  const issuer = createIssuer()
  await (await publishIdentity(nc)).setJwks(issuer.jwks)
  const env = { PORT: '0', DRAIN_MS: '100', IDLE_KEPT_MS: '100' }
  const gateway = await startProcess(t, '../../src/main.ts', { ...stores.envFor('gateway'), ...env })
  await startProcess(t, '../fixtures/files-service.ts', { ...stores.envFor('content'), ...env })
  const url = `${gateway.url}/v1/files`
  const port = Number(new URL(gateway.url).port)
  await waitFor(async () => (await fetch(`${url}/a/about`)).status === 200)
  const headers = issuer.bearer({ sub: 'ada' })
  const body = bytesOf(16 * MIB)

  t.test('takes and gives what is larger than any JSON, behind the same door', async (t) => {
    t.equal((await fetch(`${url}/a`, { method: 'PUT', body: 'x' })).status, 401)
    const put = await fetch(`${url}/a`, { method: 'PUT', body, headers })
    t.equal(put.status, 200)
    t.same(await put.json(), { bytes: body.length, sha256: sha(body), owner: idOf('ada') })
    const got = await fetch(`${url}/a`)
    t.match(Object.fromEntries(got.headers), { 'content-type': 'image/png', 'content-length': String(body.length) })
    t.equal(sha(Buffer.from(await got.arrayBuffer())), sha(body))
    t.equal((await fetch(`${url}/b`)).status, 404)
    t.equal((await fetch(`${url}/A`, { method: 'PUT', body, headers })).status, 400)
    const large = talk(
      t,
      port,
      `PUT /v1/files/a HTTP/1.1\r\nhost: x\r\nauthorization: ${headers.authorization}\r\ncontent-length: ${65 * MIB}\r\n\r\n`
    )
    t.match(await large.until(/\r\n\r\n./), /^HTTP\/1\.1 413 /)
  })

  t.test('is heard before the body is sent, where its client waits', async (t) => {
    for (const [name, sent, status] of [
      ['forbidden', false, 403],
      ['c', true, 200]
    ] as const) {
      const up = request(`${url}/${name}`, {
        ...{ method: 'PUT', headers: { ...headers, expect: '100-continue', 'content-length': body.length } }
      })
      let told = false
      up.once('continue', () => {
        told = true
        up.end(body)
      }).flushHeaders()
      const [answer] = (await once(up, 'response')) as [IncomingMessage]
      t.equal(answer.statusCode, status)
      t.equal(told, sent)
      await json(answer)
      up.destroy()
    }
    const stranger = talk(
      t,
      port,
      'PUT /v1/files/a HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n'
    )
    t.match(await stranger.until(/\r\n\r\n./), /^HTTP\/1\.1 401 /)
  })

  t.test('ends what is kept of a file before its upload is answered', async (t) => {
    const about = async () => {
      const answer = await fetch(`${url}/d/about`)
      return [((await answer.json()) as { bytes: number }).bytes, /hit/.test(answer.headers.get('cache-status') ?? '')]
    }
    t.same(await about(), [0, false])
    t.same(await about(), [0, true])
    t.equal((await fetch(`${url}/d`, { method: 'PUT', body: 'abc', headers })).status, 200)
    t.same(await about(), [3, false])
  })

  t.test('gets the rest of an upload when the gateway leaves', async (t) => {
    const up = request(`${url}/e`, { method: 'PUT', headers: { ...headers, 'content-length': 6 } })
    const answered = once(up, 'response')
    up.write('abc')
    await waitFor(async () =>
      /skerry_gateway_streamed_bodies(\{[^}]*\})? 1/.test(await (await fetch(`${gateway.ops}/metrics`)).text())
    )
    gateway.child.kill('SIGTERM')
    await waitFor(() =>
      fetch(`${gateway.ops}/readyz`).then(
        ({ status }) => status !== 200,
        () => true
      )
    )
    up.end('def')
    const [answer] = (await answered) as [IncomingMessage]
    t.equal(answer.statusCode, 200)
    t.match(await json(answer), { bytes: 6 })
    t.equal(await gateway.exited, 0)
  })
})
