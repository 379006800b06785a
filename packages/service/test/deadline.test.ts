import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import type { Socket } from 'node:net'
import { defineRoute } from '@skerry/contracts'
import { deadlinePassed, remainingMs } from '@skerry/deadline'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { type CallContext, type RouteOptions, route } from '../src/index.ts'
import { stopClock } from './support/clock.ts'
import { MapStore } from './support/map-store.ts'
import { createServer, createTokens, widget, widgetRoutes } from './support/server.ts'

const { identity } = await createTokens()
const page = { items: [], nextCursor: null }
const HEADER = 'x-skerry-deadline'

/** A server with one GET; answers its URL and what the handler saw. */
async function serve(t: Test, work: (call: CallContext) => Promise<void>, options?: RouteOptions) {
  const made = createServer(t, { identity })
  let runs = 0
  route(
    made.app,
    widgetRoutes.list,
    async ({ call }) => {
      runs++
      await work(call)
      return page
    },
    options
  )
  const url = `${await made.app.listen({ port: 0 })}/v1/widgets`
  const get = (deadline?: string) => fetch(url, { headers: deadline === undefined ? {} : { [HEADER]: deadline } })
  return { ...made, url, get, runs: () => runs }
}

/** A GET whose client goes away when told. */
function leaving(url: string, headers = {}) {
  const asked = httpRequest(url, { headers, agent: false })
  asked.on('error', () => undefined)
  asked.end()
  return asked
}

t.test('the time limit is the least of the gateway’s, the route’s and the service’s', async (t) => {
  stopClock(t)
  const left: number[] = []
  const note = async (call: CallContext) => {
    left.push(call.remainingMs(), remainingMs())
  }
  const ordinary = await serve(t, note)
  const short = await serve(t, note, { timeoutMs: 3_000 })
  const ask = async ({ get }: typeof ordinary, deadline?: string) => {
    t.equal((await get(deadline)).status, 200)
    const [ofCall, ofWork] = left.splice(0) as [number, number]
    t.equal(ofWork, ofCall, 'the same for what it calls')
    return Math.round(ofCall)
  }
  t.equal(await ask(ordinary), 10_000, 'no header')
  t.equal(await ask(ordinary, '5000'), 5_000, 'the header')
  t.equal(await ask(ordinary, '60000'), 10_000, 'a long one lengthens nothing')
  t.equal(await ask(short), 3_000, 'the route')
  t.equal(await ask(short, '2000'), 2_000, 'the route, asked with a shorter one')
  t.equal(await ask(short, '60000'), 3_000, 'the route, asked with a long one')
  for (const bad of ['', 'soon', '1e3', '5.5', '5, 6', '0x10', '99999999999'])
    t.equal(await ask(ordinary, bad), 10_000, JSON.stringify(bad))
})

t.test('a contract may have its own', async (t) => {
  stopClock(t)
  const { app } = createServer(t)
  const left: number[] = []
  route(app, defineRoute({ ...widgetRoutes.list, timeoutMs: 2_000 }), async ({ call }) => {
    left.push(call.remainingMs())
    return page
  })
  await app.inject('/v1/widgets')
  t.same(left.map(Math.round), [2_000])
})

t.test('without time left the handler does not run', async (t) => {
  const { get, runs } = await serve(t, async () => undefined)
  for (const none of ['0', '-1', '-5000']) {
    const answer = await get(none)
    t.equal(answer.status, 503)
    t.equal(answer.headers.get('retry-after'), '1')
    t.equal(answer.headers.get(HEADER), 'passed', 'so that nobody blames the instance')
    t.match(await answer.json(), { code: 'UNAVAILABLE' })
  }
  t.equal(runs(), 0)
})

t.test('handlers that are late are answered for, and no others', async (t) => {
  const clock = stopClock(t)
  const gate = Promise.withResolvers<void>()
  const calls: CallContext[] = []
  const { app, get, lines } = await serve(t, async (call) => {
    calls.push(call)
    await gate.promise
  })
  const order: string[] = []
  const patient = get().then((answer) => {
    order.push('none')
    return answer
  })
  const late = ['300', '100', '200'].map(async (ms) => {
    const answer = await get(ms)
    order.push(ms)
    t.equal(answer.status, 503)
    t.equal(answer.headers.get(HEADER), 'passed')
  })
  await waitFor(() => calls.length === 4)
  for (const ms of ['100', '200', '300']) {
    clock.advance(110)
    await waitFor(() => order.at(-1) === ms, { message: `the answer for ${ms}` })
  }
  await Promise.all(late)
  t.same(order, ['100', '200', '300'], 'each in its time, and nobody else')
  const ended = calls.filter((call) => call.remainingMs() === 0)
  t.equal(ended.length, 3)
  for (const { signal } of ended) t.ok(signal.aborted, 'a signal that is asked for afterwards has fired')
  gate.resolve()
  t.equal((await patient).status, 200)
  t.equal(app.skerry.deadlines.size, 0)
  t.notOk(
    lines.some((line) => Number(line.level) >= 40),
    'callers with little time do not fill the log'
  )
})

t.test('the signal fires when the time passes', async (t) => {
  const clock = stopClock(t)
  const reasons: unknown[] = []
  const { get, runs } = await serve(t, async ({ signal }) => {
    await once(signal, 'abort')
    reasons.push(signal.reason)
    signal.throwIfAborted()
  })
  const asked = get('50')
  await waitFor(() => runs() === 1)
  t.same(reasons, [], 'not before')
  clock.advance(60)
  t.equal((await asked).status, 503)
  await waitFor(() => reasons.length === 1)
  t.match(reasons, [{ code: 'UNAVAILABLE' }])
})

t.test('the signal fires when the client goes away, and its work ends quietly', async (t) => {
  const calls: CallContext[] = []
  const { url, lines, metrics, app } = await serve(t, async (call) => {
    calls.push(call)
    await once(call.signal, 'abort')
    if (call.remainingMs() <= 0) throw deadlinePassed()
  })
  const asked = leaving(url)
  await waitFor(() => calls.length === 1)
  t.ok(calls[0]!.remainingMs() > 0)
  asked.destroy()
  await waitFor(() => calls[0]!.signal.aborted)
  await waitFor(async () => (await metrics.text()).includes('route="/v1/widgets",status="499"'))
  t.equal(app.skerry.deadlines.size, 0)
  t.notOk(lines.some((line) => Number(line.level) >= 40))
})

t.test('without a signal the time left tells that the client has gone', async (t) => {
  let calls = 0
  const { url } = await serve(t, async (call) => {
    calls++
    await waitFor(() => call.remainingMs() <= 0)
    calls++
  })
  const asked = leaving(url)
  await waitFor(() => calls === 1)
  asked.destroy()
  await waitFor(() => calls === 2)
  t.equal(calls, 2)
})

t.test('an answer in time fires no signal, and kept connections collect no listeners', async (t) => {
  const signals: AbortSignal[] = []
  const left: Array<() => number> = []
  const { app, url } = await serve(t, async (call) => {
    signals.push(call.signal)
    left.push(() => call.remainingMs())
  })
  const sockets = new Set<Socket>()
  app.server.on('connection', (socket) => sockets.add(socket))
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const ask = async () => {
    const [answer] = await once(httpRequest(url, { agent, headers: { [HEADER]: '9000' } }).end(), 'response')
    answer.resume()
    await once(answer, 'end')
  }
  const listeners = () => {
    const [socket] = sockets
    return socket!.eventNames().reduce((sum, name) => sum + socket!.listenerCount(name), 0)
  }
  await ask()
  await ask()
  const before = listeners()
  for (let i = 0; i < 300; i++) await ask()
  t.equal(sockets.size, 1)
  t.equal(listeners(), before)
  t.equal(signals.length, 302)
  t.notOk(signals.some((signal) => signal.aborted))
  t.equal(left[0]!(), Number.POSITIVE_INFINITY, 'what goes on after its answer is the service’s own')
})

t.test('a stream has no time limit, and learns when its client goes', async (t) => {
  const { app } = createServer(t)
  const calls: CallContext[] = []
  route(app, defineRoute({ ...widgetRoutes.list, stream: true, response: { 200: null } }), async ({ call, reply }) => {
    calls.push(call)
    t.equal(call.remainingMs(), Number.POSITIVE_INFINITY)
    t.notOk(call.signal.aborted)
    reply.hijack()
    reply.raw.writeHead(200).write('hello')
  })
  const asked = leaving(`${await app.listen({ port: 0 })}/v1/widgets`, { [HEADER]: '0' })
  await once(asked, 'response')
  asked.destroy()
  await waitFor(() => calls[0]!.signal.aborted)
})

t.test('Idempotency-Key', async (t) => {
  async function post(t: Test, store: MapStore, work: (call: CallContext) => Promise<void>) {
    const { app } = createServer(t, { identity, idempotency: store })
    let runs = 0
    route(app, widgetRoutes.create, async ({ call }) => {
      runs++
      await work(call)
      return widget
    })
    const url = `${await app.listen({ port: 0 })}/v1/widgets`
    const send = (deadline?: string) =>
      fetch(url, {
        method: 'POST',
        headers: {
          'idempotency-key': 'key',
          'content-type': 'application/json',
          ...(deadline === undefined ? {} : { [HEADER]: deadline })
        },
        body: '{"name":"a"}'
      })
    return { send, runs: () => runs }
  }

  t.test('work that stops at its deadline gives the key back', async (t) => {
    const clock = stopClock(t)
    const store = new MapStore()
    let first = true
    const { send, runs } = await post(t, store, async ({ signal }) => {
      if (!first) return
      first = false
      await once(signal, 'abort')
      signal.throwIfAborted()
    })
    const late = send('50')
    await waitFor(() => runs() === 1)
    clock.advance(60)
    t.equal((await late).status, 503)
    await waitFor(() => store.records.size === 0)
    const again = await send()
    t.equal(again.status, 201)
    t.equal(again.headers.get('idempotency-replayed'), null)
    t.equal(runs(), 2)
  })

  t.test('work that has committed keeps it: the same request again gets the answer', async (t) => {
    const clock = stopClock(t)
    const store = new MapStore()
    const gate = Promise.withResolvers<void>()
    let ready = false
    const { send, runs } = await post(t, store, async ({ beforeCommit }) => {
      const tx: Array<() => void> = []
      await beforeCommit?.(tx, widget)
      ready = true
      await gate.promise
      for (const effect of tx) effect()
    })
    const late = send('50')
    await waitFor(() => ready)
    clock.advance(60)
    t.equal((await late).status, 503)
    t.equal((await send()).status, 409, 'it is still under way')
    gate.resolve()
    await waitFor(() => [...store.records.values()][0]?.answer !== undefined)
    const again = await send()
    t.equal(again.status, 201)
    t.equal(again.headers.get('idempotency-replayed'), 'true')
    t.equal(runs(), 1)
  })

  t.test('a claim that takes longer than the deadline begins no work and is given back', async (t) => {
    const clock = stopClock(t)
    const store = new MapStore()
    const gate = Promise.withResolvers<void>()
    const claim = store.claim.bind(store)
    store.claim = async (request) => {
      const claimed = await claim(request)
      await gate.promise
      return claimed
    }
    const { send, runs } = await post(t, store, async () => undefined)
    const late = send('50')
    await waitFor(() => store.records.size === 1)
    clock.advance(60)
    t.equal((await late).status, 503)
    t.equal(store.records.size, 1)
    gate.resolve()
    await waitFor(() => store.records.size === 0)
    t.equal(runs(), 0)
    t.equal((await send()).status, 201)
  })
})
