import type { Metrics } from '@skerry/service'
import type { OpenStreams } from './proxy/streams.ts'
import type { Balancer } from './upstreams/balancer.ts'

/** What the gateway counts besides its process. No label has more values than there are services, instances or policies. */
export type GatewayMetrics = {
  answered(service: string, method: string, status: number, seconds: number): void
  limited(policy: string): void
  retried(service: string): void
  ejected(upstream: string): void
}

type Child = { observe(seconds: number): void }

export function createGatewayMetrics(metrics: Metrics, balancer: Balancer, streams: OpenStreams): GatewayMetrics {
  const duration = metrics.histogram(
    'skerry_gateway_request_duration_seconds',
    'Time to answer, by service and status.',
    ['upstream', 'method', 'status']
  )
  const limited = metrics.counter('skerry_gateway_limited_total', 'Requests refused by a rate limit.', ['policy'])
  const retried = metrics.counter('skerry_gateway_retries_total', 'Requests sent to a further instance.', ['upstream'])
  const ejected = metrics.counter('skerry_gateway_ejections_total', 'Times an instance was passed over.', ['upstream'])
  metrics.gauge('skerry_gateway_live_instances', 'Instances that take traffic.', ['upstream'], (gauge) => {
    gauge.reset()
    for (const [service, upstreams] of balancer.all()) gauge.set({ upstream: service }, upstreams.length)
  })
  metrics.gauge('skerry_gateway_in_flight', 'Requests under way, by instance.', ['upstream'], (gauge) => {
    gauge.reset()
    for (const [, upstreams] of balancer.all())
      for (const one of upstreams) gauge.set({ upstream: one.id }, one.inFlight)
  })
  metrics.gauge('skerry_gateway_streams', 'Open live streams.', [], (gauge) => gauge.set(streams.size))

  const children = new Map<string, Child>()
  return {
    answered(service, method, status, seconds) {
      const key = `${service} ${method} ${status}`
      let child = children.get(key)
      if (child === undefined) {
        child = duration.labels(service, method, String(status))
        children.set(key, child)
      }
      child.observe(seconds)
    },
    limited: (policy) => limited.inc({ policy }),
    retried: (service) => retried.inc({ upstream: service }),
    ejected: (upstream) => ejected.inc({ upstream })
  }
}
