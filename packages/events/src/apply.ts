import { setTimeout as delay } from 'node:timers/promises'
import { type JsMsg, jetstream } from '@nats-io/jetstream'
import { wireSubject } from '@skerry/contracts'
import { isTransient, transaction } from '@skerry/store'
import type { Incoming, Subscription } from './consumer.ts'
import { sendDeadLetter } from './dead-letter.ts'
import { type Envelope, fromHeaders } from './headers.ts'
import { isAlreadyApplied, markAlso, markApplied, wasApplied } from './inbox.ts'
import type { StreamConsumerOptions } from './stream-consumer.ts'
import { validatorOf } from './validate.ts'

/** An event that no attempt can help: it goes to the dead letters at once. */
class Unprocessable extends Error {}

/**
 * Applies one message: resolves when its effect and its id are committed, or when it has become a dead letter. A database that is away is
 * waited for without end, since that is not the event's fault. Rejects only when the signal aborts or the dead letter cannot be kept.
 *
 * @param keyOf under which name the inbox is to know the event of a sequence: the durable's, or that of a replay
 */
export function applyEvent(
  options: StreamConsumerOptions,
  keyOf: (sequence: number) => string
): (message: JsMsg, signal: AbortSignal) => Promise<void> {
  const { durable, log, metrics } = options
  const bySubject = new Map(options.subscriptions.map((s) => [wireSubject(s.event), s]))
  const js = jetstream(options.nc, { timeout: 5_000 })

  return async (message, signal) => {
    const firstAt = new Date()
    const key = keyOf(message.info.streamSequence)
    let faults = 0
    for (let attempt = 1; ; attempt++) {
      signal.throwIfAborted()
      try {
        const { subscription, envelope, incoming } = decode(message, bySubject)
        const outcome = await applyOnce(options, { subscription, envelope, incoming, key })
        metrics.handled(durable, message.subject, outcome, (Date.now() - Date.parse(envelope.time)) / 1000)
        return
      } catch (error) {
        signal.throwIfAborted()
        if (isTransient(error)) {
          log.warn({ err: error, consumer: durable, attempt }, 'the database is away or busy: the event waits')
          await delay(Math.min(5_000, 100 * 2 ** attempt), undefined, { signal })
          continue
        }
        const wait = error instanceof Unprocessable ? undefined : options.backoffMs[faults]
        faults++
        if (wait === undefined) {
          await sendDeadLetter(js, {
            service: options.service,
            durable,
            message,
            error,
            attempts: faults,
            firstAt,
            key
          })
          log.error(
            { err: error, consumer: durable, event: message.headers?.get('ce-id'), subject: message.subject },
            'dead letter'
          )
          metrics.handled(durable, message.subject, 'dead', 0)
          return
        }
        log.warn(
          { err: error, consumer: durable, event: message.headers?.get('ce-id'), faults },
          'an event could not be applied yet'
        )
        metrics.handled(durable, message.subject, 'retried', 0)
        await delay(wait, undefined, { signal })
      }
    }
  }
}

export type Application = { subscription: Subscription; envelope: Envelope; incoming: Incoming<never>; key: string }

/**
 * One attempt: the effect and its mark in the inbox, under `key` and, when that is a replay's, under the consumer's name as well, so that
 * the event is not applied once more after the replay.
 */
export async function applyOnce(
  { store, durable }: Pick<StreamConsumerOptions, 'store' | 'durable'>,
  { subscription, envelope, incoming, key }: Application
): Promise<'applied' | 'duplicate'> {
  const { id, entity, traceparent } = envelope
  const also = key === durable ? undefined : durable
  try {
    if (subscription.idempotent) {
      if (await wasApplied(store, key, id, entity)) return 'duplicate'
      await subscription.handle(incoming, undefined as never)
      if (also !== undefined) await markAlso(store, undefined, also, id, entity)
      await markApplied(store, undefined, key, id, entity)
    } else {
      await transaction(store, traceparent === undefined ? {} : { traceparent }, async (tx) => {
        await markApplied(store, tx, key, id, entity)
        if (also !== undefined) await markAlso(store, tx, also, id, entity)
        await subscription.handle(incoming, tx)
      })
    }
    return 'applied'
  } catch (error) {
    if (isAlreadyApplied(error)) return 'duplicate'
    throw error
  }
}

function decode(message: JsMsg, bySubject: Map<string, Subscription>) {
  const subscription = bySubject.get(message.subject)
  if (subscription === undefined) throw new Unprocessable(`nothing handles ${message.subject}`)
  const envelope = fromHeaders(message.subject, message.headers)
  if (envelope === undefined) throw new Unprocessable('the message has no ce-id or ce-subject header')
  let data: unknown
  try {
    data = JSON.parse(message.string())
  } catch (error) {
    throw new Unprocessable('the payload is not JSON', { cause: error })
  }
  const problem = validatorOf(subscription.event)(data)
  if (problem !== undefined) throw new Unprocessable(`the payload does not fit its contract: ${problem}`)
  return { subscription, envelope, incoming: { ...envelope, data: data as never } }
}
