import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { SkerryError } from '@skerry/contracts'
import type { Identity } from '@skerry/service'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Dispatcher } from 'undici'
import type { CorsHeaders } from '../door/cors.ts'
import type { GatewayMetrics } from '../metrics.ts'
import type { BalancedRequest } from '../upstreams/balancer.ts'
import { CallerGoneError, NoUpstreamError } from '../upstreams/errors.ts'
import { limitHeaders, requestHeaders, responseHeaders } from './headers.ts'
import type { OpenStreams } from './streams.ts'

export type ExchangeDeps = {
  dispatcher: Dispatcher
  identity: Identity | undefined
  metrics: GatewayMetrics
  streams: OpenStreams
  /** The gateway is leaving: connections end with their answer. */
  draining(): boolean
  corsHeaders: CorsHeaders
  securityHeaders: readonly (readonly [name: string, value: string])[]
}

/** The service whose word ends sessions. */
const SESSION_OWNER = 'auth'
/** Bytes up to which copying a body costs less than sending it apart from its head. */
const ONE_WRITE = 8_192
const IDEMPOTENT = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])

/**
 * One request and its answer between a client and a service. The answer is written straight to the socket as it comes, at the client's
 * pace; until its head is there an error is still answered as a problem, afterwards the connection breaks so that nobody takes a
 * part for the whole. When the client goes away, so does the request to the service.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  private readonly deps: ExchangeDeps
  private readonly request: FastifyRequest
  private readonly reply: FastifyReply
  private readonly res: ServerResponse
  private controller: Dispatcher.DispatchController | undefined
  private dispatchedAt = 0
  /** Bytes of the body still to come, when its length is known. */
  private missing = -1
  private gone = false
  private answering = false
  private streaming = false

  constructor(deps: ExchangeDeps, request: FastifyRequest, reply: FastifyReply) {
    this.deps = deps
    this.request = request
    this.reply = reply
    this.res = reply.raw
  }

  start(): void {
    const { raw, admission, trace } = this.request
    const body = this.request.body as Buffer | undefined
    const stream = admission?.rules?.stream === true || wantsEvents(raw.headers.accept)
    const request: BalancedRequest = {
      origin: admission!.service,
      path: raw.url!,
      method: raw.method as Dispatcher.HttpMethod,
      headers: requestHeaders(
        raw.headers,
        {
          address: admission!.address,
          protocol: admission!.protocol,
          requestId: this.request.id,
          traceparent: trace.traceparent,
          traceContinued: trace.parentId !== undefined
        },
        body
      ),
      body: body ?? null,
      repeatable: IDEMPOTENT.has(raw.method!) || raw.headers['idempotency-key'] !== undefined,
      stream
    }
    this.res.once('close', () => this.clientClosed())
    this.dispatchedAt = performance.now()
    this.deps.dispatcher.dispatch(request, this)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
    if (this.gone) controller.abort(new CallerGoneError())
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, came: IncomingHttpHeaders): void {
    if (this.gone) return
    const { request, reply, res } = this
    this.revokeSessions(came['x-skerry-revoked'])
    const own: Record<string, string> = {
      'x-request-id': request.id,
      'server-timing': this.timing(came['server-timing'])
    }
    this.deps.corsHeaders(request.raw.headers.origin, own)
    if (request.verdict !== undefined) limitHeaders(request.verdict, own)
    if (this.deps.draining()) own.connection = 'close'
    this.answering = true
    reply.hijack()
    res.writeHead(status, responseHeaders(came, own, this.deps.securityHeaders))
    const length = came['content-length']
    if (length !== undefined) this.missing = Number(length)
    if (came['content-type']?.startsWith('text/event-stream') === true) {
      this.streaming = true
      this.deps.streams.add(this)
      // The head must not wait for the first event.
      res.flushHeaders()
    }
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.gone) return
    const { res } = this
    this.missing -= chunk.length
    if (this.missing === 0) {
      // Head, body and end in one write; as a string, because Node joins a string to the head and sends a buffer beside it.
      if (chunk.length <= ONE_WRITE) res.end(chunk.toString('latin1'), 'latin1')
      else res.end(chunk)
      return
    }
    if (res.write(chunk)) return
    controller.pause()
    res.once('drain', () => controller.resume())
  }

  onResponseEnd(): void {
    if (!this.gone && !this.res.writableEnded) this.res.end()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (this.gone) return
    if (this.answering) {
      // Half an answer: the client learns it from the connection.
      if (!this.res.writableEnded) this.res.destroy()
      return
    }
    const { request } = this
    request.recorder = (status, seconds) =>
      this.deps.metrics.answered(request.admission!.service, request.method, status, seconds)
    this.reply.send(asProblem(error))
  }

  /** Ends a live stream in good order: its client connects again, elsewhere. */
  end(): void {
    this.res.end()
  }

  destroy(): void {
    this.res.destroy()
  }

  private clientClosed(): void {
    if (this.streaming) this.deps.streams.delete(this)
    else if (this.answering) this.record()
    if (this.res.writableFinished && !this.streaming) return
    this.gone = true
    this.controller?.abort(new CallerGoneError())
  }

  private record(): void {
    const { admission, raw, startedAt } = this.request
    const seconds = (performance.now() - startedAt) / 1_000
    this.deps.metrics.answered(admission!.service, raw.method!, this.res.statusCode, seconds)
    this.request.log.debug(
      { method: raw.method, upstream: admission!.service, status: this.res.statusCode, ms: seconds * 1000 },
      'answered'
    )
  }

  private revokeSessions(header: string | string[] | undefined): void {
    if (typeof header !== 'string' || this.request.admission?.service !== SESSION_OWNER) return
    for (const sessionId of header.split(',')) this.deps.identity?.revoke(sessionId.trim())
  }

  private timing(came: string | string[] | undefined): string {
    const now = performance.now()
    const waited = now - this.dispatchedAt
    const own = now - this.request.startedAt - waited
    const ours = `gateway;dur=${round(own)}, upstream;dur=${round(waited)}`
    return came === undefined ? ours : `${came}, ${ours}`
  }
}

/** What a client is told when no service answered. */
function asProblem(error: Error): SkerryError {
  if (error instanceof NoUpstreamError) return new SkerryError('UNAVAILABLE', { cause: error, retryAfter: 1 })
  const code = (error as NodeJS.ErrnoException).code ?? ''
  if (code === 'UND_ERR_HEADERS_TIMEOUT') return new SkerryError('TIMEOUT', { cause: error })
  if (NEVER_REACHED.has(code)) return new SkerryError('UNAVAILABLE', { cause: error, retryAfter: 1 })
  return new SkerryError('BAD_GATEWAY', { cause: error })
}

const NEVER_REACHED = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT'
])

function wantsEvents(accept: string | undefined): boolean {
  return accept?.includes('text/event-stream') === true
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100
}
