import type { Priority } from '@skerry/contracts'
import { readConfig } from '../../src/config.ts'
import { createOverload, type Overload } from '../../src/overload/overload.ts'
import { type Instances, openInstances } from './simulate-instances.ts'

/** One part of the traffic: its share, and how long a worker is busy with one request, ms. */
export type Kind = { readonly share: number; readonly priority: Priority; readonly serviceMs: number }

/** What happens during one phase. */
export type Phase = {
  readonly seconds: number
  /** Requests a second. */
  readonly rate: number
  /** Of each instance. */
  readonly workers: number
  /** Times which everything takes longer, and what the first instance alone does. */
  readonly slower?: number
  readonly firstSlower?: number
  readonly kinds?: readonly Kind[]
}

export type Seen = {
  offered: number
  answered: number
  refused: number
  /** Answers a second. */
  goodput: number
  p50: number
  p99: number
  /** Offered and refused by priority. */
  by: Record<Priority, { offered: number; refused: number }>
  /** The limit at the end, of all gateways together. */
  limit: number
}

/** A repeatable source of numbers from 0 to 1 (Steele, Lea, Flood: the finaliser of SplitMix, 32 bits). */
export function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x9e3779b9) | 0
    let z = state ^ (state >>> 16)
    z = Math.imul(z, 0x21f0aaad)
    z ^= z >>> 15
    z = Math.imul(z, 0x735a2d97)
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32
  }
}

const MIX: readonly Kind[] = [
  { share: 0.05, priority: 'critical', serviceMs: 10 },
  { share: 0.15, priority: 'high', serviceMs: 10 },
  { share: 0.6, priority: 'normal', serviceMs: 10 },
  { share: 0.2, priority: 'low', serviceMs: 10 }
]

type Event = { at: number; run: () => void }
type Request = { kind: Kind; came: number; entered: number; overload: Overload; at: number }

/**
 * A service of so many workers with a queue that has no end, behind `createOverload`, on a clock of its own: requests come as a Poisson
 * process, whatever becomes of them. What is measured is what clients see, waiting at the gateway included. `protect: false` lets all in;
 * with several `gateways` each request comes through any of them. With several `instances` the balancer's own code selects one for each
 * request and ejects those that are outliers; hedges and retries, which help, are not simulated.
 */
export function simulate(
  phases: readonly Phase[],
  options: {
    seed?: number
    env?: Record<string, string>
    protect?: boolean
    gateways?: number
    instances?: number
  } = {}
): Seen[] {
  const { seed = 1, env = {}, protect = true, gateways = 1, instances: count = 1 } = options
  const random = seeded(seed)
  let now = 1_000_000
  const events = new Heap()
  const after = (ms: number, run: () => void) => events.push({ at: now + ms, run })
  const every = (ms: number, work: () => void) => {
    let stopped = false
    const again = () => {
      if (stopped) return
      work()
      after(ms, again)
    }
    after(ms, again)
    return () => {
      stopped = true
    }
  }
  const config = readConfig({ NATS_URL: 'x', NATS_USER: 'x', NATS_PASSWORD: 'x', ...env })
  const overloads = Array.from({ length: gateways }, () => {
    const overload = createOverload(config, { now: () => now, random, every })
    // Event-loop pressure is real time.
    overload.close()
    return overload
  })

  let phase = phases[0]!
  const instances: Instances = openInstances(count, config, random, now)
  if (count > 1) every(1_000, () => instances.eject(now))
  const lines = Array.from({ length: count }, () => ({ busy: 0, queue: [] as Request[], head: 0 }))
  let latencies: number[] = []
  let seen = newSeen()
  const results: Seen[] = []

  const begin = (request: Request) => {
    const line = lines[request.at]!
    line.busy++
    const slower = (phase.slower ?? 1) * (request.at === 0 ? (phase.firstSlower ?? 1) : 1)
    const ms = request.kind.serviceMs * slower * (0.9 + random() * 0.2)
    after(ms, () => {
      line.busy--
      seen.answered++
      latencies.push(now - request.came)
      instances.answered(request.at, now - request.entered, now)
      while (line.busy < phase.workers && line.head < line.queue.length) begin(line.queue[line.head++]!)
      if (protect) request.overload.settle('service', now - request.entered, 'answered')
    })
  }
  const enter = (request: Request) => {
    request.entered = now
    request.at = instances.select(now)
    const line = lines[request.at]!
    if (line.busy < phase.workers) begin(request)
    else line.queue.push(request)
  }
  const arrive = () => {
    const kind = pick(phase.kinds ?? MIX, random())
    const overload = overloads[Math.floor(random() * gateways)]!
    const request = { kind, came: now, entered: now, overload, at: 0 }
    const counts = seen.by[kind.priority]
    seen.offered++
    counts.offered++
    const refused = () => {
      seen.refused++
      counts.refused++
    }
    const candidate = {
      admitted: () => {
        enter(request)
        return true
      },
      refused
    }
    const answer = protect ? overload.admit('service', kind.priority, candidate) : true
    if (answer === true) enter(request)
    else if (answer !== undefined) refused()
  }

  for (phase of phases) {
    const end = now + phase.seconds * 1_000
    let next = phase.rate === 0 ? Number.POSITIVE_INFINITY : now - (Math.log(1 - random()) * 1_000) / phase.rate
    for (;;) {
      const due = Math.min(next, events.first()?.at ?? Number.POSITIVE_INFINITY)
      if (due > end) break
      now = due
      if (next <= due) {
        arrive()
        next = now - (Math.log(1 - random()) * 1_000) / phase.rate
      } else events.pop()!.run()
    }
    now = end
    latencies.sort((a, b) => a - b)
    const at = (part: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))] ?? 0
    seen.goodput = seen.answered / phase.seconds
    seen.p50 = at(0.5)
    seen.p99 = at(0.99)
    for (const overload of overloads) for (const [, gate] of overload.services()) seen.limit += gate.gradient.limit
    results.push(seen)
    seen = newSeen()
    latencies = []
  }
  instances.close()
  return results
}

function newSeen(): Seen {
  const none = () => ({ offered: 0, refused: 0 })
  const by = { critical: none(), high: none(), normal: none(), low: none() }
  return { offered: 0, answered: 0, refused: 0, goodput: 0, p50: 0, p99: 0, by, limit: 0 }
}

function pick(kinds: readonly Kind[], draw: number): Kind {
  let left = draw
  for (const kind of kinds) {
    left -= kind.share
    if (left < 0) return kind
  }
  return kinds.at(-1)!
}

/** Events by time. */
class Heap {
  private readonly items: Event[] = []

  first(): Event | undefined {
    return this.items[0]
  }

  push(event: Event): void {
    const { items } = this
    let i = items.push(event) - 1
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (items[parent]!.at <= event.at) break
      items[i] = items[parent]!
      i = parent
    }
    items[i] = event
  }

  pop(): Event | undefined {
    const { items } = this
    const top = items[0]
    const last = items.pop()
    if (last === undefined || items.length === 0) return top
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= items.length) break
      if (child + 1 < items.length && items[child + 1]!.at < items[child]!.at) child++
      if (items[child]!.at >= last.at) break
      items[i] = items[child]!
      i = child
    }
    items[i] = last
    return top
  }
}
