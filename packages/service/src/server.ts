import type { Readable } from 'node:stream'
import { MERGE_PATCH_TYPE, SkerryError } from '@skerry/contracts'
import Fastify, {
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerFactory,
  LogController
} from 'fastify'
import type { BaseConfig } from './config.ts'
import type { ServiceContext } from './context.ts'
import { Deadlines } from './deadlines.ts'
import { tellToGoOn } from './expectation.ts'
import type { IdempotencyStore } from './idempotency.ts'
import type { Identity } from './identity.ts'
import { keepIdleConnections } from './idle-connections.ts'
import { parseJson } from './json-parser.ts'
import { createLogger, type Logger, RequestLog } from './log.ts'
import type { Metrics } from './metrics.ts'
import { PROBLEM_TYPE, problemAnswer, refuseConnection, sendProblem, toSkerryError } from './problems.ts'
import { isStreamedRoute } from './streamed-bodies.ts'
import { continueTrace, requestIdFrom, type Trace } from './trace.ts'

export type ServerOptions = {
  name: string
  config: BaseConfig
  /** Needed by routes whose contract takes a token. */
  identity?: Identity | undefined
  /** Needed by routes whose contract is idempotent. */
  idempotency?: IdempotencyStore | undefined
  metrics: Metrics
  logger?: Logger | undefined
  /** Lets a request in, or says why not: before anything else is done for it, also where it asks for what is not there. */
  admit?: ((request: FastifyRequest, done: (error?: Error) => void) => void) | undefined
  /** Makes the server in place of Node's own; it has to bound headers and time itself. */
  serverFactory?: FastifyServerFactory | undefined
}

const TRACE = Symbol('trace')
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const

/**
 * A Fastify with everything that holds for each Skerry service: request ids and traces, problem+json for every error, the strict JSON
 * parser, limits, metrics, `Server-Timing`, and 405 with `Allow`. Declare routes on it with `route()`.
 */
export function buildServer(options: ServerOptions): FastifyInstance {
  const { name, config, metrics } = options
  const log =
    options.logger ?? createLogger({ service: name, instance: config.SKERRY_INSTANCE, level: config.LOG_LEVEL })
  const deadlines = new Deadlines()
  const app: FastifyInstance = Fastify({
    // Requests log through RequestLog: Fastify's own child logger for each request would cost more than most handlers.
    logger: false,
    // A hook would else bring back Fastify's own line, which dumps the whole reply.
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: (raw) => requestIdFrom(raw.headers['x-request-id']),
    bodyLimit: config.BODY_LIMIT,
    requestTimeout: config.REQUEST_TIMEOUT_MS,
    http: {
      maxHeaderSize: config.HEADER_LIMIT,
      // Node takes the larger of the two for the whole request, and looks for what is late only every so often.
      headersTimeout: config.REQUEST_TIMEOUT_MS,
      requestTimeout: config.REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: Math.min(1000, config.REQUEST_TIMEOUT_MS)
    },
    return503OnClosing: false,
    routerOptions: { maxParamLength: 2048, caseSensitive: true },
    frameworkErrors: (error, request, reply) => {
      const known = toSkerryError(error)
      const { body, headers } = problemAnswer(known, request.id)
      const answer = (reply as FastifyReply).code(known.status)
      answer.headers({ ...headers, 'x-request-id': request.id, 'content-type': PROBLEM_TYPE }).send(body)
    },
    clientErrorHandler: refuseConnection,
    // A server that somebody else makes closes in its own way; Fastify would end its idle connections at once.
    ...(options.serverFactory === undefined
      ? {}
      : { serverFactory: options.serverFactory, forceCloseConnections: false as const })
  })
  app.log = log
  // Node would tell a client to go on before anybody has looked at its head.
  const asksFirst = options.serverFactory === undefined
  if (asksFirst) app.server.on('checkContinue', (request, response) => app.server.emit('request', request, response))
  const service: ServiceContext = {
    name,
    config,
    identity: options.identity,
    idempotency: options.idempotency,
    metrics,
    log,
    deadlines,
    draining: false
  }
  app.decorate('skerry', service)
  decorateRequests(app)
  app.addHook('onClose', () => deadlines.close())
  if (options.serverFactory === undefined)
    keepIdleConnections(app.server, { draining: () => service.draining, keptMs: config.IDLE_KEPT_MS })

  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, parseJson(body as Buffer))
    } catch (error) {
      done(error as SkerryError)
    }
  })
  app.addContentTypeParser(MERGE_PATCH_TYPE, { parseAs: 'buffer' }, (request, body, done) => {
    try {
      const value = parseJson(body as Buffer)
      if (value !== undefined && request.method !== 'PATCH') throw unsupported(request)
      request.mergePatch = true
      done(null, value)
    } catch (error) {
      done(error as SkerryError)
    }
  })

  // A body of another type is refused, but not one that is empty: `curl -X PUT -d ''` calls it a form.
  app.addContentTypeParser('*', (request, payload, done) => {
    const refuse = () => done(unsupported(request))
    const length = request.headers['content-length']
    if (length === undefined) whenEmpty(payload, () => done(null, undefined), refuse)
    else if (Number(length) === 0) done(null, undefined)
    else refuse()
  })

  metrics.gauge('skerry_http_requests_pending', 'Requests whose handlers have not answered yet.', [], (gauge) =>
    gauge.set(deadlines.size)
  )
  const elsewhere = metrics.route('none', 'none')
  const letIn = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => {
    // Before the body is read: what nobody takes need not arrive.
    if (request.is404) {
      done(notFound(app, request))
      return
    }
    // Some clients write `undefined` or `null` for a type that they do not give.
    const { headers } = request.raw
    const type = headers['content-type']
    if (type !== undefined && type !== 'application/json' && !isStreamedRoute(request) && !request.mediaType)
      delete headers['content-type']
    // A streamed body is asked for by whoever reads it, so that it can be refused before it is sent.
    if (asksFirst && headers.expect !== undefined && !isStreamedRoute(request)) tellToGoOn(request.raw, reply.raw)
    done()
  }
  const { admit } = options
  app.addHook('onRequest', (request, reply, done) => {
    request.startedAt = performance.now()
    const requestLog = new RequestLog(log, request)
    request.log = requestLog
    reply.log = requestLog
    if (admit === undefined) letIn(request, reply, done)
    else admit(request, (error) => (error === undefined ? letIn(request, reply, done) : done(error)))
  })
  app.addHook('onSend', (request, reply, _payload, done) => {
    const took = performance.now() - request.startedAt
    reply.header('x-request-id', request.id)
    reply.header('server-timing', `${name};dur=${Math.round(took * 100) / 100}`)
    if (service.draining) closeAfter(request, reply)
    ;(request.recorder ?? elsewhere)(reply.statusCode, took / 1000)
    // The access log: at debug, since a line for each request costs as much as many a handler; metrics count them all.
    if (log.isLevelEnabled('debug')) logAnswer(request, reply, took)
    done()
  })
  app.setErrorHandler((error, request, reply) => sendProblem(error, request, reply))
  app.setNotFoundHandler((request, reply) => sendProblem(notFound(app, request), request, reply))
  return app
}

/** What comes in chunks is known to be empty when it has ended, and not to be with its first byte: the rest is not waited for. */
function whenEmpty(payload: Readable, empty: () => void, refuse: () => void): void {
  payload.once('end', empty)
  payload.once('data', () => {
    payload.off('end', empty)
    refuse()
  })
}

/** The connection ends with this answer, unless a body is still coming in: closing then could cut the answer off. */
function closeAfter({ raw }: FastifyRequest, reply: FastifyReply): void {
  const { headers, complete } = raw
  if (complete || (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined))
    reply.header('connection', 'close')
  // Fastify sets its own while it closes.
  else reply.raw.removeHeader('connection')
}

function logAnswer(request: FastifyRequest, reply: FastifyReply, ms: number): void {
  const route = request.routeOptions.url
  request.log.debug(
    { method: request.method, route, status: reply.statusCode, ms: Math.round(ms * 100) / 100 },
    'request completed'
  )
}

/** A PATCH is told what it may be (RFC 5789 2.2). */
function unsupported({ method }: FastifyRequest): SkerryError {
  const headers = { 'accept-patch': `application/json, ${MERGE_PATCH_TYPE}` }
  return new SkerryError('UNSUPPORTED_MEDIA_TYPE', method === 'PATCH' ? { headers } : {})
}

function decorateRequests(app: FastifyInstance): void {
  app.decorateRequest('caller', undefined)
  app.decorateRequest('startedAt', 0)
  app.decorateRequest('recorder', undefined)
  app.decorateRequest('mergePatch', false)
  app.decorateRequest('trace', {
    getter(this: FastifyRequest & { [TRACE]?: Trace }): Trace {
      this[TRACE] ??= continueTrace(this.headers.traceparent as string | undefined)
      return this[TRACE]
    }
  })
}

/** 404, or 405 with what the path takes. */
function notFound(app: FastifyInstance, request: FastifyRequest): SkerryError {
  const end = request.url.indexOf('?')
  const url = end === -1 ? request.url : request.url.slice(0, end)
  const allowed = METHODS.filter((method) => app.findRoute({ method, url }) !== null)
  if (allowed.length === 0) return new SkerryError('NOT_FOUND', { detail: 'There is no such route.' })
  return new SkerryError('METHOD_NOT_ALLOWED', { headers: { allow: allowed.join(', ') } })
}

export type { FastifyInstance, FastifyReply, FastifyRequest }
