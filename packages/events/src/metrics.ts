/** The few measurements this package makes; `@skerry/service` offers them as Prometheus metrics. */
export type EventMetrics = {
  /** Events that wait for JetStream, counted up to a bound. */
  outboxDepth(count: number): void
  /** Events that JetStream acknowledged. */
  relayed(count: number): void
  /** Messages a consumer has still to apply. */
  consumerLag(consumer: string, count: number): void
  /** One handled message: its outcome is `applied`, `duplicate`, `retried` or `dead`; seconds from the event's time to its effect. */
  handled(consumer: string, subject: string, outcome: string, lagSeconds: number, eventId?: string): void
}

export const NO_METRICS: EventMetrics = { outboxDepth() {}, relayed() {}, consumerLag() {}, handled() {} }

/** The members of pino that are used here. */
export type Log = {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}
