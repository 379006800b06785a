import type { Socket } from 'node:net'

/** What Node's types do not name: the parser of a connection, which holds what it calls under numbers that its class names. */
type Parser = { [at: number]: unknown; constructor: { kOnBody?: number } }

/**
 * Stops reading a connection, and drops what of a body the present read has brought: Node's parser goes on to its end, and would make a buffer
 * of each chunk, thousands in 64 KiB. The parser is used again for other connections, none of which it reads before this turn of the event
 * loop is over.
 */
export function dropRead(socket: Socket): void {
  socket.pause()
  const { parser } = socket as Socket & { parser?: Parser | null }
  const at = parser?.constructor.kOnBody
  if (!parser || at === undefined || typeof parser[at] !== 'function') return
  const onBody = parser[at]
  parser[at] = undefined
  setImmediate(() => {
    parser[at] = onBody
  })
}

/**
 * Reads no more of a connection in this turn of the event loop. By itself libuv reads 2 MiB of one before it looks at the next, which is 16,000
 * chunks of the smallest size that bodies may be made of.
 */
export function pauseForTurn(socket: Socket): void {
  setImmediate(stopReading(socket))
}

/** Reads no more of a connection, and answers how to read on. */
export function stopReading(socket: Socket): () => void {
  // Node resumes it whenever a part of a body was taken.
  const stop = () => {
    socket.pause()
  }
  socket.on('resume', stop)
  socket.pause()
  return () => {
    socket.off('resume', stop)
    socket.resume()
  }
}
