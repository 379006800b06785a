import { transaction } from '@skerry/store'
import type { Application } from './application.ts'
import { isAlreadyApplied, markAllApplied, markAlso, markApplied, wasApplied } from './inbox.ts'
import type { ConsumingOptions } from './stretch-options.ts'

/** A transaction lives for seconds; what is longer than this does not come back. */
const HANDLER_LIMIT_MS = 60_000
/** A repeatable effect may be a fan-out to very many. */
const IDEMPOTENT_LIMIT_MS = 900_000

type Options = Pick<ConsumingOptions, 'store' | 'consumer' | 'handlerLimitMs'>

/**
 * One attempt: the effect and its mark in the inbox, under `key` and, when that is a replay's, under the consumer's name as well, so that
 * the event is not applied once more after the replay.
 */
export async function applyOnce(
  { store, consumer, handlerLimitMs }: Options,
  { subscription, envelope, incoming, key }: Application
): Promise<'applied' | 'duplicate'> {
  const { id, entity, traceparent } = envelope
  const also = key === consumer ? undefined : consumer
  try {
    if (subscription.idempotent) {
      if (await wasApplied(store, key, id, entity)) return 'duplicate'
      await ended(subscription.handle(incoming, undefined as never), handlerLimitMs ?? IDEMPOTENT_LIMIT_MS)
      if (also !== undefined) await markAlso(store, undefined, also, id, entity)
      await markApplied(store, undefined, key, id, entity)
    } else {
      await transaction(store, traceparent === undefined ? {} : { traceparent }, async (tx) => {
        await markApplied(store, tx, key, id, entity)
        if (also !== undefined) await markAlso(store, tx, also, id, entity)
        await ended(subscription.handle(incoming, tx), handlerLimitMs ?? HANDLER_LIMIT_MS)
      })
    }
    return 'applied'
  } catch (error) {
    if (isAlreadyApplied(error)) return 'duplicate'
    throw error
  }
}

/**
 * The effects of several events of different order keys and their marks, in one transaction. Rejects when one of them cannot be had, and then
 * none is.
 *
 * @param over once it aborts no handler begins, and what is not committing does not commit
 * @param committing told whether all handlers are through; conflicts begin anew
 */
export async function applyTogether(
  { store, consumer, handlerLimitMs }: Options,
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
      if (key !== consumer) await markAlso(store, tx, consumer, envelope.id, envelope.entity)
      const handled = subscription.handle(incoming, { ...tx, traceparent: envelope.traceparent })
      await ended(handled, handlerLimitMs ?? HANDLER_LIMIT_MS)
    }
    over.throwIfAborted()
    committing(true)
  })
  return 'applied'
}

/**
 * Waits for a handler, but not for ever: one that never returns would keep every later event of its order key. It counts as a failed attempt;
 * what it still writes through its transaction fails, since that has ended.
 */
async function ended(handled: Promise<void>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the event handler has not returned within ${limitMs} ms`)), limitMs)
  })
  try {
    await Promise.race([handled, late])
  } finally {
    clearTimeout(timer)
  }
}
