import { exampleOf } from '../compat/example.ts'
import { type EventContract, ownerOf, wireSubject } from '../event.ts'

/** An event as documents show it, whoever declared it in whatever language. */
export type DescribedEvent = {
  /** On the wire: `content.post.created.v1`. */
  readonly subject: string
  /** Its service, which is the name of its stream as well. */
  readonly owner: string
  /** A title of a few words. */
  readonly summary: string
  /** What it means, in sentences. */
  readonly description?: string
  /** JSON Schema of its data, without references. */
  readonly payload: Readonly<Record<string, unknown>>
  readonly examples: readonly unknown[]
}

/** What of an event contract can be shown. One whose values cannot be made up has no examples. */
export function describeEvent(event: EventContract): DescribedEvent {
  const payload = JSON.parse(JSON.stringify(event.data))
  return {
    subject: wireSubject(event),
    owner: ownerOf(event),
    summary: event.summary,
    ...(event.description === undefined ? {} : { description: event.description }),
    payload,
    examples: examplesOf(payload)
  }
}

function examplesOf(payload: unknown): unknown[] {
  try {
    return [exampleOf(payload, 'full')]
  } catch {
    // `./skerry contracts release` says so to who can mend it; a document is worth having without.
    return []
  }
}

/** The JSON Schema of an event's data as a document of its own, for validators of any language. */
export function eventSchemaOf(event: DescribedEvent): Readonly<Record<string, unknown>> {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: `urn:skerry:event:${event.subject}`,
    title: event.subject,
    description: event.description ?? event.summary,
    ...event.payload,
    ...(event.examples.length === 0 ? {} : { examples: event.examples })
  }
}
