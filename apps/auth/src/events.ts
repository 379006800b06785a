import { SessionRevoked } from '@skerry/contracts'
import {
  answerFormerNames,
  cleanUp,
  eventMetrics,
  type Log,
  onIdempotent,
  startConsumer,
  startJobs,
  startRelay,
  together
} from '@skerry/events'
import type { Checks, Metrics, NatsConnection } from '@skerry/service'
import type { Store } from '@skerry/store'
import { expireSessionsJob } from './domain/expire-sessions.ts'
import { findFormerNames } from './domain/former-names.ts'
import { watchDeletionsJob } from './domain/waiting.ts'
import type { Publisher } from './revocations.ts'
import { startSagas } from './sagas.ts'

export type EventsOptions = {
  nc: NatsConnection
  instance: string
  log: Log
  metrics: Metrics
  publisher: Publisher
  accessTtlMs: number
  leaseMs?: number
  jobsTickMs?: number
  /** Epoch milliseconds. */
  now?: () => number
}

/** Publishes what this service's outbox holds, makes sure that every ended session gets into the bucket `identity`, and hears what erasures and exports are answered. */
export async function startEvents(
  store: Store,
  options: EventsOptions
): Promise<{ checks: Checks; stop(): Promise<void> }> {
  const { publisher, accessTtlMs, now = Date.now } = options
  const shared = { ...options, store, service: 'auth', metrics: eventMetrics(options.metrics) }
  const waiting = options.metrics.gauge(
    'skerry_deletions_waiting',
    'Deletions of accounts that wait for a service, as the instance that counted last saw them.',
    ['service']
  )
  const parts = {
    relay: startRelay({ ...shared, partitions: 1 }),
    revocations: startConsumer({
      ...shared,
      purpose: 'revocations',
      replays: 'safe',
      subscriptions: [
        onIdempotent(SessionRevoked, async ({ data, time }) => {
          const until = Date.parse(time) + accessTtlMs
          if (until > Date.now()) await publisher.revoke(data.sessionId, Math.ceil(until / 1000))
        })
      ]
    }),
    ...startJobs({
      ...shared,
      handlers: [
        cleanUp(store, 'auth'),
        expireSessionsJob({ store, now }),
        watchDeletionsJob({
          store,
          log: options.log,
          now,
          measure: (service, count) => waiting.set({ service }, count)
        })
      ],
      now,
      ...(options.jobsTickMs === undefined ? {} : { tickMs: options.jobsTickMs })
    })
  }
  const events = together(parts)
  const sagas = await startSagas({ ...shared, now })
  const names = answerFormerNames(options.nc, { ...shared, page: (after) => findFormerNames(store, after) })
  return {
    checks: events.checks,
    async stop() {
      names.stop()
      await Promise.all([events.stop(), sagas.stop()])
    }
  }
}
