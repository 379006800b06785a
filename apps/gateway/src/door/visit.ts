import type { IncomingHttpHeaders } from 'node:http'
import type { Priority } from '@skerry/contracts'
import { type Caller, continueTrace, type Trace } from '@skerry/service'
import type { Verdict } from '../limits/limiter.ts'
import type { Route } from '../routing/routes.ts'
import { publicRequestId } from './request-id.ts'

/** What of a request the door looks at; Node's requests have it, over HTTP/1 and HTTP/2. */
export type Incoming = {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders: readonly string[]
  readonly httpVersionMajor: number
  readonly httpVersionMinor: number
  readonly socket: { readonly remoteAddress?: string | undefined; readonly encrypted?: boolean }
  /** Of one whose headers are not its own: makes them so. */
  ownHeaders?(): void
  /** What it became, as soon as it has. */
  visit?: Visit | undefined
}

/** One request, and what the gateway has found out about it so far. */
export class Visit {
  readonly raw: Incoming
  readonly method: string
  readonly startedAt: number
  /** The id that answer, log and service know it by. */
  readonly id: string
  /** The gateway answers it itself, so no service need have announced its path. */
  own = false
  /** What it is refused with, but not before policies and limits: what they refuse costs nobody less for being wrong as well. */
  fault: Error | undefined
  /** It needs no token, so none is looked at: of the gateway's own routes; those of services say so in their rules. */
  ignoresToken = false
  /** Decoded, without the query; set when it is known to be a path that all read in the same way. */
  path = ''
  /** The client's address, behind proxies that are trusted. */
  address = ''
  protocol: 'http' | 'https' = 'http'
  /** Set by the route table. */
  route: Route | undefined
  params: Readonly<Record<string, string | undefined>> = NO_PARAMS
  /** How much it matters under overload. */
  priority: Priority = 'normal'
  /** Who asks, by a verified token. */
  caller: Caller | undefined
  /** How its limit stands; undefined where none holds. */
  verdict: Verdict | undefined
  private made: Trace | undefined

  constructor(raw: Incoming, now: number) {
    this.raw = raw
    this.method = raw.method ?? ''
    this.startedAt = now
    this.id = publicRequestId(raw.headers['x-request-id'])
    raw.visit = this
  }

  get trace(): Trace {
    this.made ??= continueTrace(this.raw.headers.traceparent as string | undefined)
    return this.made
  }
}

const NO_PARAMS = {}

/** The visit that a request has become, or now becomes: there is one, so that all who tell of it tell the same id. */
export function visitOf(raw: Incoming): Visit {
  return raw.visit ?? new Visit(raw, performance.now())
}
