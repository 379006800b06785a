import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import type { Bound } from '../src/bounds.ts'
import { createKeptConnections } from '../src/listen/kept-connections.ts'
import { talk } from './helpers/clients.ts'
import { startListener } from './helpers/listener.ts'

const REQUEST = 'GET /x HTTP/1.1\r\nhost: x\r\n\r\n'
const LONG = 10_000

/** A server whose answers wait in `held`, and whose connections are kept by the sweeps of the test alone. */
async function serve(t: Test) {
  const met: Bound[] = []
  const kept = createKeptConnections({ headMs: LONG, onBound: (bound) => met.push(bound) })
  const held: (() => Promise<unknown>)[] = []
  const sockets: Socket[] = []
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    kept.use(request.socket, response)
    held.push(() => once(response.end('x'), 'finish'))
  })
  server.on('connection', (socket) => {
    sockets.push(socket)
    kept.add(socket)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const open = async () => {
    const client = connect((server.address() as { port: number }).port, '127.0.0.1')
    t.teardown(() => client.destroy())
    const before = sockets.length
    await waitFor(() => sockets.length > before)
    return { client, socket: sockets.at(-1)! }
  }
  return { kept, held, met, open }
}

t.test('a connection is idle from the first look after its last answer', async (t) => {
  const { kept, held, open } = await serve(t)
  const { client, socket } = await open()
  client.write(REQUEST)
  await waitFor(() => held.length === 1)
  const start = performance.now()
  kept.sweep(start + LONG, LONG)
  kept.sweep(start + 3 * LONG, LONG)
  t.notOk(socket.destroyed, 'its answer is still to come')
  await held[0]!()
  kept.sweep(start + 4 * LONG, LONG)
  kept.sweep(start + 5 * LONG - 1, LONG)
  t.notOk(socket.destroyed)
  kept.sweep(start + 5 * LONG, LONG)
  t.ok(socket.destroyed)
})

t.test('one that was never used is idle from its beginning', async (t) => {
  const { kept, met, open } = await serve(t)
  const before = performance.now()
  const { socket } = await open()
  kept.sweep(before + LONG - 1, LONG)
  t.notOk(socket.destroyed)
  kept.sweep(performance.now() + LONG, LONG)
  t.ok(socket.destroyed)
  t.strictSame(met, [], 'nothing was refused')
})

t.test('a head that comes in parts is not cut', async (t) => {
  const { kept, held, open } = await serve(t)
  const { client, socket } = await open()
  client.write(REQUEST.slice(0, 8))
  await waitFor(() => socket.bytesRead > 0)
  kept.sweep(performance.now() + LONG, LONG)
  t.notOk(socket.destroyed)
  client.write(REQUEST.slice(8))
  await waitFor(() => held.length === 1)
  held[0]!()
  t.match(String((await once(client, 'data'))[0]), /^HTTP\/1\.1 200 /)
})

t.test('but bytes of which no request becomes keep nothing', async (t) => {
  const { kept, met, open } = await serve(t)
  const { client, socket } = await open()
  const start = performance.now()
  for (const part of ['\r\n', '\r\n']) {
    const before = socket.bytesRead
    client.write(part)
    await waitFor(() => socket.bytesRead > before)
    kept.sweep(start + 1.5 * LONG, LONG)
  }
  t.notOk(socket.destroyed)
  kept.sweep(performance.now() + 2 * LONG, LONG)
  t.ok(socket.destroyed)
  t.strictSame(met, ['HEADERS_TIMEOUT_MS'] satisfies Bound[])
})

t.test('what has left is left alone', async (t) => {
  const { kept, open } = await serve(t)
  const { socket } = await open()
  kept.leave(socket)
  kept.sweep(performance.now() + 2 * LONG, LONG)
  t.notOk(socket.destroyed)
})

t.test('the listener', async (t) => {
  const env = { KEEP_ALIVE_TIMEOUT_MS: '50' }
  const held: (() => void)[] = []
  const upgraded: Socket[] = []
  const { port } = await startListener(t, {
    env,
    handler: (_request, response) => held.push(() => response.end('x')),
    upgrade: (_request, socket) => {
      upgraded.push(socket as Socket)
      t.teardown(() => socket.destroy())
    }
  })
  const open = () => {
    const client = connect(port, '127.0.0.1')
    t.teardown(() => client.destroy())
    return client
  }
  const busy = open()
  busy.write(REQUEST)
  const socket = open()
  socket.write('GET /x HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
  await waitFor(() => held.length === 1 && upgraded.length === 1)
  const idle = open()
  idle.write(REQUEST)
  await waitFor(() => held.length === 2)
  held[1]!()
  t.match(await text(idle), /\r\nKeep-Alive: timeout=0\r\n.*x$/s, 'says how long, and ends after it')
  // Those are older than the one that was ended, so the same look has seen them.
  t.notOk(upgraded[0]!.destroyed, 'one that was upgraded stays')
  held[0]!()
  t.match(String((await once(busy, 'data'))[0]), /^HTTP\/1\.1 200 /, 'one with a request under way stays')
  const body = talk(port, `GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`)
  await waitFor(() => held.length === 3)
  held[2]!()
  t.match(await body, /\r\nConnection: close\r\n/)
})
