import type { Logger, Metrics } from '@skerry/service'

/** What refuses or ends something of a client, or an answer that it does not take, by the name of the setting (docs/gateway-clients.md). */
export const BOUNDS = [
  'MAX_CONNECTIONS',
  'URL_LIMIT',
  'HEADER_LIMIT',
  'HEADERS_TIMEOUT_MS',
  'REQUEST_TIMEOUT_MS',
  'PIPELINED_TOTAL',
  'PLAIN_AHEAD_BYTES',
  'BODY_LIMIT',
  'BODIES_BYTES',
  'BODY_PIECES',
  'BODY_PIECES_TURN',
  'STREAMED_BODIES',
  'STREAMED_BODIES_CALLER',
  'UNREAD_PERIOD_BYTES',
  'UNREAD_BYTES',
  'H2_RESET_BURST',
  'H2_CONTROL_BURST',
  'SPOOL_BYTES',
  'SPOOL_HELD',
  'SPOOL_PACE_BYTES',
  'WS_EARLY_BYTES',
  'WS_MESSAGE_LIMIT',
  'UPSTREAM_IN_FLIGHT',
  'UPSTREAM_STREAMS',
  'BATCH_ANSWER_LIMIT',
  'BATCHES_BYTES'
] as const
export type Bound = (typeof BOUNDS)[number]

/** Takes in that a bound was met, and for which address where that is known: what went beyond it was refused or ended. */
export type BoundMet = (bound: Bound, address?: string | undefined) => void

/** A line for each bound in so long at most: whoever meets one meets it often. */
const QUIET_MS = 10_000

/** Counts how often each bound is met, and logs it. */
export function createBounds(
  log: Pick<Logger, 'warn'>,
  metrics: Metrics,
  now: () => number = () => performance.now()
): BoundMet {
  const counter = metrics.counter('skerry_gateway_bounds_total', 'What was refused or ended at a bound.', ['bound'])
  const untold = new Map<Bound, { times: number; toldAt: number }>()
  return (bound, address) => {
    counter.inc({ bound })
    const time = now()
    const state = untold.get(bound) ?? { times: 0, toldAt: Number.NEGATIVE_INFINITY }
    untold.set(bound, state)
    state.times++
    if (time - state.toldAt < QUIET_MS) return
    log.warn({ bound, times: state.times, address }, 'a bound was met')
    state.times = 0
    state.toldAt = time
  }
}
