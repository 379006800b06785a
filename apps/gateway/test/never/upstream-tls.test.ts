import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { createServer, get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { startBare } from '../helpers/bare.ts'
import { type Certificate, createAuthority } from '../helpers/certificates.ts'
import { startGateway, type TestGateway } from '../helpers/gateway.ts'
import { announceServer, listen } from '../helpers/observers.ts'

const authority = createAuthority()
/** Who each certificate is for, and who signed it. */
const CERTIFICATES: Record<string, Certificate> = {
  'signed by itself': createAuthority('127.0.0.1'),
  'signed by another authority': createAuthority('Another authority').issue('127.0.0.1'),
  'for another address': authority.issue('127.0.0.2'),
  'for a name': authority.issue('other.example')
}

/** An HTTPS service, and what it was asked for. */
async function serve(t: Test, certificate: Certificate) {
  const paths: (string | undefined)[] = []
  const server = createServer(certificate, (request, response) => {
    paths.push(request.url)
    response.end('{}')
  })
  return { url: `https://127.0.0.1:${await listen(t, server)}`, paths }
}

async function announced(t: Test, g: TestGateway, service: string, certificate: Certificate) {
  const served = await serve(t, certificate)
  await announceServer(t, g.nc, { service, prefixes: [`/v1/${service}`], url: served.url })
  await g.live(service, 1)
  return served
}

t.test('services over TLS', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-tls-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = join(folder, 'ca.pem')
  await writeFile(file, authority.cert)
  const without = await startGateway(t, { env: { HEALTH_INTERVAL_MS: '0' } })
  const configured = await startGateway(t, { env: { HEALTH_INTERVAL_MS: '0', UPSTREAM_CA_FILE: file } })

  t.test('are asked nothing unless their certificate is good', async (t) => {
    let number = 0
    for (const [what, certificate] of Object.entries(CERTIFICATES)) {
      for (const g of [without, configured]) {
        const service = `bad${++number}`
        const { paths } = await announced(t, g, service, certificate)
        const answer = await fetch(`${g.url}/v1/${service}`, { method: 'POST', body: 'secret' })
        t.ok([502, 503].includes(answer.status), `${what}: ${answer.status}`)
        t.match(await answer.json(), { code: /^(BAD_GATEWAY|UNAVAILABLE)$/ })
        t.strictSame(paths, [], what)
      }
    }
  })

  t.test('are reached when the authority is configured, and only then', async (t) => {
    const good = authority.issue('127.0.0.1')
    const plain = await serve(t, good)
    const [answer] = (await once(get(`${plain.url}/`, { ca: authority.cert, agent: false }), 'response')) as [
      IncomingMessage
    ]
    t.equal(answer.resume().statusCode, 200, 'the certificate is good')
    const trusted = await announced(t, configured, 'good', good)
    t.equal((await fetch(`${configured.url}/v1/good`)).status, 200)
    t.strictSame(trusted.paths, ['/v1/good'])
    const unknown = await announced(t, without, 'unknown', good)
    t.ok((await fetch(`${without.url}/v1/unknown`)).status >= 502)
    t.strictSame(unknown.paths, [])
  })

  t.test('take WebSockets with the same care', async (t) => {
    const server = createServer(authority.issue('127.0.0.1'))
    const sockets = new WebSocketServer({ server })
    t.teardown(() => sockets.close())
    let handshakes = 0
    sockets.on('connection', (ws) => {
      handshakes++
      ws.send('hello')
    })
    const url = `https://127.0.0.1:${await listen(t, server)}`
    for (const g of [configured, without]) {
      await announceServer(t, g.nc, { service: 'sockets', prefixes: ['/v1/sockets'], url })
      await g.live('sockets', 1)
    }
    const trusting = new WebSocket(`${configured.url.replace('http', 'ws')}/v1/sockets`)
    t.equal(String((await once(trusting, 'message'))[0]), 'hello')
    trusting.terminate()
    const distrusting = new WebSocket(`${without.url.replace('http', 'ws')}/v1/sockets`)
    distrusting.on('error', () => distrusting.terminate())
    const [, response] = (await once(distrusting, 'unexpected-response')) as [unknown, IncomingMessage]
    t.ok(response.statusCode === 502 || response.statusCode === 503, `${response.statusCode}`)
    t.equal(handshakes, 1)
  })

  t.test('are all taken by the bare package', async (t) => {
    for (const [what, certificate] of Object.entries(CERTIFICATES)) {
      const { url, paths } = await serve(t, certificate)
      const bare = await startBare(t, url)
      t.equal((await fetch(`${bare.url}/v1/x`)).status, 200, what)
      t.strictSame(paths, ['/v1/x'])
    }
  })
})
