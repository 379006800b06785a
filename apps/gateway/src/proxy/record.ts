import type { Logger } from '@skerry/service'
import type { Visit } from '../door/visit.ts'
import type { GatewayMetrics } from '../metrics.ts'

/** Counts an answer, and logs it where that is wanted: the access log. */
export function recordAnswer(deps: { metrics: GatewayMetrics; log: Logger }, visit: Visit, status: number): void {
  const ms = performance.now() - visit.startedAt
  deps.metrics.answered(visit.route, visit.method, status, ms / 1_000)
  if (!deps.log.isLevelEnabled('debug')) return
  const { traceId } = visit.trace
  const upstream = visit.route?.service
  deps.log.debug(
    { requestId: visit.id, traceId, userId: visit.caller?.userId, method: visit.method, upstream, status, ms },
    'request completed'
  )
}
