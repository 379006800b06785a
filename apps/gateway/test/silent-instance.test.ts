import { once } from 'node:events'
import type { RequestListener, ServerResponse } from 'node:http'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { startGateway } from './helpers/gateway.ts'
import { startOrigin } from './helpers/origin.ts'

// An instance that goes silent (a process that is stopped, a machine that is gone) holds its clients' live streams open: they are sent elsewhere.

type Health = 'well' | 'silent' | 'not ready'
const ENV = { HEALTH_INTERVAL_MS: '50', EJECT_LONGEST_MS: '200', STREAM_MOVE_MS: '500', LIMIT_EXEMPT: '127.0.0.0/8' }

type Live = Awaited<ReturnType<typeof startLive>>

/** An instance with live streams, and one that ends by itself. */
async function startLive(t: Test, name: string) {
  const state = { health: 'well' as Health, checks: 0, answers: true }
  /** Begin the streams that have not begun. */
  const late = new Set<() => void>()
  const open = new Set<ServerResponse>()
  const answer: RequestListener = (request, response) => {
    if (request.url === '/readyz') {
      state.checks++
      if (state.health !== 'silent') response.writeHead(state.health === 'well' ? 200 : 503).end()
      return
    }
    const begin = () => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.write(`data: ${name}\n\n`)
      open.add(response)
      response.once('close', () => open.delete(response))
    }
    if (state.answers) begin()
    else {
      late.add(begin)
      response.once('close', () => late.delete(begin))
    }
  }
  const origin = await startOrigin(t, name, answer)
  const sockets = new WebSocketServer({ server: origin.server })
  const instance = {
    ...{ service: 'realtime', version: '1', instance: name, url: origin.url, weight: 1, prefixes: ['/v1/live'] }
  }
  return { state, open, late, sockets, instance }
}

async function start(t: Test) {
  const g = await startGateway(t, { env: ENV })
  const [a, b] = await Promise.all([startLive(t, 'a'), startLive(t, 'b')])
  g.gateway.update([a.instance, b.instance])
  const bearer = g.issuer.bearer()
  /** Opens a stream, and collects what comes on it until its end. */
  const listen = async () => {
    const answer = await fetch(`${g.url}/v1/live`, { headers: bearer })
    const stream = { text: '', ended: false, broken: false }
    const read = async () => {
      for await (const part of answer.body!.pipeThrough(new TextDecoderStream())) stream.text += part
      stream.ended = true
    }
    read().catch(() => {
      stream.broken = true
    })
    await waitFor(() => stream.text !== '')
    return stream
  }
  const streams = await Promise.all(Array.from({ length: 40 }, listen))
  t.equal(a.open.size + b.open.size, 40)
  t.ok(a.open.size > 0 && b.open.size > 0)
  const of = (name: string) => streams.filter(({ text }) => text.includes(`data: ${name}\n`))
  const checked = async (state: { checks: number }) => {
    const before = state.checks
    await waitFor(() => state.checks >= before + 8)
  }
  return { g, a, b, listen, streams, of, checked, bearer }
}

/** Asks until some wait for a stream of `a` to begin. */
async function waiting<T>(a: Live, b: Live, listen: () => Promise<T>): Promise<Promise<T>[]> {
  a.state.answers = false
  const asked: Promise<T>[] = []
  while (a.late.size < 3) {
    const before = a.late.size + b.open.size
    asked.push(listen())
    await waitFor(() => a.late.size + b.open.size > before)
  }
  return asked
}

t.test('the streams of one that is silent end in order, the others stay', async (t) => {
  const { g, a, b, listen, of, bearer } = await start(t)
  const socket = new WebSocket(`${g.url.replace('http', 'ws')}/v1/live`, { headers: bearer })
  const sockets: WebSocket[] = [socket]
  await once(socket, 'open')
  while (a.sockets.clients.size === 0) {
    const another = new WebSocket(`${g.url.replace('http', 'ws')}/v1/live`, { headers: bearer })
    sockets.push(another)
    await once(another, 'open')
  }
  t.teardown(() => {
    for (const one of sockets) one.terminate()
  })
  const codes: number[] = []
  for (const one of sockets) one.on('close', (code) => codes.push(code))
  const many = a.sockets.clients.size
  a.state.health = 'silent'
  await waitFor(() => of('a').every(({ ended }) => ended) && codes.length === many)
  t.ok(of('a').every(({ broken }) => !broken))
  t.strictSame(new Set(codes), new Set([1012]))
  await waitFor(() => a.open.size === 0, { message: 'nor is anything left open at the instance' })
  t.ok(of('b').every(({ ended, broken }) => !ended && !broken))
  const again = await Promise.all(Array.from({ length: 10 }, listen))
  t.ok(
    again.every(({ text }) => text.includes('data: b\n')),
    'who comes back finds another'
  )
  t.ok(b.open.size >= 10)
  // By service: instances come and go, and no counter keeps their names.
  t.match(await g.metrics.text(), /skerry_gateway_streams_moved_total\{[^}]*upstream="realtime"[^}]*\} [1-9]/)
  t.match(await g.metrics.text(), /skerry_gateway_ejections_total\{[^}]*upstream="realtime"[^}]*\} [1-9]/)
  const moved = g.lines.filter(({ msg }) => msg === 'streams of a silent upstream ended')
  t.strictSame([...new Set(moved.map(({ upstream }) => upstream))], ['realtime.a'])
})

t.test('one that answers its checks keeps its streams, whatever it says; so does one that is alone', async (t) => {
  const { g, a, b, of, streams, checked } = await start(t)
  const ejected = (name: string) =>
    g.lines.some(({ msg, upstream }) => msg === 'upstream ejected' && upstream === `realtime.${name}`)
  a.state.health = 'not ready'
  await waitFor(() => ejected('a'))
  await checked(a.state)
  b.state.health = 'silent'
  await checked(b.state)
  t.ok(
    streams.every(({ ended, broken }) => !ended && !broken),
    'nobody else is well'
  )
  a.state.health = 'well'
  await waitFor(() => of('b').every(({ ended }) => ended))
  t.ok(of('a').every(({ ended, broken }) => !ended && !broken))
})

t.test('so are those of one that is announced no more', async (t) => {
  const { g, a, b, of, checked } = await start(t)
  g.gateway.update([b.instance])
  await checked(a.state)
  t.ok(
    of('a').every(({ ended, broken }) => !ended && !broken),
    'one that leaves ends them itself'
  )
  a.state.health = 'silent'
  await waitFor(() => of('a').every(({ ended }) => ended))
  t.ok(of('b').every(({ ended, broken }) => !ended && !broken))
  const before = a.state.checks
  await checked(b.state)
  t.ok(a.state.checks <= before + 2, 'and it is checked no more')
})

t.test('who waits there for a stream to begin is sent elsewhere, too', async (t) => {
  const { g, a, b, listen } = await start(t)
  const late = await waiting(a, b, listen)
  a.state.health = 'silent'
  const streams = await Promise.all(late)
  t.ok(streams.every(({ text }) => text.includes('data: b\n')))
  await waitFor(() => a.late.size === 0, { message: 'nor does anybody wait there still' })
  t.notMatch(await g.metrics.text(), /skerry_gateway_requests_total\{[^}]*status="5/)
})

t.test('a stream that begins when its instance is announced no more is one of them', async (t) => {
  const { g, a, b, listen } = await start(t)
  for (const one of [...a.open]) one.destroy()
  await waitFor(() => a.open.size === 0)
  const late = await waiting(a, b, listen)
  g.gateway.update([b.instance])
  for (const begin of [...a.late]) begin()
  const streams = (await Promise.all(late)).filter(({ text }) => text.includes('data: a\n'))
  t.ok(streams.length >= 3)
  a.state.health = 'silent'
  await waitFor(() => streams.every(({ ended }) => ended))
  await waitFor(() => a.open.size === 0)
})
