import type { Logger } from './log.ts'
import type { Metrics } from './metrics.ts'

/** Takes in a fault of the program's own: it is counted, and logged with its stack. `at` says where it was caught; there are few places. */
export type FaultLog = (at: string, error: unknown) => void

/** Lines at once, and so many more a second: whoever has found a way to a fault could else fill the disk with stacks. */
const LINES = 20
const LINES_PER_SECOND = 1

/** What takes in faults that end one request or connection and not the process. `skerry_faults_total` counts them by place. */
export function createFaultLog(log: Logger, metrics: Metrics, now: () => number = () => performance.now()): FaultLog {
  const counter = metrics.counter('skerry_faults_total', 'Faults that ended a request or a connection.', ['at'])
  let left = LINES
  let filledAt = now()
  let untold = 0
  return (at, error) => {
    counter.inc({ at })
    const time = now()
    left = Math.min(LINES, left + ((time - filledAt) / 1_000) * LINES_PER_SECOND)
    filledAt = time
    if (left < 1) {
      untold++
      return
    }
    left--
    log.error(
      { err: error, at, ...(untold === 0 ? {} : { untold }) },
      'fault: what it happened in was ended, the process goes on'
    )
    untold = 0
  }
}
