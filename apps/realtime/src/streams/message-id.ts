import { SkerryError } from '@skerry/contracts'

/** Where a stream stands: which log, and the sequence of the last message it has sent. */
export type Place = { readonly stamp: string; readonly seq: number }

const ID = /^([0-9a-z]{6,12})-(0|[1-9]\d{0,15})$/

/** The id a client sees; opaque to it. */
export function idOf(stamp: string, seq: number): string {
  return `${stamp}-${seq}`
}

/**
 * Reads an id that a client sent back.
 *
 * @param path where it was, for the error: `header.last-event-id` or `query.lastEventId`
 */
export function placeOf(id: string, path: string): Place {
  const match = ID.exec(id)
  const seq = Number(match?.[2])
  if (match === null || !Number.isSafeInteger(seq)) {
    throw new SkerryError('BAD_REQUEST', {
      errors: [{ path, code: 'message_id', message: 'must be the id of a live message' }]
    })
  }
  return { stamp: match[1]!, seq }
}
