import type { IncomingMessage, RequestListener } from 'node:http'
import { type BatchAnswer, type BatchRequest, gatewayRoutes, SkerryError } from '@skerry/contracts'
import { route } from '@skerry/service'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { inject } from 'light-my-request'
import type { BoundMet } from '../bounds.ts'
import { guardPath } from '../door/path-guard.ts'
import { Visit, visitOf } from '../door/visit.ts'
import type { Heads } from '../head/heads.ts'
import type { BodyBudget, BodyHold } from '../listen/body-budget.ts'
import type { OnAnswered } from '../listen/guard.ts'

export type BatchDeps = {
  /** The listener that each request of a batch goes through, as if it had come by itself: the same door, limits, cache and dispatcher. */
  entry: RequestListener
  /** Makes the heads of what is refused here; nobody writes them. */
  heads: Pick<Heads, 'problem' | 'see'>
  /** A request was refused before that listener got it. */
  onAnswered: OnAnswered
  /** Whether the answer to a request does not end by itself, as its route says. */
  isStream(method: string, path: string): boolean
  urlLimit: number
  /** How long a whole batch may take, ms; each request has no longer. */
  timeoutMs: number
  /** How long its body may take before, ms. */
  bodyMs: number
  /** Bytes of all answers together. */
  answerLimit: number
  /** Memory for the answers of all batches, each from its first byte until its batch is answered. */
  room: BodyBudget
  /** Whose share of it a client takes; undefined: nobody's, as what it is counted with are all. */
  shareOf(address: string): string | undefined
  onBound: BoundMet
}

/** What a request of a batch may say for itself. The rest holds for all: one phone sends a batch. */
const PART_HEADERS = new Set([
  'accept',
  'accept-language',
  'content-type',
  'idempotency-key',
  'if-match',
  'if-none-match',
  'x-skerry-version'
])
/** What of the batch holds for each of its requests. */
const COMMON_HEADERS = [
  'authorization',
  'accept-language',
  'user-agent',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-proto',
  'traceparent',
  'tracestate',
  'x-skerry-version'
]
/** What HTTP/1.1 takes for a value. Anything above a byte would be cut to one on the wire, CR and LF among it. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/
/** Headers of an answer that say something of the connection or of bytes that are not sent. */
const LEFT_OUT = new Set(['connection', 'keep-alive', 'transfer-encoding', 'content-length', 'date'])

/**
 * `POST /v1/batch`: the requests of a batch run side by side, each under its own limits and deadline. What one of them fails fails no other:
 * each has its own status, and the batch itself is 200.
 */
export function batchRoute(app: FastifyInstance, deps: BatchDeps): void {
  // Where nobody is known a token is the services' to look at, as in each request of the batch.
  const contract =
    app.skerry.identity === undefined ? { ...gatewayRoutes.batch, auth: 'none' as const } : gatewayRoutes.batch
  route(
    app,
    contract,
    async ({ body, request, reply }) => {
      // Who has gone while its body was read is not said to go again, and nobody would give back what is held for it.
      if (reply.raw.destroyed) throw new SkerryError('UNAVAILABLE')
      // The client's own time began with its headers, as everywhere.
      const until = Math.min(performance.now() + deps.timeoutMs, request.startedAt + deadlineOf(request))
      const gone = new AbortController()
      const holds: BodyHold[] = []
      reply.raw.once('close', () => {
        gone.abort()
        for (const hold of holds) hold.close()
      })
      // What began in time may still take for ever; those that are done are not lost with it.
      const late = new AbortController()
      const timer = setTimeout(() => late.abort(), Math.max(1, until - performance.now()))
      const left = { bytes: deps.answerLimit, holds }
      const signals = { gone: gone.signal, late: late.signal }
      try {
        return { responses: await Promise.all(body.requests.map((one) => run(one, request, until, left, signals))) }
      } finally {
        clearTimeout(timer)
      }
    },
    // Each of its requests ends in time, and so does the batch. It must not be refused as a whole before: not by the client's deadline, nor
    // because its body came slowly.
    { timeoutMs: deps.bodyMs + deps.timeoutMs + 1_000, keepsDeadline: true }
  )

  async function run(
    one: BatchRequest,
    batch: FastifyRequest,
    until: number,
    left: BytesLeft,
    { gone, late }: { gone: AbortSignal; late: AbortSignal }
  ): Promise<BatchAnswer> {
    const id = one.id === undefined ? {} : { id: one.id }
    const share: Share = { used: 0, cut: undefined, request: undefined, cutOff: undefined }
    const failed = (error: SkerryError): BatchAnswer => {
      const { request } = share
      const visit = request === undefined ? outside(one, batch, path) : visitOf(request)
      const { status, list, body } = deps.heads.problem(visit, error)
      deps.heads.see(visit, status, list)
      if (request === undefined) deps.onAnswered(visit, status)
      const headers: Record<string, string> = {}
      for (let i = 0; i < list.length; i += 2) if (!LEFT_OUT.has(list[i]!)) headers[list[i]!] = list[i + 1]!
      return { ...id, status, headers, body: JSON.parse(body) }
    }
    let path = ''
    try {
      // Here, because what injects would mend a path that is not what it seems.
      path = guardPath(one.path, deps.urlLimit)
    } catch (error) {
      return failed(error as SkerryError)
    }
    const asksForStream = Object.entries(one.headers ?? {}).some(
      ([name, value]) => name.toLowerCase() === 'accept' && value.includes('text/event-stream')
    )
    if (path === gatewayRoutes.batch.path || asksForStream || deps.isStream(one.method, path))
      return failed(new SkerryError('BAD_REQUEST', { detail: 'A batch cannot contain batches or streams.' }))
    const refused = Object.keys(one.headers ?? {}).find((name) => !PART_HEADERS.has(name.toLowerCase()))
    if (refused !== undefined)
      return failed(
        new SkerryError('BAD_REQUEST', { detail: `A request in a batch cannot set ${refused}: set it on the batch.` })
      )
    const bad = Object.entries(one.headers ?? {}).find(([, value]) => !HEADER_VALUE.test(value))
    if (bad !== undefined)
      return failed(new SkerryError('BAD_REQUEST', { detail: `The value of ${bad[0]} is not a valid header value.` }))
    // Its body took all the time that its client has.
    if (performance.now() >= until) return failed(new SkerryError('TIMEOUT'))
    const address = batch.visit?.address ?? ''
    const hold = deps.room.open(deps.shareOf(address), NO_PIECES, () => {
      deps.onBound('BATCHES_BYTES', address)
      share.cut ??= new SkerryError('UNAVAILABLE', { detail: 'Too many large batches at once.', retryAfter: 1 })
      share.cutOff?.()
    })
    left.holds.push(hold)
    const answer = await inject(bounded(deps, left, share, hold, isEncrypted(batch)) as never, {
      method: one.method,
      url: one.path,
      remoteAddress: batch.raw.socket.remoteAddress ?? '',
      headers: headersOf(one, batch, until),
      ...(one.body === undefined ? {} : { payload: JSON.stringify(one.body) }),
      signal: AbortSignal.any([gone, late])
    }).catch(() => undefined)
    hold.complete()
    if (share.cut !== undefined) return failed(share.cut)
    if (answer === undefined && late.aborted) return failed(new SkerryError('TIMEOUT'))
    // A service that broke off in the middle of its answer breaks no connection here.
    if (answer === undefined) return failed(new SkerryError('BAD_GATEWAY'))
    const headers: Record<string, string> = {}
    for (const [name, value] of Object.entries(answer.headers))
      if (value !== undefined && !LEFT_OUT.has(name))
        headers[name] = Array.isArray(value) ? value.join(', ') : String(value)
    const content = contentOf(answer.payload, headers['content-type'])
    if (content === undefined)
      return failed(
        new SkerryError('BAD_GATEWAY', { detail: 'The response is not JSON: a batch supports only JSON responses.' })
      )
    return { ...id, status: answer.statusCode, headers, body: content.value }
  }
}

/** Bytes that the answers of a batch may still have, together. */
type BytesLeft = { bytes: number; holds: BodyHold[] }
/** What one answer has of them, and why it was cut off, if it was; its request, as soon as the listener has it, and what cuts it off. */
type Share = {
  used: number
  cut: SkerryError | undefined
  request: IncomingMessage | undefined
  cutOff: (() => void) | undefined
}

/** What an answer comes in is written by this process: only its bytes have a bound. */
const NO_PIECES = { begin: () => undefined, end: () => undefined, take: () => undefined }

/**
 * The listener with a bound on what all answers of a batch may write together: nothing holds them up here, as a slow client would. One that
 * does not fit gives back what it had, and takes nothing from the others. One that says that it is a stream has no end to wait for.
 */
function bounded(
  { entry, onBound }: BatchDeps,
  left: BytesLeft,
  share: Share,
  hold: BodyHold,
  encrypted: boolean
): RequestListener {
  return (request, response) => {
    const { write } = response
    const cutOff = () => {
      left.bytes += share.used
      share.used = 0
      hold.close()
      response.destroy()
    }
    const cut = (why: string) => {
      share.cut ??= new SkerryError('BAD_GATEWAY', { detail: why })
      cutOff()
    }
    share.cutOff = cutOff
    response.write = function (this: typeof response, ...args: Parameters<typeof write>) {
      const [part, encoding] = args
      const length = Buffer.byteLength(part, typeof encoding === 'string' ? encoding : undefined)
      if (share.cut === undefined && length <= left.bytes) {
        left.bytes -= length
        share.used += length
        // Who has no room any more is cut off by that.
        return !hold.take(length, true) || write.apply(response, args)
      }
      if (share.cut === undefined) onBound('BATCH_ANSWER_LIMIT', request.socket.remoteAddress)
      cut('The combined responses of this batch are too large.')
      return true
    } as typeof write
    response.flushHeaders = () => cut('The response is a stream: a batch supports only responses that end.')
    // What services are told of the way that their caller came.
    if (encrypted) Object.assign(request.socket, { encrypted })
    share.request = request
    entry(request, response)
  }
}

/** One that the listener does not get: of its batch is known who asks. */
function outside({ method, path: url }: BatchRequest, batch: FastifyRequest, path: string): Visit {
  const { socket } = batch.raw
  const http1 = { rawHeaders: [], httpVersionMajor: 1, httpVersionMinor: 1 }
  const visit = new Visit({ ...http1, method, url, headers: commonHeaders(batch), socket }, performance.now())
  visit.path = path
  if (batch.visit !== undefined) {
    visit.address = batch.visit.address
    visit.protocol = batch.visit.protocol
    visit.caller = batch.visit.caller
  }
  return visit
}

function isEncrypted({ raw }: FastifyRequest): boolean {
  return (raw.socket as { encrypted?: boolean }).encrypted === true
}

function commonHeaders(batch: FastifyRequest): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const name of COMMON_HEADERS) {
    const value = batch.headers[name]
    if (typeof value === 'string') headers[name] = value
  }
  return headers
}

function headersOf(one: BatchRequest, batch: FastifyRequest, until: number): Record<string, string> {
  const headers = commonHeaders(batch)
  if (one.body !== undefined) headers['content-type'] = 'application/json'
  for (const [name, value] of Object.entries(one.headers ?? {})) headers[name.toLowerCase()] = value
  headers['x-skerry-deadline'] = String(Math.max(1, Math.floor(until - performance.now())))
  return headers
}

/** What the client has left, as it says. */
function deadlineOf(request: FastifyRequest): number {
  const told = request.headers['x-skerry-deadline']
  return typeof told === 'string' && /^\d{1,7}$/.test(told) ? Math.max(1, Number(told)) : Number.POSITIVE_INFINITY
}

/** The body of an answer: null where there is none, undefined where it is not JSON. */
function contentOf(payload: string, type: string | undefined): { value: unknown } | undefined {
  if (payload === '') return { value: null }
  if (type === undefined || !/[/+]json\b/.test(type)) return undefined
  try {
    return { value: JSON.parse(payload) }
  } catch {
    return undefined
  }
}
