import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { Agent, fetch as fetchWith } from 'undici'
import { certificateFiles } from './helpers/clients.ts'
import { startListener } from './helpers/listener.ts'
import { ODD_ANSWERS } from './helpers/odd-answers.ts'
import { startOrigin } from './helpers/origin.ts'
import { type AppProcess, startProcess } from './helpers/processes.ts'
import { createIssuer } from './helpers/tokens.ts'

// What a stranger or a service sends ends what it belongs to and never the gateway. All on real processes, which tell by their exit code.

const MAIN = '../../src/main.ts'
const env = { PORT: '0', DRAIN_MS: '0', IDLE_KEPT_MS: '0', LIMIT_EXEMPT: '127.0.0.1', HEALTH_INTERVAL_MS: '0' }
const HANDSHAKE =
  'connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n'

/** Sends bytes and reads until the gateway ends the connection, or `until` has come. */
async function say(t: Test, port: number, bytes: string | Buffer, until?: RegExp): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.on('error', () => socket.destroy())
  let heard = ''
  socket.on('data', (chunk) => {
    heard += chunk.toString('latin1')
  })
  socket.write(bytes)
  await (until === undefined ? once(socket, 'close') : waitFor(() => until.test(heard) || socket.destroyed))
  return heard
}

/** Sends bytes and breaks the connection off as soon as they are there: `RST`, not an end. */
async function reset(port: number, bytes: string | Buffer, afterAnswer = false): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => socket.destroy())
  const closed = once(socket, 'close')
  await new Promise((resolve) => socket.write(bytes, resolve))
  if (afterAnswer) await Promise.race([once(socket, 'data'), closed])
  socket.resetAndDestroy()
  await closed
}

const faultsOf = async ({ ops }: AppProcess) =>
  [...(await (await fetch(`${ops}/metrics`)).text()).matchAll(/^skerry_faults_total\{.*\} (\d+)$/gm)].reduce(
    (sum, [, count]) => sum + Number(count),
    0
  )

t.test('a stranger', async (t) => {
  const origin = await startOrigin(t, 'one')
  const gateway = await startProcess(t, MAIN, { ...env, ROUTES: `/x=${origin.url}` })
  const port = Number(new URL(gateway.url).port)
  const lives = async (t: Test) => {
    t.equal((await fetch(`${gateway.url}/x/other`)).status, 200, 'others are answered')
    t.equal(gateway.child.exitCode, null)
    t.equal(await faultsOf(gateway), 0, 'and there was no fault')
  }

  t.test('who asks for an upgrade with a body that is withheld, never comes whole, or comes in chunks', async (t) => {
    const head = `GET /x HTTP/1.1\r\nhost: x\r\n${HANDSHAKE}`
    for (const framing of ['content-length: 1\r\n', 'content-length: 100000\r\n', 'transfer-encoding: chunked\r\n']) {
      t.match(await say(t, port, `${head}${framing}\r\n`, /\r\n\r\n/), /^HTTP\/1\.1 400 /, framing)
      t.match(
        await say(t, port, `${head}${framing}\r\nab`, /\r\n\r\n/),
        /^HTTP\/1\.1 400 /,
        `${framing} with bytes of it`
      )
      await reset(port, `${head}${framing}\r\n`)
      await reset(port, `${head}${framing}\r\n`, true)
    }
    t.equal(origin.requests.length, 0)
    await lives(t)
  })

  t.test('who breaks off, wherever', async (t) => {
    const request = `GET /x HTTP/1.1\r\nhost: x\r\n\r\n`
    const heads = {
      'a preface of HTTP/2 in parts': 'PR',
      'a preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      'a preface and bytes that are no frame': `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${'x'.repeat(64)}`,
      'no HTTP': 'hello\r\n\r\n',
      'TLS where there is none': '\x16\x03\x01\x02\x00\x01\x00',
      'half a head': request.slice(0, 20),
      'a request': request,
      'requests one after the other': request.repeat(20),
      'a body in parts': 'POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc',
      'a broken chunk': 'POST /x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
      'a request of the gateway': 'GET /docs/scalar.js HTTP/1.1\r\nhost: x\r\n\r\n',
      'an expectation': 'POST /x HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 10\r\n\r\n',
      'an expectation nobody meets': 'POST /x HTTP/1.1\r\nhost: x\r\nexpect: a-miracle\r\ncontent-length: 0\r\n\r\n',
      CONNECT: 'CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n',
      'a handshake': `GET /x HTTP/1.1\r\nhost: x\r\n${HANDSHAKE}\r\n`,
      'a handshake behind a request': `${request}GET /x HTTP/1.1\r\nhost: x\r\n${HANDSHAKE}\r\n`,
      'another upgrade': `GET /x HTTP/1.1\r\nhost: x\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAA\r\n\r\n`
    }
    const silent = new Set([heads['a preface of HTTP/2 in parts'], heads['half a head'], heads['a body in parts']])
    for (const head of Object.values(heads)) {
      const bytes = Buffer.from(head, 'latin1')
      await Promise.all(Array.from({ length: 5 }, () => reset(port, bytes)))
      if (!silent.has(head)) await reset(port, bytes, true)
    }
    await lives(t)
  })

  t.test('whose token is signed but names nobody', async (t) => {
    const issuer = createIssuer()
    const keys = createServer((_request, response) => response.end(JSON.stringify(issuer.jwks)))
    await once(keys.listen(0, '127.0.0.1'), 'listening')
    t.teardown(() => keys.close())
    const known = await startProcess(t, MAIN, {
      ...env,
      ROUTES: `/x=${origin.url}`,
      JWKS_URL: `http://127.0.0.1:${(keys.address() as AddressInfo).port}`
    })
    t.equal((await fetch(`${known.url}/x`, { headers: issuer.bearer({ sub: 'ada' }) })).status, 200)
    for (const sub of ['', ' '.repeat(256)])
      t.equal(
        (await fetch(`${known.url}/x`, { headers: issuer.bearer({ sub }) })).status,
        401,
        'no subject of any issuer'
      )
  })
})

t.test('a stranger who speaks no TLS where it must be', async (t) => {
  const origin = await startOrigin(t, 'one')
  const { files, write } = await certificateFiles(t)
  const { cert } = await write('first')
  const gateway = await startProcess(t, MAIN, {
    ...env,
    ...files,
    HEADERS_TIMEOUT_MS: '2000',
    ROUTES: `/x=${origin.url}`
  })
  const port = Number(new URL(gateway.url).port)
  const first = 'GET /x HTTP/1.1\r\n'
  for (const bytes of [first, `${first}host: x\r\n\r\n`, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'PRI', 'hello\r\n'])
    for (let i = 0; i < 5; i++) {
      await reset(port, bytes)
      await reset(port, bytes, true)
    }
  // A handshake that does not come to its end has its time.
  for (const bytes of [Buffer.of(0x16), Buffer.of(0x16, 3, 1, 2, 0, 1)]) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => socket.destroy())
    socket.write(bytes)
    await once(socket.resume(), 'close')
  }
  // Within TLS, too: right after the handshake, and in the middle of a request.
  for (const ALPNProtocols of [['http/1.1'], ['h2']])
    for (const bytes of ['', first, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'GET /x HTTP/1.1\r\nhost: x\r\n\r\n']) {
      const raw = connect(port, '127.0.0.1')
      raw.on('error', () => raw.destroy())
      const socket = connectTls({ socket: raw, ca: cert, servername: 'localhost', ALPNProtocols })
      socket.on('error', () => socket.destroy())
      await once(socket, 'secureConnect')
      if (bytes !== '') await new Promise((resolve) => socket.write(bytes, resolve))
      raw.resetAndDestroy()
      await once(raw, 'close')
    }
  const agent = new Agent({ connect: { ca: cert, servername: 'localhost' } })
  t.teardown(() => agent.close())
  t.equal((await fetchWith(`https://127.0.0.1:${port}/x`, { dispatcher: agent })).status, 200, 'others are answered')
  t.equal(gateway.child.exitCode, null)
  t.equal(await faultsOf(gateway), 0)
})

t.test('a service that answers a handshake with what is no answer', async (t) => {
  let answer = ''
  const sockets = new Set<Socket>()
  const service = createTcpServer((socket) => {
    sockets.add(socket.on('error', () => socket.destroy()))
    socket.once('data', (chunk) => {
      if (String(chunk).includes('/x/plain')) socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
      else if (answer === '') socket.resetAndDestroy()
      else socket.end(answer, 'latin1')
    })
  })
  await once(service.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    service.close()
  })
  const gateway = await startProcess(t, MAIN, {
    ...env,
    EJECT_FAILURES: '1000',
    EJECT_MAX_SHARE: '0',
    ROUTES: `/x=http://127.0.0.1:${(service.address() as AddressInfo).port}`
  })
  const port = Number(new URL(gateway.url).port)
  for (answer of ODD_ANSWERS) {
    const heard = await say(t, port, `GET /x HTTP/1.1\r\nhost: x\r\n${HANDSHAKE}\r\n`)
    t.match(heard, /^HTTP\/1\.1 (200|204|304|400|502|503|504) /, JSON.stringify(answer))
  }
  await waitFor(async () => (await fetch(`${gateway.url}/x/plain`)).status === 200)
  t.equal(gateway.child.exitCode, null)
  t.equal(await faultsOf(gateway), 0)
})

t.test('a fault in the code of a request ends that request', async (t) => {
  const faults: [string, string][] = []
  const held: (() => void)[] = []
  const { port } = await startListener(t, {
    handler(request, response) {
      if (request.url === '/held') held.push(() => response.end('held'))
      else if (request.url === '/begun') {
        response.writeHead(200, { 'content-length': '10' })
        response.write('abc')
        throw new Error('after its head')
      } else if (request.url === '/bad') throw new Error('before its head')
      else response.end('x')
    },
    upgrade() {
      throw new Error('in a handshake')
    },
    onFault: (at, error) => faults.push([at, (error as Error).message])
  })
  const other = say(t, port, 'GET /held HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
  await waitFor(() => held.length === 1)
  const bad = await say(t, port, 'GET /bad HTTP/1.1\r\nhost: x\r\n\r\n')
  t.match(bad, /^HTTP\/1\.1 500 .*\r\nconnection: close\r\n.*"code":"INTERNAL"/is)
  t.notMatch(bad, 'before its head')
  const begun = await say(t, port, 'GET /begun HTTP/1.1\r\nhost: x\r\n\r\n')
  t.notMatch(begun, 'INTERNAL', 'an answer that has begun breaks off')
  t.equal(await say(t, port, `GET /x HTTP/1.1\r\nhost: x\r\n${HANDSHAKE}\r\n`), '')
  t.strictSame(faults, [
    ['request', 'before its head'],
    ['request', 'after its head'],
    ['upgrade', 'in a handshake']
  ])
  held[0]!()
  t.match(await other, /held$/)
})
