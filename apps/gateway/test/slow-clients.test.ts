import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { startOrigin } from './helpers/origin.ts'
import { startProcess } from './helpers/processes.ts'

// Clients that do not take their answers, before a real gateway: they hold nobody's service and little of its memory.

const MB = 1_048_576
/** Hundreds of megabytes pass before, which takes a busy machine long. */
const SOME_TIME = { timeoutMs: 180_000 }
const LARGE = Buffer.alloc(8 * MB, 'skerry ')

async function start(t: Test, env: Record<string, string> = {}) {
  const open = new Set<ServerResponse>()
  const origin = await startOrigin(t, 'feed', (request, response) => {
    open.add(response)
    response.once('close', () => open.delete(response))
    const size = Number(/large=(\d+)/.exec(request.url ?? '')?.[1] ?? 0)
    response.setHeader('content-type', 'application/octet-stream')
    response.end(size === 0 ? 'small' : LARGE.subarray(0, size))
  })
  const gateway = await startProcess(t, '../../src/main.ts', {
    PORT: '0',
    DRAIN_MS: '50',
    IDLE_KEPT_MS: '0',
    ROUTES: `/feed=${origin.url}`,
    HEALTH_INTERVAL_MS: '0',
    HEDGE_MIN_MS: '0',
    LIMIT_EXEMPT: '0.0.0.0/0',
    TRUSTED_PROXIES: '127.0.0.1',
    UPSTREAM_CONNECTIONS: '16',
    // A busy machine takes long for hundreds of megabytes: nobody is told so before the test is.
    UPSTREAM_HEADERS_TIMEOUT_MS: '600000',
    CONCURRENCY_MIN: '1000',
    ...env
  })
  const port = Number(new URL(gateway.url).port)
  const sockets: Socket[] = []
  const leave = () => {
    for (const socket of sockets.splice(0)) socket.destroy()
  }
  t.teardown(leave)
  /** Asks, and takes nothing. */
  const stall = (path: string, from: string) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => socket.destroy())
    socket.pause()
    socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nx-forwarded-for: ${from}\r\n\r\n`)
    sockets.push(socket)
    return socket
  }
  const metric = async (name: string) => {
    const text = await (await fetch(`${gateway.ops}/metrics`)).text()
    return Number(new RegExp(`^${name}\\{[^}]*\\} (\\d+)`, 'm').exec(text)?.[1] ?? 0)
  }
  /** Lets all go who take nothing, and forgets them. */
  const clear = async () => {
    leave()
    await waitFor(async () => open.size === 0 && (await metric('skerry_gateway_held_connections')) === 0)
    await waitFor(async () => (await metric('skerry_gateway_spool_bytes')) === 0)
    origin.requests.length = 0
  }
  const small = (from: string) => fetch(`${gateway.url}/feed`, { headers: { 'x-forwarded-for': from } })
  return { origin, gateway, port, open, stall, metric, small, clear }
}

const { gateway, origin, open, stall, metric, small, clear } = await start(t)

for (const size of [3 * MB, 8 * MB])
  t.test(`50 that take nothing of ${size / MB} MB hold no service`, async (t) => {
    t.teardown(clear)
    for (let i = 0; i < 50; i++) stall(`/feed?large=${size}`, '9.9.9.9')
    // All of them reach it: none waits for a connection that another holds.
    await waitFor(() => origin.requests.length === 50, SOME_TIME)
    for (let i = 0; i < 20; i++) t.equal((await small('8.8.8.8')).status, 200, 'somebody else is answered')
    t.equal((await small('9.9.9.9')).status, 200, 'and so are they, by others of their connections')
    t.ok((await metric('skerry_gateway_held_connections')) <= 4, 'half of the half that clients may hold')
    t.ok((await metric('skerry_gateway_spool_bytes')) <= 20 * MB)
    await waitFor(() => open.size === 0, SOME_TIME)
    t.pass('none of them holds a connection for long')
  })

t.test('over HTTP/2 as well', async (t) => {
  const session = connectHttp2(gateway.url)
  session.on('error', () => {})
  t.teardown(() => session.destroy())
  for (let i = 0; i < 40; i++) {
    const stream = session.request({ ':path': `/feed?large=${8 * MB}`, 'x-forwarded-for': '9.9.9.9' })
    stream.on('error', () => {})
    stream.pause()
  }
  await waitFor(() => origin.requests.length === 40, SOME_TIME)
  for (let i = 0; i < 20; i++) t.equal((await small('8.8.8.8')).status, 200)
  t.ok((await metric('skerry_gateway_held_connections')) <= 4)
})

t.test('many callers together hold no service, and no more memory than there is for all', async (t) => {
  const { origin, stall, metric, small } = await start(t, { SPOOL_BYTES: String(16 * MB) })
  for (let i = 0; i < 50; i++) stall(`/feed?large=${8 * MB}`, `9.9.${i}.9`)
  await waitFor(() => origin.requests.length === 50, SOME_TIME)
  for (let i = 0; i < 20; i++) t.equal((await small('8.8.8.8')).status, 200)
  t.ok((await metric('skerry_gateway_held_connections')) <= 8)
  // A part of each that had come when it was told to stop.
  t.ok((await metric('skerry_gateway_spool_bytes')) <= 24 * MB)
})

t.test('who takes an answer slowly gets all of it, and who takes many at once all of them', async (t) => {
  const { gateway, metric, small } = await start(t, { SPOOL_ANSWER_BYTES: '65536', SPOOL_CALLER_BYTES: '262144' })
  const digest = (data: Buffer | Uint8Array) => createHash('sha1').update(data).digest('hex')
  const take = async (pauseMs: number) => {
    const answer = await fetch(`${gateway.url}/feed?large=${4 * MB}`, { headers: { 'x-forwarded-for': '7.7.7.7' } })
    const hash = createHash('sha1')
    for await (const part of answer.body!) {
      hash.update(part)
      await delay(pauseMs)
    }
    return hash.digest('hex')
  }
  const whole = digest(LARGE.subarray(0, 4 * MB))
  t.strictSame(await Promise.all(Array.from({ length: 4 }, () => take(0))), Array(4).fill(whole))
  t.equal(await take(5), whole)
  t.equal((await small('7.7.7.7')).status, 200)
  t.equal(await metric('skerry_gateway_spool_bytes'), 0)
  t.equal(await metric('skerry_gateway_held_connections'), 0)
})
