import { setTimeout as delay } from 'node:timers/promises'
import { type JsMsg, jetstream } from '@nats-io/jetstream'
import { wireSubject } from '@skerry/contracts'
import { isTransient, transaction } from '@skerry/store'
import type { Incoming, Subscription } from './consumer.ts'
import { sendDeadLetter } from './dead-letter.ts'
import { type Faults, forgetFaults, noteFault } from './faults.ts'
import { type Envelope, fromHeaders } from './headers.ts'
import { isAlreadyApplied, markAlso, markApplied, wasApplied } from './inbox.ts'
import type { Rest } from './keyed-queue.ts'
import type { StreamConsumerOptions } from './stream-consumer.ts'
import { validatorOf } from './validate.ts'

/** An event that no attempt can help: it goes to the dead letters at once. */
class Unprocessable extends Error {}

/** How an event is worked on: it rests between attempts, and says when it fails for the first time. */
export type Attempts = { signal: AbortSignal; rest: Rest; onFault(): void }

/**
 * Applies one message: resolves when its effect and its id are committed, or when it has become a dead letter. A database that is away is
 * waited for without end, since that is not the event's fault. Rejects only when the signal aborts or the dead letter cannot be kept.
 *
 * @param keyOf under which name the inbox is to know the event of a sequence: the durable's, or that of a replay
 */
export function applyEvent(
  options: StreamConsumerOptions,
  keyOf: (sequence: number) => string
): (message: JsMsg, attempts: Attempts) => Promise<void> {
  const { store, durable, log, metrics } = options
  const bySubject = new Map(options.subscriptions.map((s) => [wireSubject(s.event), s]))
  const js = jetstream(options.nc, { timeout: 5_000 })

  return async (message, { signal, rest, onFault }) => {
    const firstAt = new Date()
    const event = { id: message.headers?.get('ce-id') ?? '', entity: message.headers?.get('ce-subject') ?? '' }
    const key = keyOf(message.info.streamSequence)
    const wait = (ms: number) => rest(() => delay(ms, undefined, { signal }))
    let failed = false
    for (let attempt = 1; ; attempt++) {
      signal.throwIfAborted()
      try {
        const fault = await attemptOnce(message, key)
        if (fault === undefined) {
          if (failed) await forgetFaults(store, key, event)
          return
        }
        signal.throwIfAborted()
        const { error } = fault
        const final = error instanceof Unprocessable
        const known: Faults = final ? { count: 1, firstAt } : await noteFault(store, key, event, error)
        const pause = final ? undefined : options.backoffMs[known.count - 1]
        if (pause === undefined) {
          const attempts = known.count
          await sendDeadLetter(js, {
            service: options.service,
            durable,
            message,
            error,
            attempts,
            firstAt: known.firstAt,
            key
          })
          log.error({ err: error, consumer: durable, event: event.id, subject: message.subject }, 'dead letter')
          metrics.handled(durable, message.subject, 'dead', 0)
          if (!final) await forgetFaults(store, key, event)
          return
        }
        if (!failed) onFault()
        failed = true
        const faults = known.count
        log.warn({ err: error, consumer: durable, event: event.id, faults }, 'an event could not be applied yet')
        metrics.handled(durable, message.subject, 'retried', 0)
        await wait(pause)
      } catch (error) {
        if (signal.aborted || !isTransient(error)) throw error
        log.warn({ err: error, consumer: durable, attempt }, 'the database is away or busy: the event waits')
        await wait(Math.min(5_000, 100 * 2 ** attempt))
      }
    }
  }

  /** Resolves with what is wrong with the event or its handler; rejects when it is the database. */
  async function attemptOnce(message: JsMsg, key: string): Promise<{ error: unknown } | undefined> {
    try {
      const { subscription, envelope, incoming } = decode(message, bySubject)
      const outcome = await applyOnce(options, { subscription, envelope, incoming, key })
      metrics.handled(durable, message.subject, outcome, (Date.now() - Date.parse(envelope.time)) / 1000, envelope.id)
      return undefined
    } catch (error) {
      if (isTransient(error)) throw error
      return { error }
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
