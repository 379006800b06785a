import { type Dispatcher, Pool } from 'undici'

/** One live instance of a service, as the registry tells of it. */
export type Instance = {
  readonly service: string
  readonly instance: string
  readonly url: string
  readonly weight: number
}

export type UpstreamOptions = {
  connections: number
  maxInFlight: number
  maxStreams: number
  connectTimeoutMs: number
  headersTimeoutMs: number
  idleTimeoutMs: number
  streamIdleTimeoutMs: number
  ejectMs: number
  ejectLongestMs: number
}

/** In this time the memory of past latencies fades to about a third. */
const FADE_MS = 5_000
/** Below this, latencies differ by chance: then only the work in line counts. It is also what an instance without a past is taken for. */
const LEAST_MS = 5

/** One instance: its connections, its load, and how it has been doing. */
export class Upstream {
  readonly id: string
  readonly url: string
  inFlight = 0
  streams = 0
  private weight: number
  private readonly options: UpstreamOptions
  private readonly requests: Pool
  /** Streams hold their connection for hours, so they must not take those of requests. */
  private readonly streaming: Pool
  private latency = 0
  private measuredAt = 0
  private failures = 0
  private skippedUntil = 0

  constructor(instance: Instance, options: UpstreamOptions) {
    this.id = `${instance.service}.${instance.instance}`
    this.url = instance.url
    this.weight = instance.weight
    this.options = options
    const shared: Pool.Options = {
      pipelining: 1,
      connectTimeout: options.connectTimeoutMs,
      headersTimeout: options.headersTimeoutMs,
      // Shorter than any service keeps its side open, so that a request never meets a connection that is just being closed.
      keepAliveTimeout: 4_000,
      keepAliveMaxTimeout: 4_000
    }
    this.requests = new Pool(instance.url, {
      ...shared,
      connections: options.connections,
      bodyTimeout: options.idleTimeoutMs
    })
    this.streaming = new Pool(instance.url, { ...shared, connections: null, bodyTimeout: options.streamIdleTimeoutMs })
  }

  reweigh(weight: number): void {
    this.weight = weight
  }

  dispatch(options: Dispatcher.DispatchOptions, stream: boolean, handler: Dispatcher.DispatchHandler): void {
    const pool = stream ? this.streaming : this.requests
    pool.dispatch(options, handler)
  }

  /** Room for one more. */
  accepts(stream: boolean): boolean {
    return stream ? this.streams < this.options.maxStreams : this.inFlight < this.options.maxInFlight
  }

  /** When it may be asked again, `performance.now()`; in the past while all is well. */
  get skipped(): number {
    return this.skippedUntil
  }

  /** What one more request would cost here: work in line × time for each, for its weight. Streams count by their number. */
  cost(stream: boolean, now: number): number {
    if (stream) return this.streams / this.weight
    const faded = this.latency * Math.exp((this.measuredAt - now) / FADE_MS)
    return ((this.inFlight + 1) * Math.max(LEAST_MS, faded)) / this.weight
  }

  /** It answered: an exponentially weighted mean by time, which follows fast when answers get slower. */
  answered(tookMs: number, now: number): void {
    this.failures = 0
    this.skippedUntil = 0
    const kept = Math.exp((this.measuredAt - now) / FADE_MS)
    this.latency = tookMs > this.latency ? (this.latency + tookMs) / 2 : this.latency * kept + tookMs * (1 - kept)
    this.measuredAt = now
  }

  /** It could not be reached or broke off. Answers for how long it is passed over; 0 when it is already. */
  failed(now: number): number {
    if (now < this.skippedUntil) return 0
    const pause = Math.min(this.options.ejectLongestMs, this.options.ejectMs * 2 ** Math.min(this.failures, 10))
    this.failures++
    this.skippedUntil = now + pause * (0.8 + Math.random() * 0.4)
    return pause
  }

  /** Lets what is under way end, then closes the connections. */
  async close(): Promise<void> {
    await Promise.all([this.requests.close(), this.streaming.close()])
  }

  async destroy(): Promise<void> {
    await Promise.all([this.requests.destroy(), this.streaming.destroy()])
  }
}
