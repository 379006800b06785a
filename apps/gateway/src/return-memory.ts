import { shrinkHeap } from '@skerry/service'

export type ReturnMemoryOptions = {
  /** Resident memory, bytes. */
  rss?(): number
  /** Share of the time since the last call in which the event loop was at work. */
  busy?(): number
  collect?(): void
}

/** A burst has gone when the loop was idle for most of so long. */
const EVERY_MS = 5_000
const IDLE_BELOW = 0.05
/** What is worth a collection: a part of what was there, and no less than this. */
const SHARE = 0.15
const LEAST_BYTES = 24 * 1_048_576

/**
 * Gives back what a burst has left. V8 collects when work makes it: after a burst there may be none for hours, and what was garbage then stays
 * resident. Looked at every 5 s, only while the event loop has little to do, since a collection stops it for some tens of milliseconds; and not
 * again until memory has grown by as much.
 *
 * @returns one look, which timers do
 */
export function returnMemory(options: ReturnMemoryOptions = {}): { look(): boolean; stop(): void } {
  const { rss = () => process.memoryUsage.rss(), busy = busyShare(), collect = shrinkHeap } = options
  let floor = rss()
  const look = () => {
    const now = rss()
    floor = Math.min(floor, now)
    // Always asked, so that it is of the time since the last look.
    const share = busy()
    if (now < floor + Math.max(floor * SHARE, LEAST_BYTES) || share > IDLE_BELOW) return false
    collect()
    floor = rss()
    return true
  }
  const timer = setInterval(look, EVERY_MS).unref()
  return { look, stop: () => clearInterval(timer) }
}

function busyShare(): () => number {
  let last = performance.eventLoopUtilization()
  return () => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, last)
    last = now
    return utilization
  }
}
