import { definePeriodicJob, type JobHandler, type Log, onIdempotentJob } from '@skerry/events'
import type { Store } from '@skerry/store'
import { findWaiting } from '../data/deletions.ts'
import { findParticipants } from '../data/participants.ts'

export const WatchDeletions = definePeriodicJob({
  service: 'auth',
  name: 'waiting',
  summary: 'Deletions that wait for a service are counted, and told of when they wait long.',
  everyMs: 60_000
})

/** Deletions counted at most, of each service. */
const LIMIT = 1_000
const LONG_MS = 3_600_000

export type WaitingDeps = {
  store: Store
  log: Log
  now(): number
  /** Deletions that wait for a service, counted up to 1,000. */
  measure(service: string, count: number): void
}

/** The job that shows operators for whom deletions wait. */
export function watchDeletionsJob({ store, log, now, measure }: WaitingDeps): JobHandler {
  return onIdempotentJob(WatchDeletions, async () => {
    for (const service of await findParticipants(store)) {
      const waiting = await findWaiting(store, service, LIMIT)
      measure(service, waiting.length)
      const [oldest] = waiting
      if (oldest === undefined || now() - oldest.requestedAt.getTime() < LONG_MS) continue
      const fields = { service, count: waiting.length, deletion: oldest._id, since: oldest.requestedAt.toISOString() }
      log.warn(
        fields,
        'account deletions are waiting for a service: check that it is running, and check its dead letters'
      )
    }
  })
}
