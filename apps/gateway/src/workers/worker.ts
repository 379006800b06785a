import { Server } from 'node:net'
import { shrinkHeap } from '@skerry/service/shrink-heap'
import { GO } from './pool.ts'

/** How a primary tells a process that it is one of its workers: the number of the listening socket it has been given. */
export const LISTEN_FD = 'SKERRY_LISTEN_FD'
/** And that it has to wait until it is needed. */
export const SPARE = 'SKERRY_SPARE'

/** And how often it is to say that it lives, ms. */
export const BEAT_MS = 'SKERRY_BEAT_MS'

/** The listening socket of a worker; undefined for a gateway that is by itself. */
export function listenFd(env: NodeJS.ProcessEnv): number | undefined {
  const text = env[LISTEN_FD]
  return text === undefined ? undefined : Number(text)
}

/**
 * Waits as a spare, with all code loaded and connected to nothing, until it is to be a worker. It ends when its primary does, or tells it to.
 */
export function waitAsSpare(self: NodeJS.Process): Promise<void> {
  shrinkHeap()
  return new Promise((resolve) => {
    const end = () => self.exit(0)
    self.once('disconnect', end)
    self.once('SIGTERM', end)
    self.on('SIGINT', passed)
    self.once('message', (message) => {
      if (message !== GO) return
      self.off('disconnect', end)
      self.off('SIGTERM', end)
      self.off('SIGINT', passed)
      resolve()
    })
    self.send?.({ type: 'spare' })
  })
}

/** Ctrl-C reaches the whole process group: it is the primary's to pass on. */
function passed(): void {}

/**
 * Lets go of the port as soon as the primary is gone, before what is under way is finished: another primary may be waiting for it.
 */
export function leavePortWithPrimary(self: NodeJS.Process, server: Server): void {
  self.once('disconnect', () => {
    if (server.listening) Server.prototype.close.call(server)
  })
}
