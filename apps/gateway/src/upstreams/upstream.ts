import type { Dispatcher } from 'undici'
import { Pool } from 'undici'
import { Circuit } from './circuit.ts'
import type { LiveStream } from './types.ts'
import { isSource, readableOf } from './wire/body.ts'
import { DEADLINE, type WireRequest } from './wire/connection.ts'
import { WirePool } from './wire/pool.ts'

/** One live instance of a service, as the registry or a fixed list tells of it. */
export type UpstreamInstance = {
  readonly service: string
  readonly instance: string
  readonly version: string
  readonly url: string
  readonly weight: number
  readonly zone?: string | undefined
  /** Its operations port, where `/readyz` is. */
  readonly ops?: string | undefined
}

export type UpstreamOptions = {
  connections: number
  maxInFlight: number
  maxStreams: number
  connectTimeoutMs: number
  ejectMs: number
  ejectLongestMs: number
  slowStartMs: number
  /** Where this gateway runs; instances elsewhere cost more. */
  zone: string | undefined
  /** PEM of the authorities that sign instances' certificates, for `https://` instances; else those of the system. */
  ca: string | undefined
}

/** In this time the memory of past latencies fades to about a third. */
const FADE_MS = 5_000
/** Below this, latencies differ by chance: then only the work in line counts. It is also what an instance without a past is taken for. */
const LEAST_MS = 5
/** A failure in an instant must not look like a quick answer: it counts as this many times what answers take, up to a bound. */
const FAILED_TIMES = 4
const WORST_MS = 10_000
/** What a request would have taken here that a hedge answered first is unknown, but so many times what it waited is a fair guess. */
const LATE_TIMES = 4
/** What an instance in another zone costs beside one here. */
const ELSEWHERE = 2
const SLOW_START_FROM = 0.1
const IDLE_MS = 4_000

/** What of undici's pool and ours is the same. */
type Connections = {
  dispatch(request: WireRequest, handler: Dispatcher.DispatchHandler): void
  close(): Promise<void>
  destroy(): void | Promise<void>
}

/** Something that waits for the answer of an instance. */
export type Waiting = {
  /** Where it stands among those that wait there; -1: it does not. */
  place: number
  /** The instance hangs. */
  evacuate(): void
}

/** One instance: its connections, its load, and how it has been doing. */
export class Upstream {
  readonly id: string
  readonly url: string
  readonly service: string
  readonly version: string
  readonly circuit: Circuit
  instance: UpstreamInstance
  inFlight = 0
  streams = 0
  /**
   * Attempts that have had no answer yet, in no order. A list rather than a Set: as requests come and go a Set makes new tables, and each old
   * one keeps what was in it alive until the next collection of all memory (8 µs a request).
   */
  readonly waiting: Waiting[] = []
  /** When it last answered anybody, `performance.now()`. */
  answeredAt = -Infinity
  /** Hedges that answered sooner than it since it last answered anybody, and since when. */
  lostHedges: { lost: number; since: number } | undefined
  failuresInRow = 0
  /** Share of failed answers, exponentially weighted by answers. */
  failureRate = 0
  latencyMs = 0
  /** The last active check failed: probes wait until one succeeds. */
  checkFailed = false
  /** Active checks in a row that it did not answer at all. */
  unanswered = 0
  /** Live streams that it serves, the oldest first; and whether they are being ended. */
  readonly live = new Set<LiveStream>()
  moving = false
  /** Why it is ejected: no connection could be made to it. Only then is it no help when nobody else is left. */
  unreachable = false
  /** Since when it is ejected, however often its pause has been over; NaN while it is not. */
  ejectedSince = Number.NaN
  private readonly options: UpstreamOptions
  private readonly onBack: ((upstream: Upstream, awayMs: number) => void) | undefined
  private readonly requests: Connections
  /** Streams hold their connection for hours, so they must not take those of requests. */
  private readonly streaming: Connections
  private measuredAt = -Infinity
  private readonly since: number
  private distance = 1

  /** @param onBack is told when it answers again after it was ejected */
  constructor(instance: UpstreamInstance, options: UpstreamOptions, now: number, onBack?: Upstream['onBack']) {
    this.onBack = onBack
    this.id = `${instance.service}.${instance.instance}`
    this.url = instance.url
    this.service = instance.service
    this.version = instance.version
    this.options = options
    this.since = now
    this.circuit = new Circuit({ firstMs: options.ejectMs, longestMs: options.ejectLongestMs })
    this.requests = connectionsTo(instance.url, options, options.connections)
    this.streaming = connectionsTo(instance.url, options, Number.POSITIVE_INFINITY)
    this.instance = instance
    this.update(instance, now)
  }

  update(instance: UpstreamInstance, now: number): void {
    if (instance.instance !== this.instance.instance) {
      // Another process at the same place: what was found out about the one before says nothing of it.
      this.checkFailed = false
      this.circuit.wake(now)
    }
    this.instance = instance
    const { zone } = this.options
    this.distance = zone !== undefined && instance.zone !== undefined && instance.zone !== zone ? ELSEWHERE : 1
  }

  dispatch(request: WireRequest, stream: boolean, handler: Dispatcher.DispatchHandler): void {
    const connections = stream ? this.streaming : this.requests
    connections.dispatch(request, handler)
  }

  /** Takes back a request that still waits for a connection. */
  withdraw(stream: boolean, handler: Dispatcher.DispatchHandler): boolean {
    const connections = stream ? this.streaming : this.requests
    return connections instanceof WirePool && connections.withdraw(handler)
  }

  await(attempt: Waiting): void {
    attempt.place = this.waiting.push(attempt) - 1
  }

  /** It has its answer, or wants none. The last one takes its place. */
  awaitNoMore(attempt: Waiting): void {
    const { place } = attempt
    if (place === -1) return
    attempt.place = -1
    const last = this.waiting.pop()!
    if (last === attempt) return
    this.waiting[place] = last
    last.place = place
  }

  /** Room for one more. */
  accepts(stream: boolean): boolean {
    return stream ? this.streams < this.options.maxStreams : this.inFlight < this.options.maxInFlight
  }

  /** Whether its pause is over and a request may find out how it is. */
  mayProbe(now: number): boolean {
    return !this.checkFailed && this.circuit.allows(now)
  }

  /** What one more request would cost here: work in line × time for each, for its weight. Streams count by their number. */
  cost(stream: boolean, now: number): number {
    const share = (this.instance.weight * this.warmth(now)) / this.distance
    if (stream) return (this.streams + 1) / share
    const faded = this.latencyMs * Math.exp((this.measuredAt - now) / FADE_MS)
    return ((this.inFlight + 1) * Math.max(LEAST_MS, faded)) / share
  }

  /** From a tenth to all of its weight, over `slowStartMs` after it came or came back. */
  private warmth(now: number): number {
    const age = now - Math.max(this.since, this.circuit.closedAt)
    const { slowStartMs } = this.options
    return age >= slowStartMs ? 1 : Math.max(SLOW_START_FROM, age / slowStartMs)
  }

  /** It answered: an exponentially weighted mean by time, which follows fast when answers get slower. */
  answered(tookMs: number, now: number): void {
    this.answeredAt = now
    this.failuresInRow = 0
    this.failureRate *= 0.9
    this.took(tookMs, now)
    this.circuit.close(now)
    if (!Number.isNaN(this.ejectedSince) && !this.circuit.isOpen) {
      const awayMs = now - this.ejectedSince
      this.ejectedSince = Number.NaN
      this.onBack?.(this, awayMs)
    }
  }

  /** Somebody else answered a request sooner that had been here for so long. */
  slower(waitedMs: number, now: number): void {
    this.took(Math.min(WORST_MS, Math.max(waitedMs, LEAST_MS) * LATE_TIMES), now)
  }

  /** It failed. The cost of that keeps others away even before it is ejected. */
  failed(tookMs: number, now: number): void {
    this.failuresInRow++
    this.failureRate = this.failureRate * 0.9 + 0.1
    this.took(Math.min(WORST_MS, Math.max(tookMs, Math.max(LEAST_MS, this.latencyMs) * FAILED_TIMES)), now)
  }

  /** Its latency says something about now. */
  measured(now: number): boolean {
    return now - this.measuredAt < FADE_MS
  }

  /** It serves nobody, and has not for so long. */
  isQuiet(now: number, quietMs: number): boolean {
    return this.inFlight === 0 && this.streams === 0 && now - this.measuredAt > quietMs
  }

  private took(tookMs: number, now: number): void {
    const kept = Math.exp((this.measuredAt - now) / FADE_MS)
    this.latencyMs =
      tookMs > this.latencyMs ? (this.latencyMs + tookMs) / 2 : this.latencyMs * kept + tookMs * (1 - kept)
    this.measuredAt = now
  }

  /** Lets what is under way end, then closes the connections. */
  async close(): Promise<void> {
    await Promise.all([this.requests.close(), this.streaming.close()])
  }

  async destroy(): Promise<void> {
    await Promise.all([this.requests.destroy(), this.streaming.destroy()])
  }
}

/** Our own connections for plain HTTP; undici's where TLS is spoken, with certificates checked. */
function connectionsTo(url: string, options: UpstreamOptions, connections: number): Connections {
  const { connectTimeoutMs, ca } = options
  const origin = new URL(url)
  if (origin.protocol === 'http:') return new WirePool(origin, { connections, connectTimeoutMs, idleMs: IDLE_MS })
  const pool = new Pool(url, {
    connections: Number.isFinite(connections) ? connections : null,
    pipelining: 1,
    // Offered HTTP/2, many servers choose it. Paces, ends and bounds of all bodies here are those of connections with one request at a time.
    allowH2: false,
    keepAliveTimeout: IDLE_MS,
    keepAliveMaxTimeout: IDLE_MS,
    // The deadlines of `Call` hold for all.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { timeout: connectTimeoutMs, rejectUnauthorized: true, ...(ca === undefined ? {} : { ca }) }
  })
  return {
    dispatch: (request, handler) =>
      void pool.dispatch(
        {
          ...request,
          method: request.method as Dispatcher.HttpMethod,
          headers: headersForUndici(request),
          body: isSource(request.body) ? readableOf(request.body) : request.body
        },
        handler
      ),
    close: () => pool.close(),
    destroy: () => pool.destroy()
  }
}

/** undici says how a body is delimited only where it has it whole, and takes no word on connections. */
function headersForUndici({ common, headers, deadlineMs, body }: WireRequest): string[] {
  const list: string[] = common === undefined ? [] : [...common.pairs]
  for (let i = 0; i < headers.length; i += 2) if (headers[i] !== 'connection') list.push(headers[i]!, headers[i + 1]!)
  if (deadlineMs !== undefined) list.push(DEADLINE, String(deadlineMs))
  if (isSource(body) && body.length !== undefined) list.push('content-length', String(body.length))
  return list
}
