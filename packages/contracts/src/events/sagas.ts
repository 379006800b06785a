import Type from 'typebox'
import { Id, StringLike, Time } from '../common.ts'
import { defineEvent, type EventContract } from '../event.ts'
import { EXAMPLE_IDS, EXAMPLE_TEXTS, EXAMPLE_TIMES } from '../examples.ts'

const userId = Id(EXAMPLE_IDS.ada)
const erasureId = Id(EXAMPLE_IDS.deletion)
const exportId = Id(EXAMPLE_IDS.export)
const run = Id(EXAMPLE_IDS.run)

/** How many of what: `{ posts: 12 }`. */
const CountsSchema = Type.Record(Type.String(), Type.Integer({ minimum: 0 }), {
  examples: [{ posts: 31, comments: 12 }]
})

export const ErasureRequested = defineEvent({
  subject: 'auth.erasure.requested',
  version: 1,
  summary: 'Erasure requested',
  description:
    'A user deletes their account. Every participating service erases its data about the user and then publishes `<service>.erasure.completed`.',
  entity: (d) => d.userId,
  data: Type.Object({ erasureId, userId, requestedAt: Time(EXAMPLE_TIMES.deletionRequested) })
})

export const ExportRequested = defineEvent({
  subject: 'auth.export.requested',
  version: 1,
  summary: 'Export requested',
  description:
    'A user requests an export of their data. Every participating service sends its data in parts and then publishes `<service>.export.completed`.',
  entity: (d) => d.userId,
  data: Type.Object({ exportId, userId, requestedAt: Time(EXAMPLE_TIMES.exportRequested) })
})

/** What a service publishes when it has erased all it had of somebody. Any service declares its own with its name. */
export function erasureCompletedBy(service: string) {
  return defineEvent({
    subject: `${service}.erasure.completed`,
    version: 1,
    summary: 'Erasure completed',
    description: `The service ${service} has erased its data about a user.`,
    entity: (d) => d.userId,
    data: Type.Object({ erasureId, userId, erased: CountsSchema })
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
    summary: 'Export part sent',
    description: `A part of the data that ${service} holds about a user.`,
    entity: (d) => d.userId,
    data: Type.Object({
      exportId,
      userId,
      run,
      part: Type.Integer({ minimum: 0, maximum: 9_999 }),
      section: StringLike('posts', { pattern: '^[a-zA-Z]{1,40}$' }),
      items: Type.Array(Type.Unknown(), { examples: [[{ id: EXAMPLE_IDS.post, text: EXAMPLE_TEXTS.text }]] })
    })
  })
}

/** What a service publishes after its parts: which attempt counts, and how many parts it has. */
export function exportCompletedBy(service: string) {
  return defineEvent({
    subject: `${service}.export.completed`,
    version: 1,
    summary: 'Export completed',
    description: `The service ${service} has sent all parts of its data about a user.`,
    entity: (d) => d.userId,
    data: Type.Object({
      exportId,
      userId,
      run,
      parts: Type.Integer({ minimum: 0, maximum: 10_000, examples: [2] }),
      counts: CountsSchema,
      truncated: Type.Boolean({ description: 'There was more data than one export may hold.', examples: [false] })
    })
  })
}

/** The events of which each service that takes part has its own, by the name of what makes them. */
export const sagaAnswers: Readonly<Record<string, (service: string) => EventContract>> = {
  erasureCompletedBy,
  exportPartOf,
  exportCompletedBy
}
