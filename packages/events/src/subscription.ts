import type { DataOf, EventContract } from '@skerry/contracts'
import type { Tx } from '@skerry/store'
import type { Envelope } from './headers.ts'

/** An event as a handler gets it. */
export type Incoming<T> = Envelope & { data: T }

/**
 * Where the inbox is used by an effect that has no transaction:
 *
 * - `always`: asked before, marked after
 * - `afterMs`: marked, but asked only about events that are older; for effects whose receiver drops repeats by id for longer than that
 * - `never`: for effects that a repeat at any time leaves as they are
 */
export type InboxUse = 'always' | 'never' | { readonly afterMs: number }

/** One event and what is done with it. */
export type Subscription = {
  readonly event: EventContract
  /** Gets one event, or what waits where it takes many. Subscriptions of many that have the same function share their batches. */
  readonly handle: (events: readonly Incoming<never>[], tx: Tx) => Promise<void>
  readonly many: boolean
  /** The effect is harmless when repeated and may be too large for one transaction: `handle` gets none (see `onIdempotent`). */
  readonly idempotent: boolean
  readonly inbox: InboxUse
  /** From the beginning of one batch to that of the next, at least, in milliseconds, unless that would be full. */
  readonly paceMs: number
}

/** What a handler of a large, repeatable effect gets. */
type IdempotentHandler<E extends EventContract> = (incoming: Incoming<DataOf<E>>) => Promise<void>

/**
 * Handles an event: `handle` writes through `tx`, and its effect commits together with the event's id, so it happens once however often
 * the event comes. Nothing outside of the transaction may be changed, and what it changes it reads through `tx` too: events of other order
 * keys may share the transaction, and it may be run again. To publish from it: `publish(store, tx, …)`.
 */
export function on<E extends EventContract>(
  event: E,
  handle: (incoming: Incoming<DataOf<E>>, tx: Tx) => Promise<void>
): Subscription {
  return { event, handle: eachBy<E>(handle), many: false, idempotent: false, inbox: 'always', paceMs: 0 }
}

/** Handles an event whose effect is the same when repeated, such as upserts by key, outside of a transaction: for fan-outs. */
export function onIdempotent<E extends EventContract>(
  event: E,
  handle: IdempotentHandler<E>,
  { inbox = 'always' }: { inbox?: InboxUse } = {}
): Subscription {
  return { event, handle: eachBy<E>(handle), many: false, idempotent: true, inbox, paceMs: 0 }
}

/**
 * Handles what waits of some events at once, in the order of the stream, several of a key among them: `handle` writes through `tx`, all or
 * nothing. When that fails they are divided, down to single events, so it must do the right thing for any part of them. See "Many at once" in docs/events.md.
 *
 * @param paceMs from the beginning of one batch to that of the next, at least, unless that would be full: what comes after a pause is handled at
 * once, and what follows it closely shares a transaction
 */
export function onMany<E extends EventContract>(
  events: readonly E[],
  handle: (events: readonly Incoming<DataOf<E>>[], tx: Tx) => Promise<void>,
  { paceMs = 0 }: { paceMs?: number } = {}
): Subscription[] {
  const shared = handle as Subscription['handle']
  return events.map((event) => ({ event, handle: shared, many: true, idempotent: false, inbox: 'always', paceMs }))
}

/**
 * The same outside of a transaction, for an effect that is the same when repeated: it may be repeated for any part of what `handle` was given,
 * also beside an earlier run that takes long.
 *
 * @param paceMs as of `onMany`
 */
export function onManyIdempotent<E extends EventContract>(
  events: readonly E[],
  handle: (events: readonly Incoming<DataOf<E>>[]) => Promise<void>,
  { inbox = 'always', paceMs = 0 }: { inbox?: InboxUse; paceMs?: number } = {}
): Subscription[] {
  const shared = handle as Subscription['handle']
  return events.map((event) => ({ event, handle: shared, many: true, idempotent: true, inbox, paceMs }))
}

/** A handler of one event gets batches of one alone. */
function eachBy<E extends EventContract>(
  handle: (incoming: Incoming<DataOf<E>>, tx: Tx) => Promise<void>
): Subscription['handle'] {
  return ([incoming], tx) => handle(incoming as Incoming<never>, tx)
}
