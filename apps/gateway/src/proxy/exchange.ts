import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Identity } from '@skerry/service'
import type { ResponseCache } from '../cache/response-cache.ts'
import type { Door } from '../door/door.ts'
import type { Visit } from '../door/visit.ts'
import type { GatewayMetrics } from '../metrics.ts'
import type { Overload } from '../overload/overload.ts'
import type { Traffic } from '../traffic/traffic.ts'
import type { Balancer } from '../upstreams/balancer.ts'
import type { AnswerWriterDeps } from './answer-writer.ts'
import { recordAnswer } from './record.ts'
import { type RefuseDeps, refuse } from './refuse.ts'
import { keepSpecimen } from './specimen.ts'
import type { StreamedBounds } from './streamed-places.ts'
import type { OpenStreams } from './streams.ts'
import { timingOf } from './timing.ts'
import type { Silences } from './upstream-request.ts'

export type ExchangeDeps = RefuseDeps &
  AnswerWriterDeps &
  Silences & {
    door: Door
    balancer: Balancer
    identity: Identity | undefined
    metrics: GatewayMetrics
    streams: OpenStreams
    cache: ResponseCache
    overload: Overload
    /** Which version of a service a request goes to, where that can be said at all. */
    traffic: Traffic | undefined
    /** The largest body that is kept. */
    cacheEntryBytes: number
    /** Of routes whose bodies pass through. */
    streamed: StreamedBounds
  }

/** What carries a service's answer to the client, as far as the exchange is concerned. */
export type Carrier = {
  /** It is a live stream, which is counted as such and not as an answer. */
  readonly isStreaming: boolean
  /** The client is gone, before it had all of its answer where `early`. */
  closed(early: boolean): void
}

/** One request and its answer between a client and a service: what is known of it on its way (`serve.ts`), and how it can end. */
export class Exchange {
  readonly deps: ExchangeDeps
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly visit: Visit
  body: Buffer | null = null
  /** The version of its service that it goes to, where that is said. */
  version: string | undefined
  /** What `Cache-Status` says, where the answer is not from the cache though its route has a policy. */
  cacheStatus: string | undefined
  carrier: Carrier | undefined
  /** When it went to its service, or to who asks there for all; and when its answer was there. 0: it has not, it is not. */
  sentAt = 0
  headAt = 0
  isAnswered = false
  /** Its client has gone without all of its answer. */
  isGone = false

  constructor(deps: ExchangeDeps, req: IncomingMessage, res: ServerResponse, visit: Visit) {
    this.deps = deps
    this.req = req
    this.res = res
    this.visit = visit
  }

  /** The head of its answer is about to be written. */
  answering(): void {
    this.headAt = performance.now()
    this.isAnswered = true
  }

  /** Answers with the problem of an error. */
  refuse(error: unknown): void {
    if (this.isGone) return
    this.answering()
    refuse(this.deps, this.visit, this.req, this.res, error)
  }

  /** A fault of the gateway's own ends this request, and nothing else. */
  fail(fault: unknown): void {
    this.deps.onFault('exchange', fault)
    this.res.destroy()
  }

  /** Does what an event, a timer or a promise calls for, so that its fault is this request's. */
  guarded(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.fail(error)
    }
  }

  /** The connection to the client has ended, or its stream: its answer is given, or it has gone. */
  closed(): void {
    const { carrier, res } = this
    const isStreaming = carrier?.isStreaming === true
    if (this.isAnswered && !isStreaming) recordAnswer(this.deps, this.visit, res.statusCode)
    this.isGone = isStreaming || !res.writableFinished
    carrier?.closed(this.isGone)
    // What had come of a body is still at the request of a client that has gone.
    if (!this.isGone) keepSpecimen(this)
  }

  /** What the gateway says of the time it took, behind what the service says. */
  timing(came?: string | string[] | undefined): string {
    return timingOf(came, this.visit.startedAt, this.sentAt, this.headAt)
  }
}
