import type { JetStreamClient, JsMsg } from '@nats-io/jetstream'
import { headers } from '@nats-io/transport-node'
import { typeOf } from './partitions.ts'

export type DeadLetter = {
  service: string
  consumer: string
  message: JsMsg
  error: unknown
  attempts: number
  firstAt: Date
  /** Under which name the inbox will know it once it is applied. */
  key: string
}

/**
 * Keeps an event that could not be applied: the message as it was, with why, how often and when in headers, in the service's dead-letter
 * stream under `dlq.<service>.<purpose>`. Rejects when JetStream doesn't acknowledge it, so that the event is not lost.
 */
export async function sendDeadLetter(js: JetStreamClient, letter: DeadLetter): Promise<void> {
  const { service, consumer, message } = letter
  const error = letter.error instanceof Error ? letter.error : new Error(String(letter.error))
  const h = headers()
  for (const [name, values] of message.headers ?? []) {
    // JetStream's own headers speak of the first publication.
    if (name.toLowerCase().startsWith('nats-')) continue
    for (const value of values) h.append(name, value)
  }
  h.set('skerry-consumer', consumer)
  h.set('skerry-subject', typeOf(message.subject))
  h.set('skerry-stream', message.info.stream)
  h.set('skerry-sequence', String(message.info.streamSequence))
  h.set('skerry-error', `${error.name}: ${error.message}`.replaceAll(/[\r\n]+/g, ' ').slice(0, 1_000))
  if (letter.key !== consumer) h.set('skerry-inbox', letter.key)
  h.set('skerry-attempts', String(letter.attempts))
  h.set('skerry-first-at', letter.firstAt.toISOString())
  h.set('skerry-last-at', new Date().toISOString())
  const id = `${consumer}:${message.info.stream}:${message.info.streamSequence}`
  await js.publish(`dlq.${service}.${consumer.slice(service.length + 2)}`, message.data, { msgID: id, headers: h })
}
