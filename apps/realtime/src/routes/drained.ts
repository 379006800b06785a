import type { Socket } from 'node:net'

/** Resolves when a socket has handed over what was buffered, or is closed. */
export function drainedOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed || !socket.writableNeedDrain) {
      // Not at once: whoever asks in a loop lets others run.
      setImmediate(resolve)
      return
    }
    const done = () => {
      socket.off('drain', done)
      socket.off('close', done)
      resolve()
    }
    socket.on('drain', done)
    socket.on('close', done)
  })
}
