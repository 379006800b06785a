import type { FastifyReply, FastifyRequest } from 'fastify'
import type { BaseConfig } from './config.ts'
import type { Deadlines, RequestDeadline } from './deadlines.ts'
import type { IdempotencyStore } from './idempotency.ts'
import type { Caller, Identity } from './identity.ts'
import type { Logger } from './log.ts'
import type { Metrics, RouteRecorder } from './metrics.ts'
import type { Trace } from './trace.ts'

/** What a server's routes share; `app.skerry`. */
export type ServiceContext = {
  readonly name: string
  readonly config: BaseConfig
  readonly identity: Identity | undefined
  readonly idempotency: IdempotencyStore | undefined
  readonly metrics: Metrics
  readonly log: Logger
  readonly deadlines: Deadlines
  /** Set when the instance leaves: every answer then closes its connection. */
  draining: boolean
}

declare module 'fastify' {
  interface FastifyInstance {
    skerry: ServiceContext
  }
  interface FastifyRequest {
    /** Who asks, once the token is verified; absent on routes with `auth: 'none'`. */
    caller: Caller | undefined
    /** The trace this request belongs to, made when first asked for. */
    readonly trace: Trace
    /** `performance.now()` when the request's headers were there. */
    startedAt: number
    /** Where the answer's duration goes. */
    recorder: RouteRecorder | undefined
    /** The body is a merge patch (RFC 7396), in which null and empty lists clear; in other JSON they mean absent. */
    mergePatch: boolean
  }
}

/** What a handler hands on to what it calls: the ids to log and to publish with, and the hook of its transaction. */
export class Call {
  private readonly request: FastifyRequest
  readonly deadline: RequestDeadline
  /**
   * Call it in the write's transaction, just before it commits, with what the handler will return: it stores the answer for
   * `Idempotency-Key` in the same transaction. Absent when the request has no such key.
   */
  beforeCommit?: (tx: unknown, result: unknown) => Promise<void>

  constructor(request: FastifyRequest, deadline: RequestDeadline) {
    this.request = request
    this.deadline = deadline
  }
  get requestId(): string {
    return this.request.id
  }
  /** W3C `traceparent` whose parent is this request. */
  get traceparent(): string {
    return this.request.trace.traceparent
  }
  get userId(): string | undefined {
    return this.request.caller?.userId
  }
  /** Aborts when the deadline passes or the caller goes away before the answer. Made when first asked for. */
  get signal(): AbortSignal {
    return this.deadline.signal
  }
  /** Milliseconds left; 0 or less once the deadline has passed or the caller has gone. */
  remainingMs(): number {
    return this.deadline.remainingMs()
  }
}

/** `Call` as functions should ask for it: any object of this shape does. */
export type CallContext = {
  readonly requestId: string
  readonly traceparent: string
  readonly userId?: string | undefined
  readonly signal: AbortSignal
  remainingMs(): number
  beforeCommit?: ((tx: unknown, result: unknown) => Promise<void>) | undefined
}

export type { FastifyReply, FastifyRequest }
