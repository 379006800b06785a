import type { DescribedEvent } from '@skerry/contracts/asyncapi'

/** What one event may bring: members and items of its payload with all that it refers to, and how deep they may be nested. */
const NODES = 5_000
const DEPTH = 60
const EVENTS = 500

type Json = Record<string, unknown>

/**
 * Reads the events that a service publishes from the text of its AsyncAPI 3 document, with its references to its own components put in
 * their place. Only channels below the service's own name count, since nobody else's it could publish. Throws an Error that says what is
 * wrong when it is no such document, or larger than anything that a person could read.
 */
export function readEvents(text: string, service: string): DescribedEvent[] {
  const root = objectOf(JSON.parse(text), 'the document')
  if (typeof root.asyncapi !== 'string' || !/^3\.\d+\.\d+$/.test(root.asyncapi)) throw new Error('it is not AsyncAPI 3')
  const channels = Object.entries(objectOf(root.channels ?? {}, 'channels'))
  if (channels.length > EVENTS) throw new Error(`it has more than ${EVENTS} channels`)
  return channels.flatMap(([name, value]) => {
    const channel = objectOf(resolved(root, value), name)
    // Behind the type, its address may have a parameter for the partition.
    const subject = String(channel.address ?? name).replace(/\.\{[a-z]{1,32}\}$/, '')
    if (!isSubjectOf(service, subject)) return []
    const messages = Object.values(objectOf(channel.messages ?? {}, `messages of ${subject}`))
    if (messages.length !== 1) throw new Error(`${subject} has ${messages.length} messages, and an event has one`)
    const message = objectOf(resolved(root, messages[0]), `the message of ${subject}`)
    const left = { nodes: NODES }
    const payload = objectOf(inlined(root, message.payload ?? {}, left, 0), `the payload of ${subject}`)
    const examples = Array.isArray(message.examples) ? message.examples.slice(0, 3) : []
    return [
      {
        subject,
        owner: service,
        summary: String(message.summary ?? channel.summary ?? '').slice(0, 500),
        ...(typeof message.description === 'string' ? { description: message.description.slice(0, 2_000) } : {}),
        payload,
        examples: examples.flatMap((one) => {
          const { payload: example } = objectOf(one, `an example of ${subject}`)
          return example === undefined ? [] : [example]
        })
      }
    ]
  })
}

function isSubjectOf(service: string, subject: string): boolean {
  return subject.startsWith(`${service}.`) && /^[a-z][a-z0-9-]{0,63}\.[a-z]{1,64}\.[a-z]{1,64}\.v\d{1,4}$/.test(subject)
}

/** A copy in which references stand no more. */
function inlined(root: Json, value: unknown, left: { nodes: number }, depth: number): unknown {
  if (depth > DEPTH) throw new Error(`a payload is nested more than ${DEPTH} deep, or refers to itself`)
  if (--left.nodes < 0) throw new Error(`a payload has more than ${NODES} parts`)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((one) => inlined(root, one, left, depth + 1))
  const { $ref, ...rest } = value as Json
  if (typeof $ref === 'string') {
    const target = inlined(root, resolved(root, value), left, depth + 1)
    return Object.keys(rest).length === 0 ? target : { ...(target as Json), ...rest }
  }
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, inlined(root, one, left, depth + 1)]))
}

/** What a Reference Object refers to within the document, or the value itself. */
function resolved(root: Json, value: unknown): unknown {
  let found = value
  for (let hops = 0; hops < 10; hops++) {
    const ref = (found as Json | null)?.$ref
    if (typeof ref !== 'string') return found
    if (!ref.startsWith('#/')) throw new Error(`it refers to ${ref.slice(0, 100)}, which is not a part of it`)
    found = ref
      .slice(2)
      .split('/')
      .map((part) => decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~'))
      .reduce<unknown>((at, part) => (Object.hasOwn((at ?? {}) as Json, part) ? (at as Json)[part] : undefined), root)
    if (found === undefined) throw new Error(`it refers to ${ref.slice(0, 100)}, which is not there`)
  }
  throw new Error('its references go round in a circle')
}

function objectOf(value: unknown, what: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${what} is not an object`)
  return value as Json
}
