import type { DataOf, EventContract } from '@skerry/contracts'
import type { Tx } from '@skerry/store'
import type { Envelope } from './headers.ts'

/** An event as a handler gets it. */
export type Incoming<T> = Envelope & { data: T }

/** One event and what is done with it. */
export type Subscription = {
  readonly event: EventContract
  readonly handle: (incoming: Incoming<never>, tx: Tx) => Promise<void>
  /** The effect is harmless when repeated and may be too large for one transaction: `handle` gets none (see `onIdempotent`). */
  readonly idempotent: boolean
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
  return { event, handle: handle as Subscription['handle'], idempotent: false }
}

/** Handles an event whose effect is the same when repeated, such as upserts by key, outside of a transaction: for fan-outs. */
export function onIdempotent<E extends EventContract>(event: E, handle: IdempotentHandler<E>): Subscription {
  return { event, handle: handle as Subscription['handle'], idempotent: true }
}
