import type { EventMetrics } from '@skerry/events'
import type { Metrics } from '@skerry/service'

/** The measurements of relay and consumers as Prometheus metrics. */
export function eventMetrics(metrics: Metrics): EventMetrics {
  const depth = metrics.gauge('skerry_outbox_depth', 'Events that wait for JetStream.')
  const relayed = metrics.counter('skerry_events_relayed_total', 'Events that JetStream acknowledged.')
  const lag = metrics.gauge('skerry_consumer_lag', 'Messages a consumer has still to apply.', ['consumer'])
  const labels = ['consumer', 'subject', 'outcome'] as const
  const handled = metrics.histogram('skerry_event_lag_seconds', 'From an event to its effect, by outcome.', labels)
  return {
    outboxDepth: (count) => depth.set(count),
    relayed: (count) => relayed.inc(count),
    consumerLag: (consumer, count) => lag.set({ consumer }, count),
    handled: (consumer, subject, outcome, seconds) =>
      handled.observe({ consumer, subject, outcome }, Math.max(0, seconds))
  }
}
