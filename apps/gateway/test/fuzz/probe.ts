import { monitorEventLoopDelay } from 'node:perf_hooks'

/*
 * Loaded into a gateway before its own code (--import), with --expose-gc: says what it holds when it is asked over its channel. It reads and
 * collects; nothing that the gateway does is changed.
 */
export type ProbeAnswer = {
  probe: number
  /** Bytes that are still held after a collection: of the heap, and of buffers. */
  heldBytes: number
  /** Those of buffers. */
  bufferBytes: number
  rssBytes: number
  /** Open connections. */
  sockets: number
  cpuMs: number
  /** Longest delay of the event loop since the last question, ms. */
  delayMs: number
}

const delay = monitorEventLoopDelay({ resolution: 10 })
delay.enable()

process.on('message', (message: { probe?: number }) => {
  if (message.probe === undefined) return
  const delayMs = delay.max / 1e6
  globalThis.gc?.()
  const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage()
  const { user, system } = process.cpuUsage()
  const answer: ProbeAnswer = {
    probe: message.probe,
    // External memory includes that of buffers.
    heldBytes: heapUsed + external,
    bufferBytes: arrayBuffers,
    rssBytes: rss,
    sockets: process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length,
    cpuMs: (user + system) / 1_000,
    delayMs
  }
  process.send?.(answer)
  // Not its own collection.
  setImmediate(() => delay.reset())
})
