import type { IncomingMessage } from 'node:http'

/** How much of a body that nobody wants is read, and for how long, so that its client gets to read the answer. */
const MOST_BYTES = 16 * 1024 * 1024
const LONGEST_MS = 2_000

/**
 * Reads and drops what is left of a request's body, within bounds, then calls `then`. Closing a connection with unread data makes the kernel
 * reset it, and the client may never see its answer.
 */
export function dropRest(request: IncomingMessage, then: () => void): void {
  let read = 0
  let over = false
  const end = () => {
    if (over) return
    over = true
    clearTimeout(late)
    request.off('data', count)
    then()
  }
  const count = (part: Buffer) => {
    read += part.length
    if (read > MOST_BYTES) end()
  }
  const late = setTimeout(end, LONGEST_MS).unref()
  request.on('data', count).once('end', end).once('close', end)
  request.resume()
}
