import { setTimeout as delay } from 'node:timers/promises'
import { type JsMsg, jetstream } from '@nats-io/jetstream'
import { wireSubject } from '@skerry/contracts'
import { isTransient } from '@skerry/store'
import type { Application, Applied } from './application.ts'
import { applyOnce } from './apply-once.ts'
import { sendDeadLetter } from './dead-letter.ts'
import { type Faults, forgetFaults, noteFault } from './faults.ts'
import { fromHeaders } from './headers.ts'
import { typeOf } from './partitions.ts'
import type { StretchOptions } from './stretch-options.ts'
import type { Subscription } from './subscription.ts'
import { validatorOf } from './validate.ts'

/** An event that no attempt can help: it goes to the dead letters at once. */
class Unprocessable extends Error {}

/** An event that is done with. `marked` resolves when the inbox has its id, where that comes after the effect. */
export type Handled = Pick<Applied, 'marked'>

export type Apply = {
  /**
   * Applies one message: resolves when its effect is committed, or when it has become a dead letter. A database that is away is waited for without
   * end, since that is not the event's fault. Rejects only when the signal aborts or the dead letter cannot be kept. Tells `onFault` when
   * the event fails for the first time.
   *
   * @param alone not even the first attempt is together with others
   */
  one(message: JsMsg, onFault: () => void, alone: boolean): Promise<Handled>
  /** Applies several messages of a key, which one handler takes. Undefined: each has to be applied by itself, in order. */
  together(messages: readonly JsMsg[]): Promise<readonly Handled[] | undefined>
}

/** @param keyOf under which name the inbox is to know the event of a sequence: the consumer's, or that of a replay */
export function applyEvent(options: StretchOptions, keyOf: (sequence: number) => string): Apply {
  const { store, consumer, log, metrics, signal, places, batches } = options
  const bySubject = new Map(options.subscriptions.map((s) => [wireSubject(s.event), s]))
  const js = jetstream(options.nc, { timeout: 5_000 })

  async function one(message: JsMsg, onFault: () => void, alone: boolean): Promise<Handled> {
    const firstAt = new Date()
    const event = { id: message.headers?.get('ce-id') ?? '', entity: message.headers?.get('ce-subject') ?? '' }
    const key = keyOf(message.info.streamSequence)
    const wait = (ms: number) => delay(ms, undefined, { signal })
    let failed = false
    for (let attempt = 1; ; attempt++) {
      signal.throwIfAborted()
      try {
        const attempted = await attemptOnce(message, key, attempt === 1 && !alone)
        if (!('error' in attempted)) {
          if (failed) await forgetFaults(store, key, event)
          return attempted
        }
        signal.throwIfAborted()
        const { error } = attempted
        const final = error instanceof Unprocessable
        const known: Faults = final ? { count: 1, firstAt } : await noteFault(store, key, event, error)
        const pause = final ? undefined : options.backoffMs[known.count - 1]
        if (pause === undefined) {
          const attempts = known.count
          await sendDeadLetter(js, {
            service: options.service,
            consumer,
            message,
            error,
            attempts,
            firstAt: known.firstAt,
            key
          })
          log.error({ err: error, consumer, event: event.id, subject: message.subject }, 'dead letter')
          metrics.handled(consumer, typeOf(message.subject), 'dead', 0)
          if (!final) await forgetFaults(store, key, event)
          return {}
        }
        if (!failed) onFault()
        failed = true
        const faults = known.count
        log.warn({ err: error, consumer, event: event.id, faults }, 'event handler failed: the event will be retried')
        metrics.handled(consumer, typeOf(message.subject), 'retried', 0)
        await wait(pause)
      } catch (error) {
        if (signal.aborted || !isTransient(error)) throw error
        log.warn({ err: error, consumer, attempt }, 'database unavailable or busy: the event will be retried')
        await wait(Math.min(5_000, 100 * 2 ** attempt))
      }
    }
  }

  async function byItself(application: Application): Promise<Applied> {
    signal.throwIfAborted()
    return { outcome: await applyOnce(options, application) }
  }

  /** Resolves with what is wrong with the event or its handler; rejects when it is the database. */
  async function attemptOnce(message: JsMsg, key: string, joins: boolean): Promise<Applied | { error: unknown }> {
    try {
      const application = decode(message, bySubject, key)
      const { many, idempotent } = application.subscription
      const joined = joins && (many || !idempotent) ? await batches.join([application], signal) : undefined
      const applied = joined?.[0] ?? (await places.use(() => byItself(application)))
      tell(application, applied)
      return applied
    } catch (error) {
      if (isTransient(error)) throw error
      return { error }
    }
  }

  function tell({ envelope }: Application, { outcome }: Applied): void {
    const seconds = (Date.now() - Date.parse(envelope.time)) / 1000
    metrics.handled(consumer, envelope.subject, outcome, seconds, envelope.id)
  }

  return {
    one,
    async together(messages) {
      let applications: Application[]
      try {
        applications = messages.map((message) => decode(message, bySubject, keyOf(message.info.streamSequence)))
      } catch {
        // It is said which one, and what is wrong, when each is applied by itself.
        return undefined
      }
      const applied = await batches.join(applications, signal).catch(() => undefined)
      applied?.forEach((one, i) => {
        tell(applications[i]!, one)
      })
      return applied
    }
  }
}

function decode(message: JsMsg, bySubject: Map<string, Subscription>, key: string): Application {
  const subscription = bySubject.get(typeOf(message.subject))
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
  return { subscription, envelope, incoming: { ...envelope, data: data as never }, key, bytes: message.data.length }
}
