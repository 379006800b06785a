import type { HeadPart } from '../head-lines.ts'
import type { LatencyWindow } from './latency.ts'
import type { BodySource } from './wire/body.ts'

/** A request to one of a service's instances. */
export type BalancedRequest = {
  /** The service's name. */
  origin: string
  method: string
  path: string
  /** Said beside `headers`, as text that is made once for many requests. */
  common?: HeadPart | undefined
  /** Name, value, name, value; checked, without `host` and `content-length`'s lies: they are sent as they are. */
  headers: readonly string[]
  /** As a whole, or as it comes. */
  body: Buffer | BodySource | null
  /** May be sent again although it was sent before: idempotent by its method or its `Idempotency-Key`. */
  repeatable: boolean
  /** May be sent to a second instance while the first still works at it. */
  hedgeable: boolean
  /** The answer does not end by itself. */
  stream: boolean
  /** Until an answer must have begun, ms from now. */
  timeoutMs: number
  /** Silence allowed between two parts of an answer, ms. */
  silenceMs: number
  /** How long such requests take: where the hedge's delay comes from and its latency goes to. */
  latencies?: LatencyWindow | undefined
  /** Asks for instances of this version, as long as there are any. */
  version?: string | undefined
  /** The handler does with each part of the body what it has to before it returns, so that it need not be copied. */
  transient?: boolean
}

/** Why an attempt failed. `refused`, `reset` and `hung` are certain; `status` (5xx) and `slow` may be the fault of the request. */
export type Failure = 'refused' | 'reset' | 'timeout' | 'status' | 'hung' | 'slow'

/** A live stream (SSE, WebSocket) that an instance serves. */
export type LiveStream = {
  /** Ends it in good order, so that its client connects again, elsewhere. */
  move(): void
}
