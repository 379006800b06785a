import type { JsMsg } from '@nats-io/jetstream'
import { type EventContract, orderKeyOf, wireSubject } from '@skerry/contracts'
import { PARTITION_KEY } from './headers.ts'
import { typeOf } from './partitions.ts'

/**
 * In whose order a message is to be applied. One that does not say, from a release before order keys, is asked for what its contract makes
 * of its payload, so that it keeps the order with those that do. What is no event of these keeps the order of what it is about.
 */
export function orderKeyReader(events: readonly EventContract[]): (message: JsMsg) => string {
  const bySubject = new Map(events.map((event) => [wireSubject(event), event]))
  return (message) => {
    const said = message.headers?.get(PARTITION_KEY)
    if (said) return said
    const event = bySubject.get(typeOf(message.subject))
    return (event && keyInPayload(event, message)) || message.headers?.get('ce-subject') || message.subject
  }
}

function keyInPayload(event: EventContract, message: JsMsg): string | undefined {
  try {
    const key: unknown = orderKeyOf(event, message.json())
    return typeof key === 'string' ? key : undefined
  } catch {
    // Not JSON, or without what the key is made of: a dead letter as soon as it is its turn.
    return undefined
  }
}
