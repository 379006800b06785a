import type { Static, TSchema } from 'typebox'

/**
 * One event, declared once.
 *
 * - `subject`: `<service>.<entity>.<what>`; on the wire with its version: `content.post.created.v1`.
 * - `summary`: its title in documents, a few words: `Post created`. `description` says in sentences when it is published.
 * - `entity`: the id of what the event is about.
 * - `orderedBy`: its order key, by default the entity; for somebody's act who it is. Events of one key reach every consumer in commit order,
 *   whatever they are about. An entity has one key for life: all of its events say the same. It is an id, or begins with one.
 * - `data`: the payload; consumers accept members they don't know, so adding an optional one is not breaking.
 */
export type EventContract<S extends TSchema = TSchema> = {
  readonly subject: string
  readonly version: number
  readonly summary: string
  readonly description?: string
  readonly entity: (data: Static<S>) => string
  readonly orderedBy?: (data: Static<S>) => string
  readonly data: S
}

/** Declares an event. */
export function defineEvent<const S extends TSchema>(event: EventContract<S>): EventContract<S> {
  if (!/^[a-z]+\.[a-z]+\.[a-z]+$/.test(event.subject)) throw new Error(`not an event subject: ${event.subject}`)
  return event
}

/** The payload of an event. */
export type DataOf<E extends EventContract> = E extends EventContract<infer S> ? Static<S> : never

/** In whose order an event is kept. */
export function orderKeyOf<E extends EventContract>(event: E, data: DataOf<E>): string {
  return (event.orderedBy ?? event.entity)(data)
}

/**
 * An event's type on the wire: `content.post.created.v1`. The subject of its messages has the partition behind it, as in
 * `content.post.created.v1.5`: who listens takes `subjectFilter`.
 */
export function wireSubject(event: EventContract): string {
  return `${event.subject}.v${event.version}`
}

/** What a subscriber filters by: the messages of an event in all partitions. */
export function subjectFilter(event: EventContract): string {
  return `${wireSubject(event)}.*`
}

/** The service that owns an event, which is also its stream's name. */
export function ownerOf(event: EventContract): string {
  return event.subject.slice(0, event.subject.indexOf('.'))
}
