import type { Metrics, RouteRecorder } from '@skerry/service'

/** What is counted by: a route that a service announced. */
export type CountedRoute = { readonly service: string; readonly path: string }

/** The instances of each service, as far as they are shown. */
export type ShownInstances = {
  all(): Iterable<
    readonly [
      service: string,
      instances: readonly {
        readonly id: string
        readonly inFlight: number
        readonly circuit: { readonly isOpen: boolean }
      }[]
    ]
  >
}

/** How each service's limit stands, and who waits for it. */
export type ShownLimits = {
  services(): Iterable<
    readonly [service: string, { readonly waiting: number; readonly gradient: { readonly limit: number } }]
  >
}

/**
 * What the gateway counts besides its process. No label has more values than there are services, routes or policies, and of gauges instances: those
 * come and go for as long as the gateway runs, and a counter would keep each for ever.
 */
export type GatewayMetrics = {
  /** An answer went out; `route` is undefined where no service answers the path. */
  answered(route: CountedRoute | undefined, method: string, status: number, seconds: number): void
  limited(policy: string): void
  /** A policy of `policies/` refused a request. */
  refusedBy(policy: string): void
  retried(service: string): void
  hedged(service: string): void
  hedgeLost(service: string): void
  ejected(service: string, reason: string): void
  moved(service: string, count: number): void
  shed(reason: string, priority: string): void
  /** A request was refused for want of memory for its body. */
  bodyRefused(): void
  /** An answer was broken off because its client does not read it. */
  unread(): void
  /** An answer was broken off because its client took it too slowly. */
  tooSlow(reason: string): void
  /** Shows how much waits for slow clients. */
  watchSpool(spool: { readonly bytes: number; readonly held: number }): void
  /** Shows how many requests have bodies that pass through. */
  watchStreamed(places: { readonly taken: number }): void
  /** An HTTP/2 connection was ended by a bound. */
  http2Ended(reason: string): void
  /** Shows how the services and this process stand. */
  watchOverload(overload: ShownLimits): void
}

const NO_ROUTE = {}
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])

export function createGatewayMetrics(
  metrics: Metrics,
  balancer: ShownInstances,
  streams: { readonly size: number }
): GatewayMetrics {
  const durations = metrics.durations(
    'skerry_gateway_request_duration_seconds',
    'Time to answer, by service, route, method and status.'
  )
  const limited = metrics.counter('skerry_gateway_limited_total', 'Requests refused by a rate limit.', ['policy'])
  const refusedByPolicy = metrics.counter('skerry_gateway_refused_total', 'Requests refused by a policy.', ['policy'])
  const retried = metrics.counter('skerry_gateway_retries_total', 'Requests sent to a further instance.', ['upstream'])
  const hedged = metrics.counter('skerry_gateway_hedges_total', 'Late requests sent to a second instance as well.', [
    'upstream'
  ])
  const hedgeLost = metrics.counter(
    'skerry_gateway_hedges_lost_total',
    'Hedges that the first instance was quicker than.',
    ['upstream']
  )
  const ejected = metrics.counter('skerry_gateway_ejections_total', 'Upstream ejections.', ['upstream', 'reason'])
  const moved = metrics.counter(
    'skerry_gateway_streams_moved_total',
    'Live streams ended because their upstream went silent.',
    ['upstream']
  )
  const bodiesRefused = metrics.counter(
    'skerry_gateway_bodies_refused_total',
    'Requests refused for want of memory for their bodies.'
  )
  const unread = metrics.counter('skerry_gateway_unread_total', 'Answers broken off because nobody read them.')
  const http2Ended = metrics.counter('skerry_gateway_http2_ended_total', 'HTTP/2 connections ended by a bound.', [
    'reason'
  ])
  const tooSlow = metrics.counter(
    'skerry_gateway_slow_answers_cut_total',
    'Answers broken off because their clients took them too slowly.',
    ['reason']
  )
  const shed = metrics.counter('skerry_gateway_shed_total', 'Requests refused under overload.', ['reason', 'priority'])
  metrics.gauge('skerry_gateway_live_instances', 'Instances that take traffic.', ['upstream'], (gauge) => {
    gauge.reset()
    for (const [service, upstreams] of balancer.all()) gauge.set({ upstream: service }, upstreams.length)
  })
  metrics.gauge('skerry_gateway_in_flight', 'Requests under way, by instance.', ['upstream'], (gauge) => {
    gauge.reset()
    for (const [, upstreams] of balancer.all())
      for (const one of upstreams) gauge.set({ upstream: one.id }, one.inFlight)
  })
  metrics.gauge('skerry_gateway_open_circuits', 'Upstreams that are ejected now.', ['upstream'], (gauge) => {
    gauge.reset()
    for (const [, upstreams] of balancer.all())
      for (const one of upstreams) gauge.set({ upstream: one.id }, one.circuit.isOpen ? 1 : 0)
  })
  metrics.gauge('skerry_gateway_streams', 'Open live streams.', [], (gauge) => gauge.set(streams.size))

  const recorders = new WeakMap<object, Map<string, RouteRecorder>>()
  return {
    answered(route, method, status, seconds) {
      let byMethod = recorders.get(route ?? NO_ROUTE)
      if (byMethod === undefined) {
        byMethod = new Map()
        recorders.set(route ?? NO_ROUTE, byMethod)
      }
      // Others are whatever a client writes.
      const known = METHODS.has(method) ? method : 'other'
      let recorder = byMethod.get(known)
      if (recorder === undefined) {
        recorder = durations.recorder({
          upstream: route?.service ?? 'none',
          route: route?.path ?? 'none',
          method: known
        })
        byMethod.set(known, recorder)
      }
      recorder(status, seconds)
    },
    limited: (policy) => limited.inc({ policy }),
    refusedBy: (policy) => refusedByPolicy.inc({ policy }),
    retried: (service) => retried.inc({ upstream: service }),
    hedged: (service) => hedged.inc({ upstream: service }),
    hedgeLost: (service) => hedgeLost.inc({ upstream: service }),
    ejected: (service, reason) => ejected.inc({ upstream: service, reason }),
    moved: (service, count) => moved.inc({ upstream: service }, count),
    shed: (reason, priority) => shed.inc({ reason, priority }),
    bodyRefused: () => bodiesRefused.inc(),
    unread: () => unread.inc(),
    tooSlow: (reason) => tooSlow.inc({ reason }),
    watchSpool(spool) {
      metrics.gauge('skerry_gateway_spool_bytes', 'Bytes of answers that wait for slow clients.', [], (gauge) =>
        gauge.set(spool.bytes)
      )
      metrics.gauge('skerry_gateway_held_connections', 'Connections to services held by slow clients.', [], (gauge) =>
        gauge.set(spool.held)
      )
    },
    watchStreamed(places) {
      metrics.gauge('skerry_gateway_streamed_bodies', 'Requests whose bodies pass through.', [], (gauge) =>
        gauge.set(places.taken)
      )
    },
    http2Ended: (reason) => http2Ended.inc({ reason }),
    watchOverload(overload) {
      metrics.gauge(
        'skerry_gateway_concurrency_limit',
        'Requests a service may have at once.',
        ['upstream'],
        (gauge) => {
          gauge.reset()
          for (const [upstream, gate] of overload.services()) gauge.set({ upstream }, gate.gradient.limit)
        }
      )
      metrics.gauge('skerry_gateway_waiting', 'Requests that wait for a place in a service.', ['upstream'], (gauge) => {
        gauge.reset()
        for (const [upstream, gate] of overload.services()) gauge.set({ upstream }, gate.waiting)
      })
    }
  }
}
