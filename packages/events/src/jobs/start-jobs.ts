import { setTimeout as delay } from 'node:timers/promises'
import { type Store, type Tx, transaction } from '@skerry/store'
import { type ConsumerOptions, startConsumer } from '../consumer.ts'
import type { Log } from '../metrics.ts'
import { problemOf, publish } from '../outbox.ts'
import { type Owned, runOwned } from '../owner.ts'
import { type Incoming, on, onIdempotent, type Subscription } from '../subscription.ts'
import type { DuePayload, JobContract, JobData } from './job.ts'
import {
  ensurePeriodic,
  findDue,
  isOvertaken,
  type PlannedDocument,
  retrySetAside,
  setAside,
  takeDue
} from './planned.ts'

/** A run as its handler gets it: `dueAt` is when it was to be, which may be long ago. */
export type Run<J extends JobContract = JobContract> = {
  data: JobData<J>
  dueAt: Date
  traceparent: string | undefined
}

/** One job and what is done when it is due. */
export type JobHandler = {
  readonly job: JobContract
  readonly idempotent: boolean
  readonly handle: (run: Run<never>, tx: Tx) => Promise<void>
}

/** Handles a job whose writes all go through `tx`: they commit together with the run's id, so the effect happens once. */
export function onJob<J extends JobContract>(job: J, handle: (run: Run<J>, tx: Tx) => Promise<void>): JobHandler {
  return { job, idempotent: false, handle: handle as JobHandler['handle'] }
}

/** Handles a job whose effect is the same when repeated, outside of a transaction: clean-up, computations. */
export function onIdempotentJob<J extends JobContract>(job: J, handle: (run: Run<J>) => Promise<void>): JobHandler {
  return { job, idempotent: true, handle: handle as JobHandler['handle'] }
}

export type JobsOptions = Omit<ConsumerOptions, 'purpose' | 'subscriptions'> & {
  handlers: readonly JobHandler[]
  /** How often one instance looks for what is due, in milliseconds (1,000). */
  tickMs?: number
  /** Epoch milliseconds; what decides that a run is due. */
  now?: () => number
}

const TICK_MS = 1_000
/** Due runs that are read together. */
const BATCH = 100

/**
 * Runs a service's jobs. One instance (a lease) moves what is due from the plan to the outbox, in one transaction each; from there a run is an
 * event of the service to itself: relay, stream, a durable consumer `<service>--jobs`, inbox, back-off, dead letters. See docs/jobs.md.
 */
export function startJobs(options: JobsOptions): { scheduler: Owned; jobs: Owned } {
  const { store, service, handlers } = options
  const byName = new Map(handlers.map(({ job }) => [job.name, job]))
  if (byName.size !== handlers.length) throw new Error('two handlers of one job')
  for (const job of byName.values())
    if (job.service !== service) throw new Error(`${job.service}.${job.name} is not a job of ${service}`)
  const now = options.now ?? Date.now

  const scheduler = runOwned({
    store,
    name: `scheduler:${service}`,
    instance: options.instance,
    log: options.log,
    ...(options.leaseMs === undefined ? {} : { leaseMs: options.leaseMs }),
    async work(signal, working) {
      for (const job of byName.values()) {
        const { everyMs } = job
        if (everyMs !== undefined) await ensurePeriodic(store, { ...job, everyMs }, new Date(now()))
      }
      await retrySetAside(store, [...byName.keys()])
      working()
      while (!signal.aborted) {
        const full = (await handOver(options, byName, now(), signal)) === BATCH
        if (!full) await delay(options.tickMs ?? TICK_MS, undefined, { signal }).catch(() => 'ending')
      }
    }
  })
  const subscriptions = handlers.map((handler) => subscriptionOf(store, handler))
  return { scheduler, jobs: startConsumer({ ...options, purpose: 'jobs', subscriptions }) }
}

function subscriptionOf(store: Store, { job, idempotent, handle }: JobHandler): Subscription {
  const work = async (incoming: Incoming<unknown>, tx: Tx | undefined) => {
    const { data, dueAt: text } = incoming.data as DuePayload
    const dueAt = new Date(text)
    // What piled up on the way is as good as missed.
    if (job.everyMs !== undefined && (await isOvertaken(store, tx, job, dueAt))) return
    await handle({ data: data as never, dueAt, traceparent: incoming.traceparent }, tx as Tx)
  }
  return idempotent ? onIdempotent(job.due, (incoming) => work(incoming, undefined)) : on(job.due, work)
}

async function handOver(
  { store, log }: { store: Store; log: Log },
  byName: ReadonlyMap<string, JobContract>,
  now: number,
  signal: AbortSignal
): Promise<number> {
  const due = await findDue(store, [...byName.keys()], new Date(now), BATCH)
  for (const planned of due) {
    if (signal.aborted) break
    const job = byName.get(planned.name)!
    const next = planned.everyMs === undefined ? undefined : nextDue(planned.dueAt.getTime(), planned.everyMs, now)
    const { traceparent } = planned
    const payload = payloadOf(planned)
    const problem = problemOf(job.due, payload)
    if (problem !== undefined) {
      log.error({ job: planned.name, run: planned._id, problem }, 'a planned run does not fit its contract: set aside')
      await setAside(store, planned, problem)
      continue
    }
    await transaction(store, traceparent === undefined ? {} : { traceparent }, async (tx) => {
      if (await takeDue(store, tx, planned, next)) publish(store, tx, job.due, payload)
    })
  }
  return due.length
}

function payloadOf(planned: PlannedDocument): DuePayload {
  return { jobId: planned.jobId, dueAt: planned.dueAt.toISOString(), data: JSON.parse(planned.data) }
}

/** The first time after `now` that is whole periods after `dueAt`: what was missed is not made up for, and the rhythm stays. */
function nextDue(dueAt: number, everyMs: number, now: number): Date {
  return new Date(dueAt + everyMs * (Math.floor((now - dueAt) / everyMs) + 1))
}
