import { transaction } from '@skerry/store'
import type { Incoming, Subscription } from './consumer.ts'
import type { Envelope } from './headers.ts'
import { isAlreadyApplied, markAllApplied, markAlso, markApplied, wasApplied } from './inbox.ts'
import type { StreamConsumerOptions } from './stream-consumer.ts'

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

/**
 * The effects of several events of different entities and their marks, in one transaction. Rejects when one of them cannot be had, and then
 * none is.
 *
 * @param over once it aborts no handler begins, and what is not committing does not commit
 * @param committing told whether all handlers are through; conflicts begin anew
 */
export async function applyTogether(
  { store, durable }: Pick<StreamConsumerOptions, 'store' | 'durable'>,
  applications: readonly Application[],
  over: AbortSignal,
  committing: (now: boolean) => void
): Promise<'applied'> {
  const marks = applications.map(({ key, envelope: { id, entity } }) => ({ consumer: key, id, entity }))
  await transaction(store, {}, async (tx) => {
    committing(false)
    over.throwIfAborted()
    await markAllApplied(store, tx, marks)
    for (const { subscription, envelope, incoming, key } of applications) {
      over.throwIfAborted()
      if (key !== durable) await markAlso(store, tx, durable, envelope.id, envelope.entity)
      await subscription.handle(incoming, { ...tx, traceparent: envelope.traceparent })
    }
    over.throwIfAborted()
    committing(true)
  })
  return 'applied'
}
