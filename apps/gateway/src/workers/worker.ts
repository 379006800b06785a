import { Server } from 'node:net'
import { GO } from './pool.ts'
import { shrinkHeap } from './shrink-heap.ts'

/** How a primary tells a process that it is one of its workers: the number of the listening socket it has been given. */
export const LISTEN_FD = 'SKERRY_LISTEN_FD'
/** And that it has to wait until it is needed. */
export const SPARE = 'SKERRY_SPARE'

/** The listening socket of a worker; undefined for a gateway that is by itself. */
export function listenFd(env: NodeJS.ProcessEnv): number | undefined {
  const text = env[LISTEN_FD]
  return text === undefined ? undefined : Number(text)
}

/**
 * Waits as a spare, with all code loaded and connected to nothing, until it is to be a worker. It ends when its primary does, or tells it to.
 */
export function waitAsSpare(): Promise<void> {
  shrinkHeap()
  return new Promise((resolve) => {
    const end = () => process.exit(0)
    process.once('disconnect', end)
    process.once('SIGTERM', end)
    process.on('SIGINT', passed)
    process.once('message', (message) => {
      if (message !== GO) return
      process.off('disconnect', end)
      process.off('SIGTERM', end)
      process.off('SIGINT', passed)
      resolve()
    })
    process.send?.({ type: 'spare' })
  })
}

/** Ctrl-C reaches the whole process group: it is the primary's to pass on. */
function passed(): void {}

/**
 * Lets go of the port as soon as the primary is gone, before what is under way is finished: another primary may be waiting for it.
 */
export function leavePortWithPrimary(server: Server): void {
  process.once('disconnect', () => {
    if (server.listening) Server.prototype.close.call(server)
  })
}
