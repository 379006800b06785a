import { byName } from '../openapi/components.ts'
import type { DescribedEvent } from './described.ts'

/** An AsyncAPI 3 document, as far as those who merge and show it look into it. */
export type AsyncApiDocument = {
  readonly asyncapi: string
  readonly info: { readonly title: string; readonly version: string; readonly description?: string }
  readonly defaultContentType: string
  readonly channels: Readonly<Record<string, object>>
  readonly operations: Readonly<Record<string, object>>
  readonly components: Readonly<Record<string, Readonly<Record<string, object>>>>
}

export type AsyncApiOptions = {
  title: string
  version: string
  description?: string
  events: Iterable<DescribedEvent>
}

const attribute = (description: string, more: object = {}) => ({ type: 'string', description, ...more })

/** CloudEvents 1.0 in binary mode: the attributes are headers of the NATS message, the body is the data. */
const CLOUD_EVENT = {
  headers: {
    type: 'object',
    required: ['ce-specversion', 'ce-id', 'ce-type', 'ce-source', 'ce-time', 'ce-subject'],
    properties: {
      'ce-specversion': attribute('CloudEvents', { const: '1.0' }),
      'ce-id': attribute('A unique id. Delivery is at least once: deduplicate by this id.'),
      'ce-type': attribute('The NATS subject without its last token, the partition.'),
      'ce-source': attribute('`/skerry/<service>`.'),
      'ce-time': attribute('The time of the write, RFC 3339.', { format: 'date-time' }),
      'ce-subject': attribute('The id of the entity.'),
      'ce-partitionkey': attribute('The order key. Events of one key arrive in commit order.'),
      traceparent: attribute('The W3C trace context of the cause.')
    }
  },
  contentType: 'application/json'
}

/**
 * The AsyncAPI 3 document of events: a channel, a message and a `send` operation each. The same events give the same text in whatever order
 * they come. Throws when two share a subject.
 */
export function asyncApiOf(options: AsyncApiOptions): AsyncApiDocument {
  const { title, version, description } = options
  const events = new Map<string, DescribedEvent>()
  for (const event of options.events) {
    if (events.has(event.subject)) throw new Error(`${event.subject} is described twice`)
    events.set(event.subject, event)
  }
  const each = (make: (event: DescribedEvent) => [string, object]) =>
    Object.fromEntries([...events].sort(byName).map(([, event]) => make(event)))
  return {
    asyncapi: '3.0.0',
    info: { title, version, ...(description === undefined ? {} : { description }) },
    defaultContentType: 'application/json',
    channels: each((event) => [event.subject, channelOf(event)]),
    operations: each(({ subject, summary }) => [
      `send.${subject}`,
      {
        action: 'send',
        channel: { $ref: `#/channels/${subject}` },
        summary,
        messages: [{ $ref: `#/channels/${subject}/messages/event` }]
      }
    ]),
    components: {
      messages: each((event) => [event.subject, messageOf(event)]),
      messageTraits: { cloudEvent: CLOUD_EVENT }
    }
  }
}

function channelOf({ subject, owner, summary }: DescribedEvent): object {
  return {
    address: `${subject}.{partition}`,
    parameters: {
      partition: {
        description:
          'Where the stream keeps the order key, from 0 on. Subscribe with a wildcard: `*`. A stream without partitions has no such token.'
      }
    },
    summary,
    description: `JetStream stream: \`${owner}\`. JSON Schema: /schemas/events/${subject}.json`,
    tags: [{ name: owner }],
    messages: { event: { $ref: `#/components/messages/${subject}` } }
  }
}

function messageOf({ subject, summary, description, payload, examples }: DescribedEvent): object {
  return {
    name: subject,
    title: subject,
    summary,
    ...(description === undefined ? {} : { description }),
    traits: [{ $ref: '#/components/messageTraits/cloudEvent' }],
    payload,
    ...(examples.length === 0 ? {} : { examples: examples.map((example) => ({ payload: example })) })
  }
}
