import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { type Certificate, createAuthority } from './helpers/certificates.ts'
import { startProcess } from './helpers/processes.ts'
import { rawGet, sendRaw } from './helpers/raw.ts'

// What an instance sends behind an answer belongs to nobody. A real gateway in front of a server that writes bytes as they are.

type Answer = (socket: Socket, path: string, method: string) => void

/** A server that is given each request line, one request at a time on a connection. With a certificate it speaks TLS. */
async function startHostile(t: Test, answer: Answer, certificate?: Certificate) {
  const sockets = new Set<Socket>()
  let connections = 0
  const take = (socket: Socket) => {
    connections++
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    let text = ''
    socket.on('data', (data) => {
      text += data.toString('latin1')
      if (!text.includes('\r\n\r\n')) return
      const [method = '', path = ''] = text.split(' ')
      text = ''
      answer(socket, path, method)
    })
  }
  const options = { noDelay: true }
  const server =
    certificate === undefined ? createServer(options, take) : createTlsServer({ ...options, ...certificate }, take)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as { port: number }
  return {
    url: `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    sockets,
    connections: () => connections
  }
}

/** A gateway alone in front of it, on one connection, so that what is left on it meets the next request. */
async function startBefore(t: Test, url: string, env: Record<string, string> = {}) {
  const gateway = await startProcess(t, '../../src/main.ts', {
    PORT: '0',
    DRAIN_MS: '50',
    IDLE_KEPT_MS: '0',
    ROUTES: `/feed=${url}`,
    HEALTH_INTERVAL_MS: '0',
    UPSTREAM_CONNECTIONS: '1',
    UPSTREAM_RETRIES: '0',
    LIMIT_EXEMPT: '127.0.0.0/8',
    ...env
  })
  return { ...gateway, port: Number(new URL(gateway.url).port) }
}

const EVIL = 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil'
const reply = (body: string) => `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n\r\n${body}`

t.test('a body where there can be none answers nobody, however late it comes', async (t) => {
  const heads: Record<string, string> = {
    '/feed/head': 'HTTP/1.1 200 OK\r\ncontent-length: 44\r\n\r\n',
    '/feed/head-open': 'HTTP/1.1 200 OK\r\n\r\n',
    '/feed/304': 'HTTP/1.1 304 Not Modified\r\netag: "1"\r\ncontent-length: 44\r\n\r\n',
    '/feed/204': 'HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n'
  }
  const late: Socket[] = []
  const { url } = await startHostile(t, (socket, path) => {
    const head = heads[path]
    if (head === undefined) {
      // What comes late comes when the next request is under way already.
      for (const one of late.splice(0)) one.write(EVIL)
      setTimeout(() => socket.write(reply(path)), 20)
    } else {
      socket.write(head)
      late.push(socket)
    }
  })
  const gateway = await startBefore(t, url)
  for (const path of Object.keys(heads))
    for (let i = 0; i < 5; i++) {
      const method = path.includes('head') ? 'HEAD' : 'GET'
      const first = await sendRaw(gateway.port, `${method} ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
      t.match(first, { status: Number(heads[path]!.slice(9, 12)), body: '' })
      t.match(await rawGet(gateway.port, `/feed/${i}`), { status: 200, body: `/feed/${i}` }, path)
    }
})

t.test('what has come behind an answer is read before its connection is used again', async (t) => {
  const { url } = await startHostile(t, (socket, path) => {
    socket.write(reply(path))
    if (path.includes('late')) setImmediate(() => socket.write(EVIL))
    if (path.includes('end')) setImmediate(() => socket.end())
  })
  const gateway = await startBefore(t, url)
  for (let i = 0; i < 30; i++) {
    const path = `/feed/${['late', 'end', 'clean'][i % 3]}-${i}`
    t.match(await rawGet(gateway.port, path), { status: 200, body: path })
  }
  t.equal(gateway.child.exitCode, null)
})

t.test('a connection is not used for longer than its instance keeps it', async (t) => {
  const { url, sockets, connections } = await startHostile(t, (socket, path) => {
    const seconds = path.split('-')[1] ?? ''
    socket.write(`HTTP/1.1 200 OK\r\nkeep-alive: timeout=${seconds}\r\ncontent-length: 2\r\n\r\nok`)
  })
  const gateway = await startBefore(t, url)
  for (let i = 0; i < 3; i++) t.equal((await rawGet(gateway.port, '/feed/keep-60')).body, 'ok')
  t.equal(connections(), 1)
  for (let i = 0; i < 3; i++) t.equal((await rawGet(gateway.port, '/feed/keep-1')).body, 'ok')
  t.equal(connections(), 3, 'for a second: not at all')
  const since = performance.now()
  t.equal((await rawGet(gateway.port, '/feed/keep-2')).body, 'ok')
  t.equal(connections(), 4)
  await waitFor(() => sockets.size === 0)
  t.comment(`closed after ${Math.round(performance.now() - since)} ms`)
})

t.test('heads without measure are a bad gateway, and end no process', async (t) => {
  const bad: Record<string, string> = {
    '/feed/099': 'HTTP/1.1 099 x\r\ncontent-length: 0\r\n\r\n',
    '/feed/999': 'HTTP/1.1 999 x\r\ncontent-length: 0\r\n\r\n',
    '/feed/1xx': `${'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n'.repeat(1_000)}${reply('ok')}`,
    '/feed/101': 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n',
    '/feed/lines': `HTTP/1.1 200 OK\r\n${'a:\r\n'.repeat(5_000)}content-length: 0\r\n\r\n`,
    '/feed/long': `HTTP/1.1 200 OK\r\na: ${'x'.repeat(100_000)}\r\ncontent-length: 0\r\n\r\n`,
    '/feed/cookies': `HTTP/1.1 200 OK\r\n${'set-cookie: a=1\r\n'.repeat(3_000)}content-length: 0\r\n\r\n`,
    '/feed/controls': 'HTTP/1.1 200 OK\r\na: \x01\r\ncontent-length: 0\r\n\r\n',
    '/feed/vertical': 'HTTP/1.1 200 OK\r\na: b\vc\r\ncontent-length: 0\r\n\r\n'
  }
  const odd: Record<string, string> = {
    '/feed/names': `HTTP/1.1 200 OK\r\nexpect: x\r\ntrailer: y\r\nte: z\r\ndate: never\r\nconnection: content-length\r\ncontent-length: 2\r\n\r\nok`,
    '/feed/obs': 'HTTP/1.1 200 \xff\xfe\r\nx-a: \x80\xff\r\ncontent-length: 2\r\n\r\nok',
    '/feed/some-1xx': `${'HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n'.repeat(5)}${reply('ok')}`
  }
  const { url } = await startHostile(t, (socket, path) =>
    socket.write(Buffer.from(bad[path] ?? odd[path] ?? reply(path), 'latin1'))
  )
  const gateway = await startBefore(t, url)
  for (const path of Object.keys(bad)) {
    t.equal((await rawGet(gateway.port, path)).status, 502, path)
    // One instance that is away for a while is tried again.
    await waitFor(async () => (await rawGet(gateway.port, '/feed/well')).body === '/feed/well')
  }
  for (const path of Object.keys(odd)) t.match(await rawGet(gateway.port, path), { status: 200, body: 'ok' }, path)
  t.equal(gateway.child.exitCode, null)

  t.test('nor over TLS, where undici reads them', async (t) => {
    const authority = createAuthority()
    const hostile = await startHostile(
      t,
      (socket, path) => socket.write(Buffer.from(bad[path] ?? odd[path] ?? reply(path), 'latin1')),
      authority.issue('127.0.0.1')
    )
    const UPSTREAM_CA_FILE = join(t.testdir({ 'ca.pem': authority.cert }), 'ca.pem')
    const gateway = await startBefore(t, hostile.url, { UPSTREAM_CA_FILE, UPSTREAM_HEADERS_TIMEOUT_MS: '2000' })
    for (const path of [...Object.keys(bad), ...Object.keys(odd)]) {
      // undici takes more for an answer than we do, or waits for one until the deadline.
      const { status } = await rawGet(gateway.port, path)
      t.ok([200, 502, 504].includes(status), path)
      await waitFor(async () => (await rawGet(gateway.port, '/feed/well')).body === '/feed/well')
    }
    for (const path of ['/feed/099', '/feed/999', '/feed/controls'])
      t.ok((await rawGet(gateway.port, path)).status >= 502, path)
    t.equal(gateway.child.exitCode, null)
    t.notMatch(gateway.output(), /"level":"(fatal|60)"/)
  })
})
