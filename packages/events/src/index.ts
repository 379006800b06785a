import { leases } from '@skerry/store'
import { inbox } from './inbox.ts'
import { plannedJobs } from './jobs/planned.ts'
import { outbox } from './outbox.ts'
import { consumerStates } from './stream-consumer.ts'
import { streamStates } from './streams.ts'

export { type CleanUpOptions, cleanUp } from './clean-up.ts'
export { type ConsumerOptions, type Incoming, on, onIdempotent, type Subscription, startConsumer } from './consumer.ts'
export { type Envelope, fromHeaders, toHeaders } from './headers.ts'
export { INBOX_RETENTION_S } from './inbox.ts'
export { defineJob, definePeriodicJob, type JobContract, type JobData } from './jobs/job.ts'
export { cancelJob, scheduleJob } from './jobs/planned.ts'
export { type JobHandler, type JobsOptions, onIdempotentJob, onJob, type Run, startJobs } from './jobs/start-jobs.ts'
export { createKeyedQueue, type KeyedQueue } from './keyed-queue.ts'
export { eventMetrics, type Meters } from './meters.ts'
export type { EventMetrics, Log } from './metrics.ts'
export { OUTBOX_RETENTION_S, publish } from './outbox.ts'
export { type Owned, runOwned } from './owner.ts'
export { together } from './parts.ts'
export { type RelayOptions, startRelay } from './relay.ts'

/** The collections that publishing and consuming need: part of every service's database. */
export const eventCollections = [outbox, inbox, streamStates, consumerStates, leases, plannedJobs]
