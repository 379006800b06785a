import { defineEvent, type EventContract, IdSchema, TimeSchema } from '@skerry/contracts'
import Type, { type Static, type TSchema } from 'typebox'

/**
 * Work that a service does later or again and again, declared once.
 *
 * - `service`, `name`: lower-case letters; its runs travel as `<service>.job.<name>.v1`.
 * - `data`: what a delayed run is told. A periodic job is told nothing.
 * - `everyMs`: a periodic job's period, at least a second. Without it runs are planned one by one, with `scheduleJob`.
 * - `due`: the event by which a run that is due goes through outbox and stream.
 */
export type JobContract<S extends TSchema = TSchema> = {
  readonly service: string
  readonly name: string
  readonly summary: string
  readonly data: S
  readonly everyMs: number | undefined
  readonly due: EventContract
}

/** What a delayed job takes as its data. */
export type JobData<J extends JobContract> = J extends JobContract<infer S> ? Static<S> : never

/** What every run says beside its data. */
export type DuePayload = { jobId: string; dueAt: string; data: unknown }

const SHORTEST_MS = 1_000
const NOTHING = Type.Object({})

/** Declares a job that runs every `everyMs` milliseconds: once a period over all instances; periods that were missed are one run. */
export function definePeriodicJob(job: {
  service: string
  name: string
  summary: string
  everyMs: number
}): JobContract<typeof NOTHING> {
  if (!(job.everyMs >= SHORTEST_MS)) throw new RangeError(`${job.name}: everyMs must be at least ${SHORTEST_MS}`)
  return complete({ ...job, data: NOTHING })
}

/** Declares a job whose runs are planned with `scheduleJob`. */
export function defineJob<const S extends TSchema>(job: {
  service: string
  name: string
  summary: string
  data: S
}): JobContract<S> {
  return complete({ ...job, everyMs: undefined })
}

function complete<S extends TSchema>(job: Omit<JobContract<S>, 'due'>): JobContract<S> {
  const due: EventContract = defineEvent({
    subject: `${job.service}.job.${job.name}`,
    version: 1,
    summary: job.summary,
    entity: (d: unknown) => (d as DuePayload).jobId,
    data: Type.Object({ jobId: IdSchema, dueAt: TimeSchema, data: job.data }) as TSchema
  })
  return { ...job, due }
}
