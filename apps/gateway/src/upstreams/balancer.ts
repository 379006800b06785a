import { Dispatcher } from 'undici'
import { Attempts } from './attempts.ts'
import { type Instance, Upstream, type UpstreamOptions } from './upstream.ts'

/** A request to one of a service's instances. */
export type BalancedRequest = Dispatcher.DispatchOptions & {
  /** The service's name. */
  origin: string
  /** May be sent again although it was sent before: idempotent by its method or its `Idempotency-Key`. */
  repeatable: boolean
  /** The answer does not end by itself. */
  stream: boolean
}

export type BalancerEvents = {
  /** An instance could not be reached or broke off, and is passed over for so long. */
  ejected(upstream: Upstream, error: Error, pauseMs: number): void
  retried(upstream: Upstream): void
}

/**
 * An undici Dispatcher over the live instances of all services. Of two instances drawn at random it prefers the one where a request costs
 * less, work in line × latency (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001); one that failed is passed
 * over for a growing time, but never so that none is left. A request is sent to another instance when it was never sent, or is
 * repeatable and no part of an answer has come; `onRequestStart` of the handler is then called again.
 */
export class Balancer extends Dispatcher {
  private readonly services = new Map<string, Upstream[]>()
  private readonly options: UpstreamOptions
  private readonly retries: number
  private readonly events: BalancerEvents

  constructor(options: UpstreamOptions & { retries: number }, events: BalancerEvents) {
    super()
    this.options = options
    this.retries = options.retries
    this.events = events
  }

  override dispatch(options: Dispatcher.DispatchOptions, handler: Dispatcher.DispatchHandler): boolean {
    new Attempts(this, options as BalancedRequest, handler, this.retries, this.events).next()
    return true
  }

  /** The instances of a service, live ones only. */
  upstreamsOf(service: string): readonly Upstream[] {
    return this.services.get(service) ?? []
  }

  all(): Iterable<readonly [service: string, upstreams: readonly Upstream[]]> {
    return this.services
  }

  /** Which instance to ask; one of `tried` only where nobody takes it in mind. `away` and `full` say why there is none. */
  pick(service: string, stream: boolean, tried?: readonly Upstream[]): Upstream | 'away' | 'full' {
    const upstreams = this.services.get(service)
    if (upstreams === undefined || upstreams.length === 0) return 'away'
    const now = performance.now()
    const count = upstreams.length
    const first = Math.floor(Math.random() * count)
    const a = upstreams[first]!
    if (count > 1) {
      const b = upstreams[(first + 1 + Math.floor(Math.random() * (count - 1))) % count]!
      const better = preferred(a, b, stream, now)
      const other = better === a ? b : a
      if (usable(better, stream, now, tried)) return better
      if (usable(other, stream, now, tried)) return other
    } else if (usable(a, stream, now, tried)) return a
    return this.search(upstreams, stream, now, tried)
  }

  /** The slow way: any that is well, else the one whose pause ends first. */
  private search(upstreams: readonly Upstream[], stream: boolean, now: number, tried?: readonly Upstream[]) {
    let soonest: Upstream | undefined
    let full = false
    for (const upstream of upstreams) {
      if (tried?.includes(upstream) === true) continue
      if (!upstream.accepts(stream)) full = true
      else if (upstream.skipped <= now) return upstream
      else if (soonest === undefined || upstream.skipped < soonest.skipped) soonest = upstream
    }
    return soonest ?? (full ? 'full' : 'away')
  }

  /** Takes in who is live now; connections to those that are gone close when their requests have ended. */
  update(instances: readonly Instance[]): void {
    const gone = new Map<string, Upstream>()
    for (const [service, upstreams] of this.services)
      for (const one of upstreams) gone.set(`${service} ${one.url}`, one)
    const known = new Map(gone)
    this.services.clear()
    for (const instance of instances) {
      const key = `${instance.service} ${instance.url}`
      const upstream = known.get(key) ?? new Upstream(instance, this.options)
      known.set(key, upstream)
      if (!gone.delete(key) && this.services.get(instance.service)?.includes(upstream) === true) continue
      upstream.reweigh(instance.weight)
      const upstreams = this.services.get(instance.service)
      if (upstreams === undefined) this.services.set(instance.service, [upstream])
      else upstreams.push(upstream)
    }
    for (const upstream of gone.values()) upstream.close().catch(() => upstream.destroy())
  }

  override async close(): Promise<void> {
    const upstreams = [...this.services.values()].flat()
    this.services.clear()
    await Promise.all(upstreams.map((upstream) => upstream.close()))
  }

  override async destroy(): Promise<void> {
    const upstreams = [...this.services.values()].flat()
    this.services.clear()
    await Promise.all(upstreams.map((upstream) => upstream.destroy()))
  }
}

/**
 * The one that costs less, mostly: with twice the other's cost one is still drawn in a fifth of cases. Always taking the lesser would
 * send everybody to whoever was luckier last, and never find out that the other has recovered.
 */
function preferred(a: Upstream, b: Upstream, stream: boolean, now: number): Upstream {
  const costA = a.cost(stream, now) ** 2
  const costB = b.cost(stream, now) ** 2
  return Math.random() * (costA + costB) < costA ? b : a
}

function usable(upstream: Upstream, stream: boolean, now: number, tried: readonly Upstream[] | undefined): boolean {
  return upstream.skipped <= now && upstream.accepts(stream) && tried?.includes(upstream) !== true
}
