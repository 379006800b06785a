import type { IncomingHttpHeaders } from 'node:http'

/** What an instance may ask to be left alone for, s. */
const LONGEST_S = 60

/** For how long an instance asks to be left alone, from a 503 with `Retry-After` in seconds (RFC 9110 10.2.3); 0 for none or a date. */
export function retryAfterMs(status: number, headers: IncomingHttpHeaders): number {
  const value = headers['retry-after']
  if (status !== 503 || value === undefined || !/^\d{1,6}$/.test(value)) return 0
  return Math.min(LONGEST_S, Number(value)) * 1_000
}
