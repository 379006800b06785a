import type { Priority } from '@skerry/contracts'
import { readConfig } from '../../src/config.ts'
import { createOverload, type Overload } from '../../src/overload/overload.ts'

/** One part of the traffic: its share, and how long a worker is busy with one request, ms. */
export type Kind = { readonly share: number; readonly priority: Priority; readonly serviceMs: number }

/** What happens during one phase. */
export type Phase = {
  readonly seconds: number
  /** Requests a second. */
  readonly rate: number
  readonly workers: number
  /** Times which everything takes longer. */
  readonly slower?: number
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
type Request = { kind: Kind; came: number; entered: number; overload: Overload }

/**
 * A service of so many workers with a queue that has no end, behind `createOverload`, on a clock of its own: requests come as a Poisson
 * process, whatever becomes of them. What is measured is what clients see, waiting at the gateway included. `protect: false` lets all in;
 * with several `gateways` each request comes through any of them.
 */
export function simulate(
  phases: readonly Phase[],
  options: { seed?: number; env?: Record<string, string>; protect?: boolean; gateways?: number } = {}
): Seen[] {
  const { seed = 1, env = {}, protect = true, gateways = 1 } = options
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
  let busy = 0
  const queue: Request[] = []
  let head = 0
  let latencies: number[] = []
  let seen = newSeen()
  const results: Seen[] = []

  const begin = (request: Request) => {
    busy++
    const ms = request.kind.serviceMs * (phase.slower ?? 1) * (0.9 + random() * 0.2)
    after(ms, () => {
      busy--
      seen.answered++
      latencies.push(now - request.came)
      while (busy < phase.workers && head < queue.length) begin(queue[head++]!)
      if (protect) request.overload.settle('service', now - request.entered, 'answered')
    })
  }
  const enter = (request: Request) => {
    request.entered = now
    if (busy < phase.workers) begin(request)
    else queue.push(request)
  }
  const arrive = () => {
    const kind = pick(phase.kinds ?? MIX, random())
    const overload = overloads[Math.floor(random() * gateways)]!
    const request = { kind, came: now, entered: now, overload }
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
