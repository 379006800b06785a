import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { waitFor } from '@skerry/testing'
import t, { type Test } from 'tap'
import { Balancer, type BalancerOptions } from '../src/upstreams/balancer.ts'
import { Deadline } from '../src/upstreams/deadline.ts'
import { LatencyWindow } from '../src/upstreams/latency.ts'
import { retryAfterMs } from '../src/upstreams/retry-after.ts'
import type { BalancedRequest } from '../src/upstreams/types.ts'
import type { Upstream } from '../src/upstreams/upstream.ts'
import { Wheel } from '../src/upstreams/wheel.ts'

/** A deadline that passes only where a test turns the wheel on, ms. */
const LONG = 600_000

const OPTIONS: BalancerOptions = {
  connections: 8,
  maxInFlight: 100,
  maxStreams: 100,
  connectTimeoutMs: 60_000,
  ejectMs: 60_000,
  ejectLongestMs: 60_000,
  consecutive: 1_000,
  maxShare: 1,
  slowTimes: 1_000,
  slowByMs: 60_000,
  slowStartMs: 0,
  zone: undefined,
  ca: undefined,
  retries: 2,
  budgetShare: 0,
  budgetBurst: 100,
  hedgeMinMs: 10,
  hedgeColdMs: 20,
  streamMoveMs: 60_000,
  mirrorInFlight: 0
}

/** A balancer over real servers that answer as they are told. */
async function startBalancer(t: Test, answers: RequestListener[], options: Partial<BalancerOptions> = {}) {
  const counts = { retried: 0, hedged: 0, hedgeLost: 0 }
  const faults: string[] = []
  const balancer = new Balancer(
    { ...OPTIONS, ...options },
    {
      ejected: () => {},
      back: () => {},
      moved: () => {},
      retried: () => void counts.retried++,
      hedged: () => void counts.hedged++,
      hedgeLost: () => void counts.hedgeLost++,
      faulted: (error) => void faults.push(error.message)
    }
  )
  t.teardown(() => balancer.destroy())
  const asked = answers.map(() => [] as { method: string; deadline: number; closed: boolean }[])
  /** Deadlines as they were told, in the order in which requests came. */
  const deadlines: number[] = []
  const instances = await Promise.all(
    answers.map(async (answer, i) => {
      const server = createServer((request, response) => {
        const one = {
          method: request.method ?? '',
          deadline: Number(request.headers['x-skerry-deadline']),
          closed: false
        }
        response.once('close', () => {
          one.closed = true
        })
        asked[i]!.push(one)
        deadlines.push(one.deadline)
        answer(request, response)
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      t.teardown(() => {
        server.closeAllConnections()
        server.close()
      })
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
      return { service: 's', instance: String(i), version: '1', url, weight: 1 }
    })
  )
  balancer.update(instances)
  /** The status of the answer, or the name of the error. */
  const ask = (request: Partial<BalancedRequest> = {}): Promise<number | string> =>
    new Promise((resolve) => {
      let status = 0
      balancer.call(
        {
          origin: 's',
          method: 'GET',
          path: '/',
          headers: [],
          body: null,
          repeatable: true,
          hedgeable: false,
          stream: false,
          timeoutMs: LONG,
          silenceMs: LONG,
          ...request
        },
        {
          onRequestStart: () => {},
          onResponseStart: (_controller, code) => {
            status = code
          },
          onResponseData: () => {},
          onResponseEnd: () => resolve(status),
          onResponseError: (_controller, error) => resolve(error.name)
        }
      )
    })
  return {
    balancer,
    counts,
    faults,
    asked,
    deadlines,
    ask,
    total: () => asked.reduce((sum, one) => sum + one.length, 0),
    /** Lets the deadlines of all that is under way pass. */
    late: () => balancer.wheel.turn(performance.now() + 2 * LONG)
  }
}

const good: RequestListener = (_request, response) => response.end('{}')
const hang: RequestListener = () => {}
const unavailable: RequestListener = (_request, response) => response.writeHead(503).end()
const reset: RequestListener = (request) => request.socket.destroy()

t.test('a deadline', async (t) => {
  let now = 0
  const wheel = new Wheel(() => now)
  t.teardown(() => wheel.close())
  const told: string[] = []
  const watched = { paused: false, late: () => told.push('late'), silent: () => told.push('silent') }
  const turn = (at: number) => {
    now = at
    wheel.turn(now)
  }

  const missed = new Deadline(wheel, 1_000, 500, watched)
  t.equal(missed.at, 1_000)
  turn(990)
  t.strictSame(told, [])
  turn(1_010)
  t.strictSame(told.splice(0), ['late'])
  t.equal(wheel.size, 0)

  const kept = new Deadline(wheel, 2_000, 500, watched)
  turn(1_500)
  kept.begun(now)
  turn(1_800)
  kept.heard()
  turn(2_010)
  t.strictSame(told, [], 'an answer that has begun has no deadline')
  turn(2_400)
  kept.heard()
  turn(2_530)
  turn(2_950)
  t.strictSame(told, [], 'a part restarts the silence')
  turn(3_100)
  t.strictSame(told.splice(0), ['silent'])

  const slow = new Deadline(wheel, 4_000, 500, watched)
  slow.begun(3_900)
  watched.paused = true
  for (let at = 4_000; at < 60_000; at += 1_000) turn(at)
  t.strictSame(told, [], 'a caller that takes nothing is no silence')
  for (let at = 60_000; at < 66_000; at += 1_000) turn(at)
  t.strictSame(told.splice(0), ['silent'], 'within a bound')

  const stopped = new Deadline(wheel, 70_000, 500, watched)
  stopped.stop()
  turn(80_000)
  t.strictSame(told, [])
})

t.test('an attempt is told what is left, and a late answer is an error', async (t) => {
  const { ask, asked, total, late } = await startBalancer(t, [hang, hang])
  const answer = ask()
  await waitFor(() => total() === 1)
  late()
  t.equal(await answer, 'DeadlineError')
  t.equal(total(), 1, 'what is late is not asked again')
  const [one] = asked.flat()
  t.ok(one!.deadline > 0 && one!.deadline <= LONG, `${one!.deadline} of ${LONG} ms`)
  await waitFor(() => asked.flat().every((attempt) => attempt.closed))
})

t.test('retries', async (t) => {
  t.test('go to instances that were not asked yet, as often as they may', async (t) => {
    const { ask, asked, counts } = await startBalancer(t, [unavailable, unavailable, unavailable, unavailable])
    t.equal(await ask(), 503)
    t.strictSame(asked.map((one) => one.length).sort(), [0, 1, 1, 1])
    t.equal(counts.retried, 2)
  })

  t.test('find the one that is well', async (t) => {
    const { ask, total } = await startBalancer(t, [unavailable, reset, good])
    for (let i = 0; i < 10; i++) t.equal(await ask(), 200)
    t.ok(total() > 10)
  })

  t.test('are told what is left of the first deadline', async (t) => {
    const asking: IncomingMessage[] = []
    const held: RequestListener = (request) => void asking.push(request)
    const { ask, deadlines } = await startBalancer(t, [held, held])
    const answer = ask()
    await waitFor(() => asking.length === 1)
    const since = performance.now()
    await waitFor(() => performance.now() - since > 30)
    asking[0]!.socket.destroy()
    await waitFor(() => asking.length === 2)
    asking[1]!.socket.destroy()
    t.equal(await answer, 'ClosedError')
    const [first, second] = deadlines
    t.ok(second! <= first! - 30, `${first} and ${second}`)
  })

  t.test('leave alone what may have been done', async (t) => {
    const { ask, total } = await startBalancer(t, [unavailable, unavailable])
    t.equal(await ask({ method: 'POST', repeatable: false }), 503)
    t.equal(total(), 1)
    const broken = await startBalancer(t, [reset, reset])
    t.equal(await broken.ask({ method: 'POST', repeatable: false }), 'ClosedError')
    t.equal(broken.total(), 1)
  })

  t.test('but send again what never left', async (t) => {
    const { ask, balancer } = await startBalancer(t, [good])
    const [live] = balancer.service('s')!.all
    const nobody = { ...live!.instance, instance: 'nobody', url: 'http://127.0.0.1:1' }
    balancer.update([live!.instance, nobody])
    for (let i = 0; i < 10; i++) t.equal(await ask({ method: 'POST', repeatable: false }), 200)
  })

  t.test('are paid from the budget', async (t) => {
    const { ask, total } = await startBalancer(t, [unavailable, unavailable, unavailable], { budgetBurst: 1 })
    for (let i = 0; i < 5; i++) t.equal(await ask(), 503)
    t.equal(total(), 6)
  })

  t.test('one instance, one 503: one call', async (t) => {
    const { ask, total } = await startBalancer(t, [unavailable])
    t.equal(await ask(), 503)
    t.equal(total(), 1)
  })
})

t.test('hedges', async (t) => {
  const latencies = new LatencyWindow()

  t.test('answer for an instance that hangs, whose request is then aborted', async (t) => {
    let hanging: IncomingMessage | undefined
    // Whichever is asked first, however late the hedge comes.
    const first: RequestListener = (request, response) => {
      if (hanging === undefined) hanging = request
      else response.end('{}')
    }
    const { ask, asked, counts } = await startBalancer(t, [first, first])
    t.equal(await ask({ hedgeable: true, latencies }), 200)
    t.strictSame(counts, { retried: 0, hedged: 1, hedgeLost: 0 })
    t.strictSame(
      asked.map((one) => one.length),
      [1, 1]
    )
    await waitFor(() => hanging?.destroyed)
  })

  t.test('are for nothing when the first one answers', async (t) => {
    const waiting: { left: number; answer: () => void }[] = []
    // The first one has more time left, whichever of the two comes first.
    const both: RequestListener = (request, response) => {
      waiting.push({ left: Number(request.headers['x-skerry-deadline']), answer: () => response.end('{}') })
      if (waiting.length === 2) waiting.sort((a, b) => b.left - a.left)[0]!.answer()
    }
    const { ask, asked, counts } = await startBalancer(t, [both, both])
    t.equal(await ask({ hedgeable: true, latencies: new LatencyWindow() }), 200)
    t.strictSame(counts, { retried: 0, hedged: 1, hedgeLost: 1 })
    t.strictSame(
      asked.map((one) => one.length),
      [1, 1]
    )
    await waitFor(() => asked.flat().every((attempt) => attempt.closed))
  })

  t.test('are only for what may be hedged, and within the budget', async (t) => {
    const { balancer, ask, total, counts, late } = await startBalancer(t, [hang, hang], { budgetBurst: 1 })
    /** Asks, waits for so many attempts, and lets the time of a hedge and then the deadline pass. */
    const afterHedge = async (request: Partial<BalancedRequest>, attempts: number) => {
      const before = total()
      const answer = ask(request)
      await waitFor(() => total() > before)
      balancer.wheel.turn(performance.now() + 1_000)
      await waitFor(() => total() - before === attempts)
      late()
      t.equal(await answer, 'DeadlineError')
      t.equal(total() - before, attempts)
    }
    await afterHedge({ method: 'PUT', hedgeable: false }, 1)
    await afterHedge({ hedgeable: true, latencies }, 2)
    await afterHedge({ hedgeable: true, latencies }, 1)
    t.equal(counts.hedged, 1, 'then the budget is spent')
  })

  t.test('come after what 19 of 20 answers take', async (t) => {
    const { balancer } = await startBalancer(t, [good])
    const known = new LatencyWindow()
    t.equal(balancer.hedgeAfter(known), 20, 'little is known')
    for (let i = 0; i < 100; i++) known.observe(i < 90 ? 5 : 200)
    const after = balancer.hedgeAfter(known)
    t.ok(after > 150 && after < 260, `${after}`)
    const quick = new LatencyWindow()
    for (let i = 0; i < 100; i++) quick.observe(1)
    t.equal(balancer.hedgeAfter(quick), 10, 'not sooner than the least')
  })
})

t.test('one that is ejected but can be reached answers all when nobody else is left', async (t) => {
  const ejected = async () => {
    // Answers once it is asked for the fourth time: all are under way at once.
    const held: ServerResponse[] = []
    const both: RequestListener = (_request, response) => {
      held.push(response)
      if (held.length >= 4) for (const one of held.splice(0)) one.end('{}')
    }
    const system = await startBalancer(t, [both, good])
    const [a, b] = system.balancer.service('s')!.all as [Upstream, Upstream]
    system.balancer.checkFailed(a, 'hung', performance.now())
    t.equal(a.circuit.isOpen, true)
    return { ...system, a, b }
  }
  const post = { method: 'POST', repeatable: false }

  t.test('because the other one leaves', async (t) => {
    const { ask, asked, balancer, a } = await ejected()
    t.equal(await ask(post), 200)
    t.equal(asked[0]!.length, 0)
    balancer.update([a.instance])
    t.same(await Promise.all([ask(post), ask(post), ask(post), ask(post)]), [200, 200, 200, 200])
  })

  t.test('because the other one dies', async (t) => {
    const { ask, balancer, b } = await ejected()
    balancer.checkFailed(b, 'refused', performance.now())
    t.same(await Promise.all([ask(post), ask(post), ask(post), ask(post)]), [200, 200, 200, 200])
  })

  t.test('while the other one refuses what it is asked, that stands', async (t) => {
    const { ask, asked, balancer } = await startBalancer(t, [good, unavailable])
    balancer.checkFailed(balancer.service('s')!.all[0]!, 'hung', performance.now())
    t.equal(await ask(), 503)
    t.equal(asked[0]!.length, 0)
  })
})

t.test('an instance that is found to hang', async (t) => {
  const holding = () => {
    const held: ServerResponse[] = []
    return { held, hold: ((_request, response) => void held.push(response)) as RequestListener }
  }

  t.test('keeps what nobody else may be asked for, and may still answer it', async (t) => {
    const { held, hold } = holding()
    const { ask, balancer } = await startBalancer(t, [hold, good], { budgetBurst: 0 })
    const [a, b] = balancer.service('s')!.all as [Upstream, Upstream]
    balancer.update([a.instance])
    const waiting = ask()
    await waitFor(() => held.length === 1)
    balancer.update([a.instance, b.instance])
    balancer.checkFailed(a, 'hung', performance.now())
    t.equal(a.circuit.isOpen, true)
    held[0]!.end('{}')
    t.equal(await waiting, 200)
  })

  t.test('loses what somebody else is asked for, and what may not be repeated stays', async (t) => {
    const { held, hold } = holding()
    const { ask, asked, balancer } = await startBalancer(t, [hold, good])
    const [a, b] = balancer.service('s')!.all as [Upstream, Upstream]
    balancer.update([a.instance])
    const waiting = [ask(), ask({ method: 'POST', repeatable: false })]
    await waitFor(() => held.length === 2)
    balancer.update([a.instance, b.instance])
    balancer.checkFailed(a, 'hung', performance.now())
    t.equal(await waiting[0], 200)
    const closed = (method: string) => asked[0]!.find((one) => one.method === method)?.closed
    await waitFor(() => closed('GET'))
    t.equal(closed('POST'), false)
    for (const one of held) one.end('{}')
    t.equal(await waiting[1], 200)
  })
})

t.test('an instance that asks to be left alone is, for as long as it says', async (t) => {
  const { ask, asked, balancer } = await startBalancer(
    t,
    [(_request, response) => response.writeHead(503, { 'retry-after': '60' }).end(), good],
    { ejectMs: 1, ejectLongestMs: 60_000 }
  )
  const before = performance.now()
  const statuses = new Set<number | string>()
  while (asked[0]!.length === 0) statuses.add(await ask())
  t.strictSame(statuses, new Set([200]))
  const { circuit } = balancer.service('s')!.all[0]!
  t.equal(circuit.isOpen, true)
  t.ok(circuit.pausedUntil >= before + 60_000, 'seconds, not milliseconds')
  t.ok(circuit.pausedUntil <= performance.now() + 72_000)
  for (let i = 0; i < 20; i++) t.equal(await ask(), 200)
  t.equal(asked[0]!.length, 1)
})

t.test('one that refuses what a single caller has too much of goes on for all others', async (t) => {
  const { ask, asked, balancer } = await startBalancer(
    t,
    [(_request, response) => response.writeHead(503, { 'retry-after': '10', 'x-skerry-blame': 'caller' }).end(), good],
    { ejectMs: 1, ejectLongestMs: 60_000 }
  )
  const statuses = new Set<number | string>()
  while (asked[0]!.length === 0) statuses.add(await ask())
  t.strictSame(statuses, new Set([200]))
  t.equal(balancer.service('s')!.all[0]!.circuit.isOpen, false)
})

t.test('a fault in the code that takes an answer ends that call alone', async (t) => {
  const { ask, balancer, faults } = await startBalancer(t, [good])
  const places = ['onRequestStart', 'onResponseStart', 'onResponseData', 'onResponseEnd'] as const
  for (const place of places) {
    const error = await new Promise<Error>((resolve) => {
      const handler = {
        onRequestStart: () => {},
        onResponseError: (_controller: unknown, reason: Error) => resolve(reason)
      }
      const broken = () => {
        throw new Error(place)
      }
      const request = { origin: 's', method: 'GET', path: '/', headers: [], body: null, stream: false }
      balancer.call(
        { ...request, repeatable: true, hedgeable: false, timeoutMs: LONG, silenceMs: LONG },
        { ...handler, [place]: broken }
      )
    })
    t.equal(error.message, place, 'its taker hears of it')
    t.equal(await ask(), 200, 'others are answered')
  }
  t.strictSame(faults.splice(0), places)
})

t.test('Retry-After', async (t) => {
  const ms = (value?: string, status = 503) => retryAfterMs(status, value === undefined ? {} : { 'retry-after': value })
  t.equal(ms('5'), 5_000)
  t.equal(ms('100000'), 60_000, 'bounded')
  t.equal(ms(), 0)
  t.equal(ms('Wed, 21 Oct 2026 07:28:00 GMT'), 0)
  t.equal(ms('5', 500), 0)
})
