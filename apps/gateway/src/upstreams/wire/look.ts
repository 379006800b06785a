import type { Connection } from './connection.ts'

/** Connections of all pools that are to be used again, in this turn of the event loop and, while these are looked at, in the next. */
let due: Connection[] = []
let spare: Connection[] = []

/**
 * Lets a connection be used again only once the event loop has read what had come on it: bytes that nobody asked for (an answer longer than
 * it said, a body where there can be none), which would answer the next request, or the connection's end. Both close it. It is undici's way,
 * but that one look serves all connections of a turn of the loop, so that it costs less the more there is to do.
 *
 * What an instance sends later still cannot be told from an answer, by anybody: HTTP/1.1 has no mark for it.
 */
export function lookBeforeUse(connection: Connection): void {
  if (due.push(connection) === 1) setImmediate(look)
}

function look(): void {
  const now = performance.now()
  const list = due
  due = spare
  for (const connection of list) connection.owner.looked(connection, now)
  list.length = 0
  spare = list
}
