import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { startOrigin } from './helpers/origin.ts'
import { startProcess } from './helpers/processes.ts'

const REQUEST = 'GET /x HTTP/1.1\r\nhost: x\r\n\r\n'
const env = { PORT: '0', DRAIN_MS: '0', IDLE_KEPT_MS: '0', LIMIT_EXEMPT: '127.0.0.1', HEALTH_INTERVAL_MS: '0' }

async function startAlone(t: Test, settings: Record<string, string> = {}) {
  const origin = await startOrigin(t, 'one')
  const gateway = await startProcess(t, '../../src/main.ts', { ...env, ROUTES: `/x=${origin.url}`, ...settings })
  return { gateway, port: Number(new URL(gateway.url).port) }
}

function open(t: Test, port: number): Socket {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => socket.destroy())
  t.teardown(() => socket.destroy())
  return socket
}

t.test('2,000 connections at once: each is answered, twice', async (t) => {
  const { gateway, port } = await startAlone(t, { KEEP_ALIVE_TIMEOUT_MS: '600000' })
  const sockets = Array.from({ length: 2_000 }, () => open(t, port))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  for (let round = 0; round < 2; round++) {
    const answers = await Promise.all(
      sockets.map(async (socket) => {
        const answer = once(socket, 'data')
        // What waits for no service: they have less room than that.
        socket.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n')
        return String((await answer)[0]).slice(0, 15)
      })
    )
    t.strictSame(new Set(answers), new Set(['HTTP/1.1 200 OK']))
  }
  t.equal(gateway.child.exitCode, null)
})

t.test('600 heads that come a byte at a time are ended, and others are answered meanwhile', async (t) => {
  const { gateway, port } = await startAlone(t, { HEADERS_TIMEOUT_MS: '2000' })
  const slow = Array.from({ length: 600 }, () => open(t, port))
  const heard = new Map<Socket, string>()
  for (const socket of slow) socket.on('data', (chunk) => heard.set(socket, (heard.get(socket) ?? '') + chunk))
  let at = 0
  const timer = setInterval(() => {
    const byte = `GET /x HTTP/1.1\r\nhost: x\r\nx-slow: ${'a'.repeat(4_000)}`[at++]!
    for (const socket of slow) if (socket.writable) socket.write(byte)
  }, 100)
  t.teardown(() => clearInterval(timer))
  const others = new Set<number>()
  await waitFor(async () => {
    others.add((await fetch(`${gateway.url}/x`)).status)
    return slow.every(({ destroyed }) => destroyed)
  })
  t.strictSame(others, new Set([200]))
  for (const text of heard.values()) if (!/^HTTP\/1\.1 408 /.test(text)) t.fail(text)
  t.ok(heard.size > 0, 'and told why')
})

t.test('more than may be are not taken, and those that are there are answered', async (t) => {
  const { gateway, port } = await startAlone(t, { MAX_CONNECTIONS: '50' })
  const first = Array.from({ length: 50 }, () => open(t, port))
  for (const socket of first) {
    const answer = once(socket, 'data')
    socket.write(REQUEST)
    t.match(String((await answer)[0]), /^HTTP\/1\.1 200 /)
  }
  const more = Array.from({ length: 50 }, () => open(t, port))
  await Promise.all(more.map((socket) => once(socket.resume(), 'close')))
  const [one] = first
  const answer = once(one!, 'data')
  one!.write(REQUEST)
  t.match(String((await answer)[0]), /^HTTP\/1\.1 200 /)
  for (const socket of first.slice(1)) socket.destroy()
  await waitFor(async () => (await fetch(`${gateway.url}/x`).catch(() => undefined))?.status === 200)
  t.pass('when some have gone others may come')
})
