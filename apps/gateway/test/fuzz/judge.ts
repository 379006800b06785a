import { answerBytes, filled, tagsIn } from './bytes.ts'
import type { Transcript } from './client.ts'
import type { Excuse } from './excuses.ts'
import { PUBLIC_TTL_MS } from './gateway.ts'
import type { AnswerPlan, ClientPlan, RequestPlan } from './model.ts'
import { type ClientAnswer, readAnswers } from './read-answers.ts'
import { readHttp2, streamOf } from './read-http2.ts'
import { type Framed, type UndiciAnswer, undiciReads } from './reference.ts'
import { givesUp, type LateBytes, type SeenRequest } from './upstream.ts'

/** What is known of a case before it is played. */
export type Prepared = {
  number: number
  plan: ClientPlan
  tags: readonly string[]
  bytes: Buffer
  /** How its bytes are to be read: as HTTP/1.1, as HTTP/2, or as nothing that a gateway should take for a request. */
  kind: 'http1' | 'http2' | 'opaque'
  /** The requests in it, as a bare `node:http` server frames them. */
  framed: readonly Framed[]
}

/** Half of the shortest wait of a gateway under test. */
const PATIENCE_MS = 250

/** `startedAt`: when its client began, `performance.now()`. */
export type Played = { transcript: Transcript; seen: readonly SeenRequest[]; startedAt: number }

const REPEATABLE = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])
/** UPSTREAM_RETRIES of a gateway as it comes, and the first one. */
const ATTEMPTS = 3
/** How long after late bytes a client may still have begun that was given them: whoever was given them was under way when they came. */
const RACE_MS = 1_000

/** What was wrong with a case, each with a name that is the same for all of its kind, and what was not judged of it, and why. */
export type Judgement = { faults: Fault[]; excused: ReadonlySet<Excuse> }
export type Fault = { what: string; detail?: string }

type Court = {
  readonly prepared: Prepared
  readonly played: Played
  readonly late: ReadonlyMap<string, LateBytes>
  readonly excused: Set<Excuse>
  fault(what: string, detail?: string): void
}

export async function judge(
  prepared: Prepared,
  played: Played,
  late: ReadonlyMap<string, LateBytes>
): Promise<Judgement> {
  const faults: Fault[] = []
  const excused = new Set<Excuse>()
  const fault = (what: string, detail?: string) => void faults.push(detail === undefined ? { what } : { what, detail })
  const court: Court = { prepared, played, late, excused, fault }
  const { kind, tags, plan } = prepared
  if (played.transcript.stuck) fault('stuck: neither answered nor closed')
  const own = new Set(tags)
  const shared = plan.requests.some(({ target }) => target === 'public')
  for (const tag of new Set(tagsIn(played.transcript.text))) {
    if (own.has(tag) || hasRaced(court, tag, shared)) continue
    const what = late.get(tag)?.what ?? 'not by late bytes'
    const number = Number.parseInt(tag.slice(1, 6), 36)
    fault(`another's answer: ${shared ? 'of a public route' : what}`, `that of case ${number}, ${what}`)
  }
  judgeSeen(court)
  if (kind === 'http1') await judgeHttp1(court)
  if (kind === 'http2') await judgeHttp2(court)
  return { faults, excused }
}

/** Whether an answer was late bytes that a gateway could not know of. What a public route keeps of them is given to others for its `ttl`. */
function hasRaced({ late, played, excused }: Court, tag: string, shared: boolean): boolean {
  const bytes = late.get(tag)
  if (bytes?.mayRace !== true) return false
  const ms = played.startedAt - bytes.sentAt
  if (ms > RACE_MS + (shared ? PUBLIC_TTL_MS : 0)) return false
  excused.add(shared ? 'raced, and may have been kept' : 'raced')
  return true
}

/** Whatever a service saw was sent, is whole, and came no more often than it may be repeated. */
function judgeSeen({ prepared: { kind, plan, framed }, played: { seen }, fault }: Court): void {
  if (kind === 'opaque') {
    if (seen.length > 0) fault('a request out of what is none')
    return
  }
  const count = new Map<string, number>()
  for (const { tag, method, target, body, early } of seen) {
    const key = `${tag} ${method}`
    count.set(key, (count.get(key) ?? 0) + 1)
    // Of an HTTP/2 frame that is only there in part, that part is passed on; the reference knows whole frames.
    const isBegun = (one: Framed) =>
      one.body.startsWith(body) || (kind === 'http2' && body === filled(tag ?? '', body.length))
    const loads = target.startsWith('/pub/') && method === 'GET'
    const same = framed.filter(
      (one) => !one.refused && one.target === target && (one.method === method || (loads && one.method === 'HEAD'))
    )
    if (same.length === 0) fault('a service saw a request that the reference does not frame', `${method} ${target}`)
    else if (!same.some((one) => (early ? isBegun(one) : one.whole && one.body === body)))
      fault('a service saw another body than was sent')
    else {
      const keyed = plan.requests.some(({ fields }) => fields.some(([name]) => name === 'idempotency-key'))
      // What passes through is not kept for another try.
      const kept = !target.startsWith('/f/') || body === ''
      const most = same.length * (kept && (REPEATABLE.has(method) || keyed) ? ATTEMPTS : 1)
      if (count.get(key)! > most) fault('a request was sent more often than it may be')
    }
  }
}

async function judgeHttp1(court: Court): Promise<void> {
  const { prepared, played, excused, fault } = court
  const { plan, framed } = prepared
  const { transcript } = played
  const methods = framed.map(({ method }) => method)
  const { answers, rest, upgraded } = readAnswers(transcript.text, methods)
  if (rest !== '') {
    if (transcript.reset || isCut(transcript, plan)) excused.add('cut')
    else fault('bytes that are no answer')
  }
  if (answers.length > framed.length + 1) fault('more answers than requests')
  if (upgraded && framed[answers.length - 1]?.upgrade !== true) fault('an upgrade that nobody asked for')
  for (const [i, answer] of answers.entries()) if (!(await judgeAnswer(court, i, answer, upgraded))) return
  if (transcript.closedBy !== 'gateway' || plan.end !== 'wait' || transcript.stuck || transcript.reset) return
  const missing = [...framed.keys()].slice(answers.length)
  // The gateway ends a connection at once at a CONNECT, and at an upgrade behind requests that have no answer yet, whatever came before.
  const ends =
    framed.some(({ method, upgrade }) => method === 'CONNECT' || upgrade) ||
    plan.requests.some(({ method }) => method === 'CONNECT')
  if (ends && missing.length > 0) excused.add('ended at an upgrade')
  if (!ends && answers.every(({ whole }) => whole)) await judgeMissing(court, missing)
}

async function judgeHttp2(court: Court): Promise<void> {
  const { prepared, played, excused, fault } = court
  const { plan, framed } = prepared
  const { transcript } = played
  const { answers, faults, ended } = await readHttp2(transcript.text)
  for (const what of faults) fault(what)
  for (const answer of answers) {
    const i = (answer.stream - 1) / 2
    const length = answer.headers.get('content-length')
    const bodiless = framed[i]?.method === 'HEAD' || answer.status === 304
    if (answer.whole && !bodiless && length !== undefined && Number(length) !== answer.body.length)
      fault('a length over HTTP/2 that is not that of the body')
    if (!(await judgeAnswer(court, i, answer, false))) return
  }
  if (plan.end !== 'wait' || transcript.stuck || transcript.reset) return
  const missing = [...framed.keys()].filter((i) => !answers.some(({ stream }) => stream === streamOf(i)))
  // Frames that do not belong there end a stream or the connection.
  const odd = ended || plan.frames.some(({ type }) => type !== 'request')
  if (odd && missing.length > 0) excused.add('ended at a frame')
  if (!odd) await judgeMissing(court, missing)
}

/** Judges one answer of those to a client, of which there is one for each request. False: nothing behind it can be judged. */
async function judgeAnswer(court: Court, i: number, answer: ClientAnswer, upgraded: boolean): Promise<boolean> {
  const { prepared, played, late, excused, fault } = court
  const { tags, framed, plan } = prepared
  const { seen } = played
  const tag = tagsIn(answer.headers.get('x-tag') ?? '')[0] ?? tagsIn(answer.body)[0]
  // RFC 9110, 8.6.
  if ((answer.status === 204 || answer.status === 101) && answer.headers.has('content-length'))
    fault(`a ${answer.status} that says a length`)
  if (answer.status === 500 && answer.body.includes('"INTERNAL"')) fault('an answer 500 of the gateway itself')
  // Whose token a public answer was loaded with says nothing of its place.
  if (tag === undefined || framed[i]?.target.startsWith('/pub/') === true) return true
  // Where a mutation has damaged the path, a service knows its script by the token.
  const byToken = seen.some((one) => one.tag === tag && one.target === framed[i]?.target)
  const asked = byToken ? tag : tagsIn(framed[i]?.target ?? '')[0]
  // Also where the request's own tag was damaged by a mutation.
  if (asked !== tag && hasRaced(court, tag, false)) return false
  if (asked === undefined) fault('the answer of a service to what was no request')
  else if (asked !== tag && tags.includes(tag))
    fault(`another's answer: of the same client, ${late.get(tag)?.what ?? 'in another order'}`)
  else if (asked === tag && !upgraded) {
    const answered = seen.findLast((one) => one.tag === tag)
    if (answered === undefined) fault('an answer although no service saw its request')
    else await compare(court, tags.indexOf(tag), answer, answered)
  } else if (upgraded && plan.requests.length > 0) excused.add('upgraded')
  return true
}

/** What a service has answered whole, and in time, reaches its client. */
async function judgeMissing({ prepared, played, excused, fault }: Court, missing: readonly number[]): Promise<void> {
  const { plan, tags, framed } = prepared
  for (const i of missing) {
    const one = framed[i]!
    if (!one.whole || one.upgrade) continue
    const tag = tagsIn(one.target)[0]
    const request = tag === undefined ? undefined : played.seen.findLast((other) => other.tag === tag)
    if (request === undefined) continue
    const broken = plan.requests[tags.indexOf(tag!)]?.answer.end === 'reset'
    // An answer that this process had no time to write whole, or within the gateway's patience, is none.
    if (broken || request.tookMs === undefined || request.tookMs > PATIENCE_MS) excused.add('not answered in time')
    // No frames of HTTP/2 have a head of 64 KiB (nghttp2): its stream is reset.
    else if (prepared.kind === 'http2' && isLong(plan.requests[tags.indexOf(tag!)]!.answer)) excused.add('a long head')
    // RFC 9113, 8.1.1: a body of another length than was said is malformed, which ends its stream, also when a service answered before it ended.
    else if (prepared.kind === 'http2' && request.early && lies(plan.requests[tags.indexOf(tag!)]!))
      excused.add('another length than was said')
    // What breaks off before a byte of it was passed on is told by the end of the connection.
    else if ((await referenceOf(plan, tags.indexOf(tag!), request))?.whole === true)
      fault('a service answered a request, and its client was not')
  }
}

/** It says a length that its body does not have. */
function lies({ body }: RequestPlan): boolean {
  return body.framing === 'length' && body.lie !== 0
}

/** Its head is as long as what is read at once. */
function isLong({ late, lateWhen }: AnswerPlan): boolean {
  return late !== 'nothing' && lateWhen === 'next read'
}

/** The client has ended it before all could come. */
function isCut(transcript: Transcript, plan: ClientPlan): boolean {
  return transcript.closedBy === 'client' || plan.end !== 'wait'
}

/** An answer that was passed on is the one that undici reads; it is stricter at most. */
async function compare(
  { prepared: { plan, kind }, played: { transcript }, excused, fault }: Court,
  index: number,
  answer: ClientAnswer,
  request: SeenRequest
): Promise<void> {
  const script = plan.requests[index]?.answer
  if (script === undefined) return
  const reference = await referenceOf(plan, index, request)
  if (reference === undefined) {
    fault('it passes an answer on that undici refuses')
    return
  }
  if (reference.status !== answer.status) fault(`status ${answer.status} for ${reference.status}`)
  // Coded on its way.
  if (answer.headers.has('content-encoding')) {
    excused.add('coded')
    return
  }
  // What says where it ends is whole, whoever ends the connection.
  if (!answer.whole || (answer.untilClose && (transcript.reset || isCut(transcript, plan)))) {
    excused.add('cut')
    return
  }
  // A 205 has no content (RFC 9110, 15.3.6), and HTTP/2 has no place for what a service sends all the same.
  const body = kind === 'http2' && answer.status === 205 ? '' : reference.body
  if (!reference.whole) {
    if (script.end === 'reset') excused.add('reset by the service')
    else fault('half an answer as a whole one')
  } else if (body !== answer.body) fault('another body than the service sent')
}

/** What undici reads where a service answers as planned. */
async function referenceOf(plan: ClientPlan, index: number, request: SeenRequest): Promise<UndiciAnswer | undefined> {
  const script = plan.requests[index]!.answer
  const made = answerBytes(script, request.tag!, {
    method: request.method,
    upgrade: false,
    key: undefined
  })
  const sent = made.answer.subarray(0, Math.ceil((made.answer.length * script.sent) / 1_000))
  const bytes = script.sent === 1_000 ? Buffer.concat([sent, made.late]) : sent
  const untilClose = script.body.framing === 'until close' && script.sent === 1_000
  const ends = script.end === 'end' || script.end === 'reset' || untilClose || givesUp(script, request.tag!)
  return undiciReads(request.method, bytes, ends)
}
