import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { readAnswers } from './helpers/conversation.ts'
import { startOrigin } from './helpers/origin.ts'
import { startProcess } from './helpers/processes.ts'

// What one address may make a gateway hold, at a real process: another address has a part of its own.
const MIB = 1_048_576
const GREEDY = '127.0.0.1'
const OTHER = '127.0.0.2'

async function start(t: Test, env: Record<string, string>) {
  const origin = await startOrigin(t, 'one', (request, response) => {
    request.resume().on('end', () => response.end('{}'))
  })
  const gateway = await startProcess(t, '../../src/main.ts', {
    ...{ PORT: '0', DRAIN_MS: '0', IDLE_KEPT_MS: '0', HEALTH_INTERVAL_MS: '0', ROUTES: `/x=${origin.url}` },
    ...{ LIMIT_ADDRESS_PER_SECOND: '100000', LIMIT_ADDRESS_BURST: '100000', ...env }
  })
  const metrics = async () => (await fetch(`${gateway.ops}/metrics`)).text()
  return { gateway, metrics, port: Number(new URL(gateway.url).port) }
}

/** A connection from an address of this machine. */
function from(t: Test, port: number, localAddress: string): { socket: Socket; heard(): string } {
  const socket = connect({ port, host: '127.0.0.1', localAddress })
  let heard = ''
  socket.setEncoding('latin1')
  socket.on('data', (chunk: string) => {
    heard += chunk
  })
  socket.on('error', () => socket.destroy())
  t.teardown(() => socket.destroy())
  return { socket, heard: () => heard }
}

t.test('bodies: whoever holds too many is refused, and nobody else', async (t) => {
  const MAY = 4
  const { gateway, metrics, port } = await start(t, {
    BODIES_ADDRESS_BYTES: String(MAY * MIB),
    BODIES_BYTES: String(64 * MIB)
  })
  /** A request whose last byte is missing. */
  const short = async (address: string) => {
    const one = from(t, port, address)
    one.socket.write(`POST /x HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${MIB}\r\n\r\n`)
    await Promise.race([
      new Promise((resolve) => one.socket.write(Buffer.alloc(MIB - 1, '{'), resolve)),
      once(one.socket, 'close')
    ])
    return one
  }
  const before = await Promise.all([short(OTHER), short(OTHER)])
  const greedy = await Promise.all(Array.from({ length: 20 }, () => short(GREEDY)))
  const after = await short(OTHER)
  const refused = () => greedy.filter(({ heard }) => heard().startsWith('HTTP/1.1 503 '))
  await waitFor(() => refused().length >= 20 - MAY, { message: 'what is too much is refused' })
  for (const { heard } of [...before, after]) t.equal(heard(), '', 'of another address nothing is refused')

  for (const { socket } of [...greedy, ...before, after]) if (socket.writable) socket.write('}')
  const answered = async ({ heard }: { heard(): string }) => {
    await waitFor(() => heard() !== '')
    return heard().startsWith('HTTP/1.1 200 ')
  }
  for (const one of [...before, after]) t.ok(await answered(one), 'it is answered when it is whole')
  let kept = 0
  for (const one of greedy) if (await answered(one)) kept++
  t.ok(kept > 0 && kept <= MAY, 'of who holds too many what came first is answered, as much as it may hold')
  t.equal(gateway.child.exitCode, null)
  t.notMatch(await metrics(), /^skerry_faults_total/m)
})

t.test('answers that nobody reads: the newest of who has too many end, and nobody else', async (t) => {
  const { gateway, metrics, port } = await start(t, {
    UNREAD_ADDRESS_BYTES: String(6 * MIB),
    UNREAD_BYTES: String(1_024 * MIB),
    UNREAD_PERIOD_MS: '600000',
    HEADERS_TIMEOUT_MS: '500'
  })
  // Made in a thread when first asked for.
  const page = await (await fetch(`${gateway.url}/docs/scalar.js`)).text()
  // More than the kernel takes by itself.
  const PAGES = 8
  const silent = (address: string) => {
    const one = from(t, port, address)
    one.socket.pause()
    const asks = 'GET /docs/scalar.js HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(PAGES)
    one.socket.write(asks)
    return one
  }
  const bounds = async () =>
    Number(/^skerry_gateway_bounds_total\{bound="UNREAD_BYTES".*\} (\d+)$/m.exec(await metrics())?.[1] ?? 0)
  const oldest = silent(GREEDY)
  await waitFor(() => oldest.socket.bytesWritten > 0)
  const greedy = Array.from({ length: 15 }, () => silent(GREEDY))
  const other = silent(OTHER)
  await waitFor(async () => (await bounds()) >= 10, {
    message: 'the newest of the address that has too much are ended'
  })
  const ended = await bounds()
  // It learns that only when it reads or writes.
  for (const { socket } of greedy) socket.resume()
  await waitFor(() => greedy.filter(({ socket }) => socket.destroyed).length >= 10)

  const whole = (one: { heard(): string }) => readAnswers(one.heard()).answers
  for (const one of [oldest, other]) {
    one.socket.resume()
    await waitFor(() => whole(one).length === PAGES, { message: 'who may have it reads all of it' })
    t.ok(
      whole(one).every(({ status, body }) => status === 200 && body.length === Buffer.byteLength(page)),
      'whole and in order'
    )
  }
  t.ok(ended <= 15, 'and of nobody else')
  t.equal((await fetch(`${gateway.url}/x`)).status, 200)
  t.notMatch(await metrics(), /^skerry_faults_total/m)
})
