import type { MsgHdrs } from '@nats-io/transport-node'

/** One message of a user's log. */
export type LiveEntry = {
  readonly seq: number
  /** The sequence of the user's message before it as the log knew it; 0: none. */
  readonly previous: number
  readonly type: string
  /** JSON on one line. */
  readonly body: string
}

/** How far the log reaches: `stamp` tells one log from a later one of the same name. */
export type LogPosition = { readonly stamp: string; readonly first: number; readonly last: number }

export type LogBatch = {
  readonly entries: readonly LiveEntry[]
  /** How many messages the user has after the asked one, those of this batch among them. */
  readonly held: number
  readonly ended: boolean
}

/** Header of a stored message that says what it is. */
export const TYPE = 'live-type'

/** A stored message, or undefined for what the server did not stamp. */
export function entryOf(h: MsgHdrs, body: string): LiveEntry | undefined {
  const seq = Number(h.get('Nats-Sequence'))
  if (!Number.isSafeInteger(seq) || seq < 1) return undefined
  return { seq, previous: Number(h.get('Nats-Last-Sequence')) || 0, type: h.get(TYPE) || 'message', body }
}
