import type { Readable } from 'node:stream'
import type { BodyOf, ParamsOf, QueryOf, ResultOf, RouteContract } from '@skerry/contracts'
import { isStreamed, SkerryError } from '@skerry/contracts'
import { DEADLINE_HEADER, withDeadline } from '@skerry/deadline'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions as FastifyRouteOptions } from 'fastify'
import { authHook } from './auth.ts'
import { type Precondition, preconditionFrom } from './conditional.ts'
import { Call, type CallContext } from './context.ts'
import { RequestDeadline } from './deadlines.ts'
import { runOnce, runOnceByCommit, type StoredAnswer } from './idempotency.ts'
import type { Caller } from './identity.ts'
import { refuseBadText } from './json-parser.ts'
import { PROBLEM_TYPE, problemAnswer, toSkerryError } from './problems.ts'
import { answererOf, sendStored, successOf } from './respond.ts'
import { boundedBody, isBytes, letPass, STREAMED, sendBytes } from './streamed-bodies.ts'
import { type RouteValidators, validatorsOf } from './validation.ts'

type CallerOf<R extends RouteContract> = R['auth'] extends 'required'
  ? Caller
  : R['auth'] extends 'none'
    ? undefined
    : Caller | undefined

/** What a handler gets: everything checked against the contract. */
export type HandlerInput<R extends RouteContract> = {
  params: ParamsOf<R>
  query: QueryOf<R>
  /** Of a streamed route the bytes as they come: they fail where the client breaks off or sends more than the limit. */
  body: R['body'] extends 'stream' ? Readable : BodyOf<R>
  caller: CallerOf<R>
  /** What `If-Match` asks for on PUT, PATCH and DELETE: compare it with the stored version and throw PRECONDITION_FAILED. */
  ifMatch: Precondition | undefined
  call: CallContext
  request: FastifyRequest
  reply: FastifyReply
}

/** Answers with the resource, or undefined where the contract's answer is empty. Throw a SkerryError to refuse. */
export type Handler<R extends RouteContract> = (input: HandlerInput<R>) => Promise<Result<R>> | Result<R>

// biome-ignore lint/suspicious/noConfusingVoidType: a handler whose answer is empty need not say so.
type Nothing = undefined | void
type Empty<R extends RouteContract> = R['body'] extends 'stream' ? Readable | Nothing : Nothing
type Result<R extends RouteContract> = [ResultOf<R>] extends [undefined] ? Empty<R> : ResultOf<R>

/**
 * For an idempotent route whose answers hold secrets, or are of somebody who is not known before: `keep` says what is stored of a success in
 * place of its answer, and whose it is; `again` makes the answer anew for a repeat. Nothing secret belongs into what is kept.
 */
export type Replay<R extends RouteContract, K = unknown> = {
  keep(result: ResultOf<R>): { owner: string; kept: K }
  again(kept: K, input: HandlerInput<R>): Promise<ResultOf<R>>
}

export type RouteOptions<R extends RouteContract = RouteContract> = {
  replay?: Replay<R>
  /**
   * The handler's write is one `transaction(store, call, …)` and changes nothing outside of it, so the stored answer commits with it and
   * no key is claimed before: two requests with one key may both run, and one commits. Not with `replay`.
   */
  keyCommits?: boolean
  /** Bytes; BODY_LIMIT unless given. */
  bodyLimit?: number
  /** Milliseconds; the contract's `timeoutMs` unless given, else REQUEST_TIMEOUT_MS. */
  timeoutMs?: number
  /** The handler keeps the caller's deadline by itself, since it has an answer then, too: only `timeoutMs` holds here. */
  keepsDeadline?: boolean
  /** Of a successful GET; `private, no-cache` unless given, or `public, no-cache` where the contract's cache policy is public. */
  cacheControl?: string
  /** Options that a Fastify plugin wants on the route, like `websocket: true` and `wsHandler`. */
  fastify?: Partial<FastifyRouteOptions>
}

const INPUT = Symbol('input')

/** The checked input of a request to a `stream` route, for what does not run as its handler: a WebSocket handler. */
export function inputOf<R extends RouteContract>(request: FastifyRequest): HandlerInput<R> {
  const input = (request as { [INPUT]?: HandlerInput<R> })[INPUT]
  if (input === undefined) throw new Error('only requests to stream routes keep their input')
  return input
}

/**
 * Serves a contract: token, validation, handler, answer. The status is the contract's one success status. A GET honours `fields` and
 * `If-None-Match`; an idempotent route honours `Idempotency-Key`; the handler of a `stream` route takes the reply over itself. That of a route
 * with a streamed body gets the bytes as they come, and may answer with a stream of bytes where its contract has no schema.
 */
export function route<R extends RouteContract>(
  app: FastifyInstance,
  contract: R,
  handler: Handler<R>,
  options: RouteOptions<R> = {}
): void {
  if (isStreamed(contract)) {
    streamedRoute(app, contract, handler as unknown as Handler<RouteContract>, options as unknown as RouteOptions)
    return
  }
  if (contract.bodyLimit !== undefined)
    throw new Error(`${contract.method} ${contract.path} (${app.skerry.name}): bodyLimit is of streamed bodies`)
  const service = app.skerry
  const validators = validatorsOf(contract)
  const recorder = service.metrics.route(contract.method, contract.path)
  const run = contract.stream
    ? undefined
    : runnerOf(app, contract, handler as Handler<RouteContract>, options as unknown as RouteOptions)
  const limitMs = contract.stream
    ? Number.POSITIVE_INFINITY
    : (options.timeoutMs ?? contract.timeoutMs ?? service.config.REQUEST_TIMEOUT_MS)
  const heedsCaller = contract.stream !== true && options.keepsDeadline !== true
  app.route({
    ...options.fastify,
    method: contract.method,
    url: contract.path,
    exposeHeadRoute: contract.method === 'GET' && contract.stream !== true,
    ...(options.bodyLimit === undefined ? {} : { bodyLimit: options.bodyLimit }),
    onRequest: authHook(contract, service.identity, recorder),
    // A WebSocket plugin puts its own handler in place of ours, so a stream's input is checked before.
    ...(run === undefined
      ? {
          preValidation: (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => {
            const input = inputFor(contract, validators, request, reply, limitMs, heedsCaller)
            ;(request as { [INPUT]?: unknown })[INPUT] = input
            done()
          },
          handler: (request: FastifyRequest) => handler(inputOf<R>(request)) as never
        }
      : {
          handler: (request: FastifyRequest, reply: FastifyReply) =>
            run(inputFor(contract, validators, request, reply, limitMs, heedsCaller)) as never
        })
  })
}

/**
 * Serves a route whose bodies are streams: they may take as long as they come, so that no time limit holds. Of a body that its handler has
 * left unread the rest is dropped when the answer is given.
 */
function streamedRoute(
  app: FastifyInstance,
  contract: RouteContract,
  handler: Handler<RouteContract>,
  options: RouteOptions
): void {
  const { name, metrics, identity, config } = app.skerry
  if (contract.idempotent || contract.stream)
    throw new Error(
      `${contract.method} ${contract.path} (${name}): a streamed body is neither repeated nor a live stream`
    )
  const validators = validatorsOf(contract)
  const { status } = successOf(contract)
  const answer = answererOf(contract, { cacheControl: options.cacheControl, check: config.CHECK_RESPONSES })
  const recorder = metrics.route(contract.method, contract.path)
  const bodyLimit = options.bodyLimit ?? config.BODY_LIMIT
  const respond = async (request: FastifyRequest, reply: FastifyReply) => {
    letPass(request, reply)
    const input = inputFor(contract, validators, request, reply, Number.POSITIVE_INFINITY, true)
    const body = contract.method === 'GET' ? undefined : boundedBody(contract, request, reply, bodyLimit)
    // What is left of it then is read and dropped.
    reply.raw.once('finish', () => body?.destroy())
    const result = await handler({ ...input, body: body as never })
    if (isBytes(result)) sendBytes(contract, reply, status, result)
    else if (!reply.sent) answer.send(reply, request, result, answer.pick(input.query))
    return reply
  }
  // In a scope of its own: elsewhere bodies are JSON.
  app.register((scope, _options, done) => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, _payload, parsed) => parsed(null, undefined))
    scope.route({
      ...options.fastify,
      method: contract.method,
      url: contract.path,
      exposeHeadRoute: contract.method === 'GET',
      config: STREAMED,
      onRequest: authHook(contract, identity, recorder),
      handler: respond
    })
    done()
  })
}

/** Checks a request against its contract. Throws BAD_REQUEST with every violation, or PRECONDITION_FAILED. */
function inputFor(
  contract: RouteContract,
  validators: RouteValidators,
  request: FastifyRequest,
  reply: FastifyReply,
  limitMs: number,
  heedsCaller: boolean
): CheckedInput {
  if (request.url.includes('%')) {
    refuseBadMembers(request.params as Record<string, unknown>, 'params')
    refuseBadMembers(request.query as Record<string, unknown>, 'query')
  }
  const inParams = validators.params(request.params)
  const inQuery = validators.query(request.query)
  const inBody =
    contract.method === 'GET' || isStreamed(contract) ? undefined : validators.body(request.body, request.mergePatch)
  if (inParams !== undefined || inQuery !== undefined || inBody !== undefined) {
    throw new SkerryError('BAD_REQUEST', { errors: [...(inParams ?? []), ...(inQuery ?? []), ...(inBody ?? [])] })
  }
  const asked = heedsCaller ? request.headers[DEADLINE_HEADER] : undefined
  const conditional = contract.method !== 'GET' && contract.method !== 'POST'
  return {
    params: request.params as undefined,
    query: request.query as undefined,
    body: request.body as undefined,
    caller: request.caller,
    ifMatch: conditional ? preconditionFrom(request.headers['if-match']) : undefined,
    call: new Call(request, new RequestDeadline(reply, request.startedAt, limitMs, asked)),
    request,
    reply
  }
}

function refuseBadMembers(values: Record<string, unknown>, part: string): void {
  for (const name of Object.keys(values)) {
    refuseBadText(name, part)
    for (const value of [values[name]].flat()) if (typeof value === 'string') refuseBadText(value, part, name)
  }
}

type CheckedInput = HandlerInput<RouteContract> & { call: Call }
type Run = (input: CheckedInput) => void

function runnerOf(
  app: FastifyInstance,
  contract: RouteContract,
  handler: Handler<RouteContract>,
  options: RouteOptions
): Run {
  const { deadlines, idempotency, config } = app.skerry
  const answer = answererOf(contract, { cacheControl: options.cacheControl, check: config.CHECK_RESPONSES })
  if (contract.idempotent && idempotency === undefined)
    throw new Error(`${contract.method} ${contract.path} needs an idempotency store`)
  if (options.keyCommits && options.replay !== undefined)
    throw new Error(`${contract.method} ${contract.path}: an answer that commits with its write is kept as it is`)

  return (input) => {
    const { request, reply } = input
    const { deadline } = input.call
    // It came too late, or its body took so long.
    if (deadline.ofCaller && deadline.remainingMs() <= 0) {
      reply.send(deadline.error())
      return
    }
    // Sent by callback rather than returned: Fastify's promise wrapper would only do the same again.
    const key = contract.idempotent ? request.headers['idempotency-key'] : undefined
    const pick = answer.pick(input.query)
    const answering = key === undefined ? withDeadline(deadline, handler, input) : once(input, String(key))
    if (!(answering instanceof Promise)) {
      deadline.settle()
      answer.send(reply, request, answering, pick)
      return
    }
    deadlines.add(deadline)
    answering.then(
      (result) => {
        if (deadlines.settle(deadline)) noteLate(request, deadline, 'answered after the time limit')
        else if (key === undefined) attempt(reply, () => answer.send(reply, request, result, pick))
      },
      (error) => fail(input, error)
    )
  }

  function fail({ request, reply, call: { deadline } }: CheckedInput, error: unknown): void {
    // What a dependency says of work that was cut off is not the reason.
    const cutOff = deadline.remainingMs() <= 0 && toSkerryError(error).code === 'UNAVAILABLE'
    const told = cutOff ? deadline.error(error) : error
    const { abandoned } = deadline
    if (deadlines.settle(deadline)) noteLate(request, deadline, 'failed after the time limit', error)
    else if (cutOff && abandoned) {
      request.log.debug({ url: contract.path }, 'client disconnected')
      request.recorder?.(CALLER_GONE, (performance.now() - request.startedAt) / 1000)
    } else reply.send(told)
  }

  async function once(input: CheckedInput, key: string): Promise<void> {
    const { request, reply, call } = input
    const end = request.url.indexOf('?')
    const { replay } = options
    /** The answer itself, where something else is kept of it. */
    let fresh: StoredAnswer | undefined
    const run = options.keyCommits ? runOnceByCommit<unknown> : runOnce<unknown>
    const outcome = await run(
      idempotency!,
      {
        key,
        userId: request.caller?.userId,
        method: contract.method,
        path: end === -1 ? request.url : request.url.slice(0, end),
        // As it was checked: without what is null for absent. No body and null are the same.
        body: request.body ?? undefined
      },
      // Only the write has the deadline: a claim that is cut off may stand without anybody knowing, and the key must be given
      // back also when the time has passed.
      async (keep) => {
        if (call.remainingMs() <= 0) throw call.deadline.error()
        call.beforeCommit = keep
        return withDeadline(call.deadline, handler, input)
      },
      {
        result(result) {
          const whole = answer.stored(result)
          if (replay === undefined) return { answer: whole }
          fresh = whole
          const { owner, kept } = replay.keep(result as never)
          return { answer: { status: whole.status, body: JSON.stringify(kept) }, owner }
        },
        error: (error) => storedProblem(error, request)
      }
    )
    const { answer: stored, replayed } = outcome
    if (replayed && replay !== undefined && stored.status < 300)
      fresh = answer.stored(
        await withDeadline(call.deadline, replay.again, JSON.parse(stored.body ?? 'null'), input as never)
      )
    if (reply.sent) return
    if (replayed) reply.header('idempotency-replayed', 'true')
    sendStored(reply, fresh ?? stored)
  }
}

/** As nginx counts requests whose callers closed the connection. */
const CALLER_GONE = 499

/** A caller's deadline is the caller's choice; our own limit says that something here is slow. */
function noteLate(request: FastifyRequest, deadline: RequestDeadline, what: string, error?: unknown): void {
  const level = deadline.ofCaller ? 'debug' : 'warn'
  request.log[level]({ url: request.routeOptions.url, ...(error === undefined ? {} : { err: error }) }, what)
}

function attempt(reply: FastifyReply, send: () => void): void {
  try {
    send()
  } catch (error) {
    reply.send(error)
  }
}

function storedProblem(error: unknown, request: FastifyRequest) {
  const known = toSkerryError(error)
  const { body, headers } = problemAnswer(known, request.id)
  return {
    status: known.status,
    answer: { status: known.status, body, headers: { ...headers, 'content-type': PROBLEM_TYPE } }
  }
}
