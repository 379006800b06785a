/** Where a stream stands: which log, and the sequence of the last message it has sent. */
export type Place = { readonly stamp: string; readonly seq: number }

const ID = /^([0-9a-z]{6,12})-(0|[1-9]\d{0,15})$/

/** The id a client sees; opaque to it. */
export function idOf(stamp: string, seq: number): string {
  return `${stamp}-${seq}`
}

/** A place in no log: whoever says that they stand there gets a `resync`. */
const NOWHERE: Place = { stamp: '', seq: 0 }

/**
 * Reads an id that a client sent back. What is no id of ours (`null`, `0`, an id of somebody else's server) is a place in a log that is gone:
 * refusing it would keep a client that stores such a thing out for ever.
 */
export function placeOf(id: string): Place {
  const match = ID.exec(id)
  const seq = Number(match?.[2])
  return match === null || !Number.isSafeInteger(seq) ? NOWHERE : { stamp: match[1]!, seq }
}
