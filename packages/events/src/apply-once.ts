import { type Store, transaction } from '@skerry/store'
import type { Application, Applied } from './application.ts'
import type { ConsumingOptions } from './consuming-options.ts'
import { findApplied, isAlreadyApplied, keepApplied, keyOf, markAlso, markApplied } from './inbox.ts'
import type { Marks } from './marks.ts'

/** A transaction lives for seconds; what is longer than this does not come back. */
const HANDLER_LIMIT_MS = 60_000
/** A repeatable effect may be a fan-out to very many. */
const IDEMPOTENT_LIMIT_MS = 900_000

type Options = Pick<ConsumingOptions, 'store' | 'consumer' | 'handlerLimitMs'>

/**
 * One attempt: the effect and its mark in the inbox, under `key` and, when that is a replay's, under the consumer's name as well, so that
 * the event is not applied once more after the replay.
 */
export async function applyOnce(options: Options, application: Application): Promise<Applied['outcome']> {
  const { store, consumer, handlerLimitMs } = options
  const { subscription, envelope, incoming, key } = application
  const { id, entity, traceparent } = envelope
  if (subscription.idempotent) {
    const [applied] = await applyRepeatable(options, [application], { add: (marks) => keepApplied(store, marks) })
    await applied?.marked
    return applied!.outcome
  }
  try {
    await transaction(store, traceparent === undefined ? {} : { traceparent }, async (tx) => {
      await markApplied(store, tx, [{ consumer: key, id, entity }])
      if (key !== consumer) await markAlso(store, tx, { consumer, id, entity })
      await ended(subscription.handle([incoming], tx), handlerLimitMs ?? HANDLER_LIMIT_MS)
    })
    return 'applied'
  } catch (error) {
    if (isAlreadyApplied(error)) return 'duplicate'
    throw error
  }
}

/**
 * The effects of several events and their marks, in one transaction. Rejects when one of them cannot be had, and then none is.
 *
 * @param over once it aborts no handler begins, and what is not committing does not commit
 * @param committing told whether all handlers are through; conflicts begin anew
 */
export async function applyTogether(
  { store, consumer, handlerLimitMs }: Options,
  applications: readonly Application[],
  over: AbortSignal,
  committing: (now: boolean) => void
): Promise<readonly Applied[]> {
  const marks = applications.map(({ key, envelope: { id, entity } }) => ({ consumer: key, id, entity }))
  const limitMs = handlerLimitMs ?? HANDLER_LIMIT_MS
  await transaction(store, {}, async (tx) => {
    committing(false)
    over.throwIfAborted()
    await markApplied(store, tx, marks)
    for (const { consumer: key, id, entity } of marks)
      if (key !== consumer) await markAlso(store, tx, { consumer, id, entity })
    const { many, handle } = applications[0]!.subscription
    if (many) await ended(handle(incomingOf(applications), tx), limitMs)
    else
      for (const { subscription, envelope, incoming } of applications) {
        over.throwIfAborted()
        await ended(subscription.handle([incoming], { ...tx, traceparent: envelope.traceparent }), limitMs)
      }
    over.throwIfAborted()
    committing(true)
  })
  return applications.map(() => ({ outcome: 'applied' }))
}

/**
 * The effects of several events of one handler that are the same when repeated. What the inbox knows is left out, and the rest are marked when
 * they have had their effect. Rejects when that is not known of all of them.
 */
export async function applyRepeatable(
  { store, consumer, handlerLimitMs }: Options,
  applications: readonly Application[],
  marks: Pick<Marks, 'add'>
): Promise<readonly Applied[]> {
  const { handle, inbox } = applications[0]!.subscription
  const fresh = inbox === 'never' ? new Set(applications) : await freshOf(store, applications, inbox)
  if (fresh.size === 0) return applications.map(() => ({ outcome: 'duplicate' }))
  await ended(handle(incomingOf([...fresh]), undefined as never), handlerLimitMs ?? IDEMPOTENT_LIMIT_MS)
  if (inbox === 'never') return applications.map(() => ({ outcome: 'applied' }))
  const marked = marks.add(
    [...fresh].flatMap(({ key, envelope: { id, entity } }) =>
      [...new Set([key, consumer])].map((name) => ({ consumer: name, id, entity }))
    )
  )
  return applications.map((one) => (fresh.has(one) ? { outcome: 'applied', marked } : { outcome: 'duplicate' }))
}

/** Those that the inbox does not know, as far as it is to be asked, and each fact once. */
async function freshOf(
  store: Store,
  applications: readonly Application[],
  inbox: 'always' | { readonly afterMs: number }
): Promise<Set<Application>> {
  const young = inbox === 'always' ? Number.POSITIVE_INFINITY : Date.now() - inbox.afterMs
  const asked = applications.filter(({ envelope }) => !(Date.parse(envelope.time) > young))
  const known = await findApplied(
    store,
    asked.map(({ key, envelope: { id, entity } }) => ({ consumer: key, id, entity }))
  )
  return new Set(
    applications.filter(({ key, envelope: { id, entity } }) => {
      const { _id } = keyOf(key, id, entity)
      return !known.has(_id) && known.add(_id)
    })
  )
}

function incomingOf(applications: readonly Application[]) {
  return applications.map(({ incoming }) => incoming)
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
