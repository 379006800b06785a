import type { CorsHeaders } from '../door/cors.ts'
import type { Visit } from '../door/visit.ts'
import { limitHeaders } from './headers.ts'

/** What the gateway says in each answer of a service: `timing` is what `server-timing` says. */
export function ownHeaders(
  deps: { corsHeaders: CorsHeaders; draining(): boolean },
  visit: Visit,
  timing: string
): Record<string, string> {
  const own: Record<string, string> = { 'x-request-id': visit.id, 'server-timing': timing }
  deps.corsHeaders(visit.raw.headers.origin, own)
  if (visit.verdict !== undefined) limitHeaders(visit.verdict, own)
  if (deps.draining() && visit.raw.httpVersionMajor < 2) own.connection = 'close'
  return own
}

/** How long the gateway and the service took until the head of an answer, behind what the service says; `dispatchedAt` is 0 where none was asked. */
export function timingOf(
  came: string | string[] | undefined,
  startedAt: number,
  dispatchedAt: number,
  headAt: number
): string {
  if (dispatchedAt === 0) return `gateway;dur=${round(headAt - startedAt)}`
  const ours = `gateway;dur=${round(dispatchedAt - startedAt)}, upstream;dur=${round(headAt - dispatchedAt)}`
  return came === undefined ? ours : `${came}, ${ours}`
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100
}
