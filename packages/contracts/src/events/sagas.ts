import Type from 'typebox'
import { IdSchema, TimeSchema } from '../common.ts'
import { defineEvent, type EventContract } from '../event.ts'

/** How many of what: `{ posts: 12 }`. */
const CountsSchema = Type.Record(Type.String(), Type.Integer({ minimum: 0 }))

export const ErasureRequested = defineEvent({
  subject: 'auth.erasure.requested',
  version: 1,
  summary: 'Somebody deletes their account: every service that takes part erases what it has of them and says so.',
  entity: (d) => d.userId,
  data: Type.Object({ erasureId: IdSchema, userId: IdSchema, requestedAt: TimeSchema })
})

export const ExportRequested = defineEvent({
  subject: 'auth.export.requested',
  version: 1,
  summary: 'Somebody wants all that is kept of them: every service that takes part sends it in parts and says so.',
  entity: (d) => d.userId,
  data: Type.Object({ exportId: IdSchema, userId: IdSchema, requestedAt: TimeSchema })
})

/** What a service publishes when it has erased all it had of somebody. Any service declares its own with its name. */
export function erasureCompletedBy(service: string) {
  return defineEvent({
    subject: `${service}.erasure.completed`,
    version: 1,
    summary: `What ${service} had of somebody is erased.`,
    entity: (d) => d.userId,
    data: Type.Object({ erasureId: IdSchema, userId: IdSchema, erased: CountsSchema })
  })
}

/**
 * A part of what a service has of somebody: items of one section, at most 256 KiB of JSON. `run` tells the parts of one attempt from those
 * of another.
 */
export function exportPartOf(service: string) {
  return defineEvent({
    subject: `${service}.export.part`,
    version: 1,
    summary: `A part of what ${service} has of somebody.`,
    entity: (d) => d.userId,
    data: Type.Object({
      exportId: IdSchema,
      userId: IdSchema,
      run: IdSchema,
      part: Type.Integer({ minimum: 0, maximum: 9_999 }),
      section: Type.String({ pattern: '^[a-zA-Z]{1,40}$' }),
      items: Type.Array(Type.Unknown())
    })
  })
}

/** What a service publishes after its parts: which attempt counts, and how many parts it has. */
export function exportCompletedBy(service: string) {
  return defineEvent({
    subject: `${service}.export.completed`,
    version: 1,
    summary: `All parts of what ${service} has of somebody are sent.`,
    entity: (d) => d.userId,
    data: Type.Object({
      exportId: IdSchema,
      userId: IdSchema,
      run: IdSchema,
      parts: Type.Integer({ minimum: 0, maximum: 10_000 }),
      counts: CountsSchema,
      truncated: Type.Boolean({ description: 'There was more than one export may hold.' })
    })
  })
}

/** The events of which each service that takes part has its own, by the name of what makes them. */
export const sagaAnswers: Readonly<Record<string, (service: string) => EventContract>> = {
  erasureCompletedBy,
  exportPartOf,
  exportCompletedBy
}
