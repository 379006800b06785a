import { Dispatcher } from 'undici'
import { Call, type CallEvents, type CallHost } from './call.ts'
import { type EjectionOptions, ejects, outliers } from './ejection.ts'
import { DeadlineError, NoUpstreamError } from './errors.ts'
import type { LatencyWindow } from './latency.ts'
import { moveStreams } from './live-streams.ts'
import { RetryBudget } from './retry-budget.ts'
import { ServiceUpstreams } from './service-upstreams.ts'
import type { BalancedRequest, Failure } from './types.ts'
import { Upstream, type UpstreamInstance, type UpstreamOptions } from './upstream.ts'
import { Timer, Wheel } from './wheel.ts'
import { NOTHING_SENT } from './wire/pool.ts'

export type BalancerOptions = UpstreamOptions &
  EjectionOptions & {
    retries: number
    /** Further attempts as a share of requests, and how many from rest. */
    budgetShare: number
    budgetBurst: number
    /** Least delay of a hedge, ms; 0 for none. */
    hedgeMinMs: number
    /** Delay of a hedge while too little is known of a route, ms. */
    hedgeColdMs: number
    /** In this time the live streams of an instance that has gone silent are ended, ms. */
    streamMoveMs: number
    /** Copies for shadow versions that may be under way. */
    mirrorInFlight: number
  }

export type BalancerEvents = CallEvents & {
  /** An upstream is ejected, at first for so long. Told once, however often it is found to be no better. */
  ejected(upstream: Upstream, reason: Failure, pauseMs: number): void
  /** It has answered again. */
  back(upstream: Upstream, awayMs: number): void
  /** Live streams of an instance that has gone silent were ended. */
  moved(upstream: Upstream, count: number): void
}

/** Answers of which so many are known tell what is slow. */
const ENOUGH = 50
/** Hedges lost in a row, and for how long at least, until an instance counts as hung: longer than a garbage collection. */
const LOST_IN_ROW = 5
const LOST_FOR_MS = 250
const OUTLIERS_EVERY_MS = 1_000
/** Active checks without an answer, in a row, until live streams are ended: one may be the fault of who asks. */
const SILENT_CHECKS = 2

/**
 * The undici Dispatcher over the live instances of all services: it selects, ejects, retries, hedges and keeps deadlines, each in a file
 * of its own beside this one. `Call` is one request on its way through them.
 */
export class Balancer extends Dispatcher implements CallHost {
  readonly options: BalancerOptions
  readonly events: BalancerEvents
  readonly wheel = new Wheel()
  private readonly services = new Map<string, ServiceUpstreams>()
  /** Instances that are no more, or not announced any more, and serve streams still, or are to. */
  private readonly gone = new Set<Upstream>()
  private readonly timer: NodeJS.Timeout
  private mirroring = 0

  constructor(options: BalancerOptions, events: BalancerEvents) {
    super()
    this.options = options
    this.events = events
    this.timer = setInterval(() => this.ejectOutliers(performance.now()), OUTLIERS_EVERY_MS).unref()
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    this.call(options as unknown as BalancedRequest, handler)
    return true
  }

  /** As `dispatch`, in its own terms. Answers the call, by which it can be aborted before it was sent; undefined when nobody is there. */
  call(request: BalancedRequest, handler: Dispatcher.DispatchHandler, now = performance.now()): Call | undefined {
    const service = this.services.get(request.origin)
    if (service === undefined || service.size === 0) {
      handler.onResponseError?.(NOTHING_SENT, new NoUpstreamError(request.origin, 'away'))
      return undefined
    }
    const call = new Call(this, service, request, handler)
    call.start(now)
    return call
  }

  /**
   * Sends a copy of a request to an instance of a version, for nobody to hear: its answer is thrown away, and nothing of it counts for or
   * against anybody. Copies beyond the bound are not sent.
   */
  mirror(request: BalancedRequest, version: string): boolean {
    const upstreams = this.services.get(request.origin)?.of(version) ?? []
    if (upstreams.length === 0 || this.mirroring >= this.options.mirrorInFlight) return false
    const upstream = upstreams[Math.floor(Math.random() * upstreams.length)]!
    this.mirroring++
    const headers = [...request.headers, 'x-skerry-mirror', '1']
    const late = new Timer(() => {
      if (controller === undefined) upstream.withdraw(false, handler)
      else controller.abort(new DeadlineError())
      end()
    })
    let controller: Dispatcher.DispatchController | undefined
    let over = false
    const end = () => {
      if (over) return
      over = true
      this.mirroring--
      this.wheel.stop(late)
    }
    this.wheel.start(late, performance.now() + request.timeoutMs)
    const { method, path, common, body } = request
    const handler: Dispatcher.DispatchHandler = {
      onRequestStart: (started) => {
        controller = started
        if (over) started.abort(new DeadlineError())
      },
      onResponseStart: () => undefined,
      onResponseData: () => undefined,
      onResponseEnd: end,
      onResponseError: end
    }
    upstream.dispatch({ method, path, common, headers, body }, false, handler)
    return true
  }

  /** A live service. */
  service(name: string): ServiceUpstreams | undefined {
    const service = this.services.get(name)
    return service === undefined || service.size === 0 ? undefined : service
  }

  *all(): Iterable<readonly [service: string, upstreams: readonly Upstream[]]> {
    for (const [name, service] of this.services) if (service.size > 0) yield [name, service.all]
  }

  /** Who is to be checked: all, and those that are not announced any more while they serve streams. */
  *checked(): Iterable<Upstream> {
    for (const [, upstreams] of this.all()) yield* upstreams
    for (const upstream of this.gone) {
      if (upstream.streams === 0) this.gone.delete(upstream)
      else yield upstream
    }
  }

  /** How long to wait before a hedge, ms: what 19 of 20 answers take. */
  hedgeAfter(latencies: LatencyWindow | undefined): number {
    const { hedgeMinMs, hedgeColdMs } = this.options
    if (hedgeMinMs === 0 || latencies === undefined) return Number.POSITIVE_INFINITY
    return latencies.observed < ENOUGH ? hedgeColdMs : Math.max(hedgeMinMs, latencies.quantile(0.95))
  }

  /** A failure of an instance: remembered, and a reason to eject it perhaps. `pauseMs` is what it asked for itself. */
  failed(
    service: ServiceUpstreams,
    upstream: Upstream,
    failure: Failure,
    tookMs: number,
    now: number,
    pauseMs = 0
  ): void {
    if (failure === 'slow') {
      // Costs it its share at once; ejected it is only when it answers nobody for a while.
      upstream.slower(tookMs, now)
      const { lostHedges: streak } = upstream
      if (streak === undefined || upstream.answeredAt > streak.since) upstream.lostHedges = { lost: 1, since: now }
      else if (++streak.lost >= LOST_IN_ROW && now - streak.since >= LOST_FOR_MS)
        this.eject(service, upstream, 'hung', now)
      return
    }
    upstream.failed(tookMs, now)
    const opened = upstream.circuit.isOpen
    // A probe that fails needs no further reason.
    if (opened || pauseMs > 0 || ejects(upstream, service.all, failure, this.options)) {
      if (!opened && pauseMs > 0 && !ejects(upstream, service.all, 'slow', this.options)) return
      this.eject(service, upstream, failure, now, pauseMs)
    }
  }

  /** An active check found an instance unreachable or hung (`hung`), or not ready (`status`). */
  checkFailed(upstream: Upstream, failure: 'hung' | 'status' | 'refused', now: number): void {
    upstream.checkFailed = true
    upstream.unanswered = failure === 'status' ? 0 : upstream.unanswered + 1
    const service = this.services.get(upstream.service)
    if (service === undefined) return
    this.sendElsewhere(service, upstream)
    if (this.gone.has(upstream)) return
    const enough = failure === 'status' ? 'slow' : failure
    if (upstream.circuit.isOpen || ejects(upstream, service.all, enough, this.options))
      this.eject(service, upstream, failure, now)
  }

  checkSucceeded(upstream: Upstream, now: number): void {
    upstream.unanswered = 0
    if (!upstream.checkFailed) return
    upstream.checkFailed = false
    upstream.circuit.wake(now)
  }

  /** Ends the live streams of an instance that is silent, as long as it is and somebody else is well. */
  private sendElsewhere(service: ServiceUpstreams, upstream: Upstream): void {
    const isWell = (one: Upstream) => one !== upstream && !one.checkFailed && one.accepts(true)
    moveStreams(upstream, {
      withinMs: this.options.streamMoveMs,
      mayMove: () => upstream.unanswered >= SILENT_CHECKS && service.all.some(isWell),
      onMoved: (count) => this.events.moved(upstream, count)
    })
  }

  private eject(service: ServiceUpstreams, upstream: Upstream, failure: Failure, now: number, pauseMs = 0): void {
    const { ejectMs, ejectLongestMs } = this.options
    // With nobody else to ask it is tried again sooner.
    const left = service.all.every((one) => one === upstream || one.circuit.isOpen)
    const most = left ? Math.max(ejectMs, ejectLongestMs / 2) : undefined
    const pause = upstream.circuit.open(now, Math.min(pauseMs, ejectLongestMs), most)
    if (pause === 0) return
    upstream.unreachable = failure === 'refused'
    if (Number.isNaN(upstream.ejectedSince)) {
      upstream.ejectedSince = now
      this.events.ejected(upstream, failure, pause)
    }
    if (failure === 'hung') for (const waiting of [...upstream.waiting]) waiting.evacuate()
  }

  private ejectOutliers(now: number): void {
    for (const service of this.services.values()) {
      for (const upstream of service.all) upstream.circuit.sweep(now)
      for (const upstream of outliers(service.all, now, this.options))
        if (ejects(upstream, service.all, 'slow', this.options)) this.eject(service, upstream, 'slow', now)
    }
  }

  /** Takes in who is live now; connections to those that are gone close when their requests have ended. */
  update(instances: readonly UpstreamInstance[]): void {
    const now = performance.now()
    const gone = new Map<string, Upstream>()
    for (const [, upstreams] of this.all()) for (const one of upstreams) gone.set(keyOf(one.instance), one)
    const known = new Map(gone)
    const live = new Map<string, Upstream[]>()
    for (const instance of instances) {
      const key = keyOf(instance)
      const upstream = known.get(key) ?? new Upstream(instance, this.options, now, this.events.back)
      gone.delete(key)
      const list = live.get(instance.service)
      if (list?.includes(upstream) === true) continue
      known.set(key, upstream)
      upstream.update(instance, now)
      if (list === undefined) live.set(instance.service, [upstream])
      else list.push(upstream)
    }
    for (const [name, service] of this.services) if (!live.has(name)) service.set([])
    for (const [name, upstreams] of live) {
      let service = this.services.get(name)
      if (service === undefined) {
        service = new ServiceUpstreams(name, new RetryBudget(this.options.budgetShare, this.options.budgetBurst))
        this.services.set(name, service)
      }
      service.set(upstreams)
      // Better one that failed than none: who is left is asked again at once.
      if (upstreams.every((one) => one.circuit.isOpen)) for (const one of upstreams) one.circuit.wake(now)
    }
    for (const upstream of gone.values()) {
      if (upstream.streams > 0) this.gone.add(upstream)
      upstream.close().catch(() => upstream.destroy())
    }
  }

  override async close(): Promise<void> {
    await Promise.all(this.end().map((upstream) => upstream.close()))
  }

  override async destroy(): Promise<void> {
    await Promise.all(this.end().map((upstream) => upstream.destroy()))
  }

  private end(): Upstream[] {
    clearInterval(this.timer)
    const upstreams = [...this.services.values()].flatMap((service) => service.all)
    for (const service of this.services.values()) service.set([])
    return upstreams
  }
}

/** The same process at the same place: another version there is another instance. */
function keyOf({ service, url, version }: UpstreamInstance): string {
  return `${service} ${url} ${version}`
}
