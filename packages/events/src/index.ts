import { leases } from '@skerry/store'
import { consumerStates } from './consumer-states.ts'
import { faults } from './faults.ts'
import { inbox } from './inbox.ts'
import { plannedJobs } from './jobs/planned.ts'
import { operations } from './operator/operations.ts'
import { outbox } from './outbox.ts'
import { readModels } from './read-model/state.ts'
import { streamStates } from './streams.ts'

export { type CleanUpOptions, cleanUp } from './clean-up.ts'
export { type ConsumerOptions, startConsumer } from './consumer.ts'
export { type Envelope, fromHeaders, toHeaders } from './headers.ts'
export { INBOX_RETENTION_S } from './inbox.ts'
export { defineJob, definePeriodicJob, type JobContract, type JobData } from './jobs/job.ts'
export { cancelJob, scheduleJob } from './jobs/planned.ts'
export { type JobHandler, type JobsOptions, onIdempotentJob, onJob, type Run, startJobs } from './jobs/start-jobs.ts'
export { createKeyedQueue, type KeyedQueue } from './keyed-queue.ts'
export { eventMetrics, type Meters } from './meters.ts'
export type { EventMetrics, Log } from './metrics.ts'
export type { Replays } from './operator/consumer-commands.ts'
export {
  answerFormerNames,
  FORMER_NAMES_PAGE,
  type FormerName,
  type FormerNamesPage
} from './operator/former-names.ts'
export { type Letter, listLetters, readLetter } from './operator/letters.ts'
export type {
  ConsumerStatus,
  ModelStatus,
  OperationView,
  OperatorAnswer,
  OutboxStatus
} from './operator/protocol.ts'
export { factOf, OUTBOX_RETENTION_S, publish, publishBoth } from './outbox.ts'
export { type Owned, runOwned } from './owner.ts'
export { consumerOfDurable, PARTITIONS, typeOf } from './partitions.ts'
export { together } from './parts.ts'
export { type ReadModelOptions, startReadModel } from './read-model/read-model.ts'
export { type RelayOptions, startRelay } from './relay.ts'
export { eraseEvents } from './sagas/erase-events.ts'
export { pageByPage } from './sagas/page-by-page.ts'
export { type Counts, type ExportItem, type Part, takePart } from './sagas/take-part.ts'
export { WHOLE } from './streams.ts'
export {
  type InboxUse,
  type Incoming,
  on,
  onIdempotent,
  onMany,
  onManyIdempotent,
  type Subscription
} from './subscription.ts'

/** The collections that publishing and consuming need: part of every service's database. */
export const eventCollections = [
  outbox,
  inbox,
  faults,
  streamStates,
  consumerStates,
  operations,
  readModels,
  plannedJobs,
  leases
]
