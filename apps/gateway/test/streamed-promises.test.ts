import { once } from 'node:events'
import { request } from 'node:http'
import { join } from 'node:path'
import { waitFor } from '@skerry/testing'
import t from 'tap'
import type { ProbeAnswer } from './fuzz/probe.ts'
import { openSession } from './helpers/clients.ts'
import type { AppProcess } from './helpers/processes.ts'
import { KIB, MIB, startService, startStreaming, talk } from './helpers/streamed.ts'

// What docs/gateway-bodies.md promises of streamed bodies beside the failure table (streamed-faults.test.ts). A gateway of its own process.

const DOWNLOADS = 20
/** From so many bytes on that its client has not taken an answer is not read. */
const HIGH = 64 * KIB

const metric = async ({ ops }: AppProcess, name: string): Promise<number> => {
  const text = await (await fetch(`${ops}/metrics`)).text()
  return [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\d+)$`, 'gm'))].reduce(
    (sum, [, n]) => sum + Number(n),
    0
  )
}

/** Bytes of buffers that a gateway holds after a collection. */
async function held({ child }: AppProcess): Promise<number> {
  child.send({ probe: 1 })
  const [answer] = (await once(child, 'message')) as [ProbeAnswer]
  return answer.bufferBytes
}

t.test('of a download that nobody takes at most 192 KiB are in the gateway', async (t) => {
  const given: Record<string, number> = {}
  const service = await startService(t, (message, response) => {
    const size = Number(message.url!.split('/').pop())
    const part = Buffer.alloc(size, 'x')
    // Each in a read of its own, as long as the gateway reads.
    const give = () => {
      given[size] = (given[size] ?? 0) + size
      if (size === 1) response.write(part)
      else if (response.write(part)) setImmediate(give)
      else response.once('drain', give)
    }
    response.writeHead(200, { 'content-length': 4_096 * MIB })
    give()
  })
  const gateway = await startStreaming(t, [service.url], {
    ...{ NODE_OPTIONS: `--expose-gc --import ${join(import.meta.dirname, 'fuzz/probe.ts')}` },
    ...{ STREAMED_BODIES_CALLER: '1000', UPSTREAM_STREAMS: '1000', UNREAD_PERIOD_MS: '600000' }
  })
  let opened = 0
  /** What each of so many downloads adds to what the gateway holds, once services can give no more of them: the kernel's buffers are full as well. */
  const bytesOfEach = async (size: number) => {
    const before = await held(gateway)
    // A window that never opens: the kernel takes nothing of these answers.
    const session = openSession(t, gateway.url, { settings: { initialWindowSize: 0 } })
    for (let i = 0; i < DOWNLOADS; i++) session.request({ ':path': `/f/${size}` }).on('error', () => undefined)
    opened += DOWNLOADS
    await waitFor(async () => (await metric(gateway, 'skerry_gateway_streamed_bodies')) === opened)
    for (let last = -1; last !== given[size]; ) {
      last = given[size] ?? 0
      await new Promise((resolve) => setTimeout(resolve, 500))
    }
    return ((await held(gateway)) - before) / DOWNLOADS
  }
  await bytesOfEach(1)
  const without = await bytesOfEach(1)
  for (const size of [64 * KIB, 30_000, 1_000]) {
    const each = (await bytesOfEach(size)) - without
    t.ok(each > HIGH / 2 && each <= 192 * KIB, `in parts of ${size} bytes`, { each })
    t.ok(given[size]! > DOWNLOADS * MIB, 'and its service waits with what it has', { given })
  }
})

t.test('Idempotency-Key is passed on, and makes no body repeatable of which something was taken', async (t) => {
  const dying = await startService(t, (message) => {
    message.once('data', () => message.socket.destroy())
  })
  const good = await startService(t, (message, response) => {
    message.resume().on('end', () => response.end('whole'))
  })
  // The first one is asked first, as long as it is not ejected.
  const env = { EJECT_FAILURES: '1000000', UPSTREAM_RETRIES: '5', RETRY_BUDGET_BURST: '1000' }
  const gateway = await startStreaming(t, [dying.url, good.url], env, { idempotent: true })
  const statuses = new Set<number>()
  const asked: number[] = []
  for (let i = 0; i < 40 && statuses.size < 2; i++) {
    const before = dying.requests.length + good.requests.length
    const up = request(`${gateway.url}/f/a`, { method: 'POST', headers: { 'idempotency-key': `key-${i}` } })
    up.on('error', () => undefined)
    up.end(`body ${i}`)
    const [answer] = await once(up, 'response')
    answer.resume()
    statuses.add(answer.statusCode)
    asked.push(dying.requests.length + good.requests.length - before)
  }
  t.strictSame([...new Set(asked)], [1], 'asked once')
  t.strictSame([...statuses].toSorted(), [200, 502], 'by both of them')
  const keys = [...dying.requests, ...good.requests].map(({ headers }) => String(headers['idempotency-key']))
  t.strictSame(keys.toSorted(), asked.map((_, i) => `key-${i}`).toSorted())
  t.equal(await metric(gateway, 'skerry_gateway_retries_total'), 0)
})

t.test('who is to blame for a body that does not come through', async (t) => {
  const env = { UPSTREAM_IDLE_TIMEOUT_MS: '300', UNREAD_PERIOD_MS: '300', EJECT_FAILURES: '2' }
  const head = (length: number) => `POST /f/a HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n`

  t.test('not the service, where its client is silent or goes', async (t) => {
    const service = await startService(t, (message, response) => {
      message.resume().on('end', () => response.end('whole'))
    })
    const other = await startService(t, (message, response) => {
      message.resume().on('end', () => response.end('whole'))
    })
    const gateway = await startStreaming(t, [service.url, other.url], env)
    for (let i = 0; i < 6; i++) {
      const silent = talk(t, gateway.port, `${head(100)}abc`)
      t.match(await silent.until(/\r\n\r\n./), /^HTTP\/1\.1 408 /)
      const asked = service.requests.length + other.requests.length
      const gone = talk(t, gateway.port, `${head(100)}abc`)
      await waitFor(() => service.requests.length + other.requests.length > asked)
      gone.socket.destroy()
    }
    await waitFor(async () => (await metric(gateway, 'skerry_gateway_streamed_bodies')) === 0)
    t.equal(await metric(gateway, 'skerry_gateway_ejections_total'), 0)
    t.equal(await metric(gateway, 'skerry_gateway_open_circuits'), 0)
  })

  t.test('the service, where it takes nothing', async (t) => {
    const stuck = await startService(t, (message) => void message.pause())
    const good = await startService(t, (message, response) => {
      message.resume().on('end', () => response.end('whole'))
    })
    const gateway = await startStreaming(t, [stuck.url, good.url], env)
    const body = Buffer.alloc(32 * MIB)
    await waitFor(async () => {
      const client = talk(t, gateway.port, head(body.length))
      client.socket.write(body)
      await client.until(/\r\n\r\n./)
      client.socket.destroy()
      return (await metric(gateway, 'skerry_gateway_ejections_total')) > 0
    })
    t.equal(await metric(gateway, 'skerry_gateway_open_circuits'), 1)
    const asked = stuck.requests.length
    const client = talk(t, gateway.port, head(body.length))
    client.socket.write(body)
    t.match(await client.until(/\r\n\r\n./), /^HTTP\/1\.1 200 /, 'the others are asked from then on')
    t.equal(stuck.requests.length, asked)
  })
})

t.test('a gateway that leaves gives bodies under way SHUTDOWN_MS, and breaks them then', async (t) => {
  const bytes = { up: 0, aborted: 0, closed: 0 }
  const service = await startService(t, (message, response) => {
    message.on('data', (part) => {
      bytes.up += part.length
    })
    message.on('close', () => {
      if (!message.complete) bytes.aborted++
    })
    response.on('close', () => bytes.closed++)
    if (message.method === 'GET') response.write('begun')
  })
  const gateway = await startStreaming(t, [service.url], { SHUTDOWN_MS: '1500' })
  const up = talk(t, gateway.port, 'POST /f/a HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n')
  up.socket.write('abc')
  const down = talk(t, gateway.port, 'GET /f/a HTTP/1.1\r\nhost: x\r\n\r\n')
  await waitFor(() => bytes.up === 3)
  await down.until(/begun/)
  gateway.child.kill('SIGTERM')
  await waitFor(() =>
    fetch(`${gateway.ops}/readyz`).then(
      ({ status }) => status !== 200,
      () => true
    )
  )
  up.socket.write('def')
  await waitFor(() => bytes.up === 6)
  t.equal(bytes.aborted, 0, 'they go on')
  await Promise.all([up.closed, down.closed])
  await gateway.exited
  t.notMatch(down.heard(), /\r\n0\r\n/, 'half an answer is not whole')
  t.notMatch(up.heard(), /^HTTP\/1\.1 2/)
  await waitFor(() => bytes.aborted === 1 && bytes.closed === 2)
})
