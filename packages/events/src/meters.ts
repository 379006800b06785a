import type { EventMetrics } from './metrics.ts'

/** The members of `@skerry/service`'s Metrics that are used here, so that this package need not depend on it. */
export type Meters = {
  gauge(name: string, help: string, labels?: readonly string[]): { set(...args: unknown[]): void }
  counter(name: string, help: string, labels?: readonly string[]): { inc(...args: unknown[]): void }
  histogram(name: string, help: string, labels?: readonly string[]): { observe(...args: unknown[]): void }
}

/** The measurements of relay and consumers as Prometheus metrics: `skerry_outbox_depth`, `skerry_consumer_lag`, `skerry_event_lag_seconds`. */
export function eventMetrics(meters: Meters): EventMetrics {
  const depth = meters.gauge('skerry_outbox_depth', 'Events that wait for JetStream.')
  const relayed = meters.counter('skerry_events_relayed_total', 'Events that JetStream acknowledged.')
  const lag = meters.gauge('skerry_consumer_lag', 'Messages a consumer has still to apply.', ['consumer'])
  const labels = ['consumer', 'subject', 'outcome']
  const handled = meters.histogram('skerry_event_lag_seconds', 'From an event to its effect, by outcome.', labels)
  return {
    outboxDepth: (count) => depth.set(count),
    relayed: (count) => relayed.inc(count),
    consumerLag: (consumer, count) => lag.set({ consumer }, count),
    handled: (consumer, subject, outcome, seconds) =>
      handled.observe({ consumer, subject, outcome }, Math.max(0, seconds))
  }
}
