import { randomFillSync } from 'node:crypto'

const pool = Buffer.allocUnsafeSlow(16_384)
let used = pool.length

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/

/** Where a request stands in its trace: `spanId` is the span of the request here, a child of what came in. */
export type Trace = {
  readonly traceId: string
  readonly spanId: string
  /** The caller's span, absent when the trace begins here. */
  readonly parentId: string | undefined
  /** W3C `traceparent` to hand on, with our span as the parent. */
  readonly traceparent: string
}

/** Continues the trace of a W3C `traceparent`, or begins one when there is none or it does not parse. */
export function continueTrace(traceparent: string | undefined): Trace {
  const match = traceparent === undefined ? null : TRACEPARENT.exec(traceparent)
  if (match === null) {
    // Both at once: asking for bytes costs more than the bytes do.
    const hex = randomHex(24)
    const traceId = hex.slice(0, 32)
    const spanId = hex.slice(32)
    return { traceId, spanId, parentId: undefined, traceparent: `00-${traceId}-${spanId}-01` }
  }
  const [, traceId = '', parentId, flags] = match
  const spanId = randomHex(8)
  return { traceId, spanId, parentId, traceparent: `00-${traceId}-${spanId}-${flags}` }
}

const REQUEST_ID = /^[\w.:-]{8,128}$/
const prefix = `${randomHex(6)}-`
let counter = 0

/** The request id that came in when it looks like one, else a new one. */
export function requestIdFrom(header: string | string[] | undefined): string {
  if (typeof header === 'string' && REQUEST_ID.test(header)) return header
  counter = (counter + 1) % Number.MAX_SAFE_INTEGER
  return prefix + counter.toString(36)
}

/** Random bytes as hex from a refilled pool: one call of the generator every few hundred requests rather than for each. */
function randomHex(bytes: number): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += bytes
  return pool.toString('hex', used - bytes, used)
}
