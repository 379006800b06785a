import type { IncomingHttpHeaders } from 'node:http'
import type { Visit } from '../door/visit.ts'
import { PlainRequest } from '../listen/http1/plain-request.ts'
import type { BalancedRequest } from '../upstreams/types.ts'
import { requestHeaders, splitHeaders } from './request-headers.ts'

/** Silence allowed in an answer and in a live stream, ms. */
export type Silences = { silenceMs: number; streamSilenceMs: number }

/** Methods that change nothing. */
export const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD'])
const IDEMPOTENT = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])
const LONGEST_DEADLINE_MS = 600_000

/** What a service is asked for a visit: with these headers and this body, within so many milliseconds, in a version where that is said. */
export function upstreamRequest(
  visit: Visit,
  asked: { headers: IncomingHttpHeaders; body: Buffer | null; timeoutMs: number; version: string | undefined },
  silences: Silences
): BalancedRequest {
  const { headers, body, timeoutMs, version } = asked
  const route = visit.route!
  const stream = isStream(visit)
  const { trace, raw } = visit
  const told = {
    address: visit.address,
    protocol: visit.protocol,
    requestId: visit.id,
    traceparent: trace.traceparent,
    traceContinued: trace.parentId !== undefined
  }
  // Those of a connection, which are the same again and again.
  const { common, headers: list } =
    raw instanceof PlainRequest && headers === raw.fields.headers && body === null
      ? splitHeaders(raw.fields, told)
      : { common: undefined, headers: requestHeaders(headers, told, body) }
  return {
    origin: route.service,
    path: raw.url!,
    method: visit.method,
    common,
    headers: list,
    body,
    // A key means nothing to a service that does not say that it honours keys.
    repeatable: IDEMPOTENT.has(visit.method) || (route.idempotent && headers['idempotency-key'] !== undefined),
    hedgeable: !stream && SAFE.has(visit.method),
    stream,
    timeoutMs,
    silenceMs: stream ? silences.streamSilenceMs : silences.silenceMs,
    latencies: route.latencies,
    version,
    transient: true
  }
}

/**
 * The lesser of what the client still has (whole milliseconds from its request's arrival) and what the route takes from now. A value that
 * is no number is not heard.
 */
export function leftOf(header: string | string[] | undefined, timeoutMs: number, passedMs: number): number {
  if (typeof header !== 'string' || !/^\d{1,7}$/.test(header)) return timeoutMs
  return Math.min(Math.max(1, Number(header)) - passedMs, timeoutMs, LONGEST_DEADLINE_MS)
}

/** The answer does not end by itself. */
export function isStream(visit: Visit): boolean {
  return visit.route!.stream || wantsEvents(visit.raw.headers.accept)
}

export function wantsEvents(accept: string | undefined): boolean {
  return accept?.includes('text/event-stream') === true
}
