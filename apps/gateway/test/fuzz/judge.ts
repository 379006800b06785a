import { answerBytes, tagsIn } from './bytes.ts'
import type { Transcript } from './client.ts'
import type { ClientPlan } from './model.ts'
import { type ClientAnswer, readAnswers } from './read-answers.ts'
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

export type Played = { transcript: Transcript; seen: readonly SeenRequest[] }

const REPEATABLE = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS'])
/** UPSTREAM_RETRIES of a gateway as it comes, and the first one. */
const ATTEMPTS = 3

/** What was wrong with a case, each with a name that is the same for all of its kind. Empty when all was right. */
export async function judge(
  prepared: Prepared,
  played: Played,
  late: ReadonlyMap<string, LateBytes>
): Promise<{ faults: string[]; raced: boolean }> {
  const faults: string[] = []
  let raced = false
  const { kind, tags, plan } = prepared
  const { transcript } = played
  if (transcript.stuck) faults.push('stuck: neither answered nor closed')
  const own = new Set(tags)
  const shared = plan.requests.some(({ target }) => target === 'public')
  for (const tag of new Set(tagsIn(transcript.text))) {
    if (own.has(tag)) continue
    if (late.get(tag)?.mayRace === true) {
      raced = true
      continue
    }
    faults.push(`another's answer: ${shared ? 'of a public route' : (late.get(tag)?.what ?? 'not by late bytes')}`)
  }
  judgeSeen(prepared, played, faults)
  if (kind === 'http1') await judgeAnswers(prepared, played, late, faults)
  return { faults, raced }
}

/** Whatever a service saw was sent, is whole, and came no more often than it may be repeated. */
function judgeSeen({ kind, plan, tags, framed }: Prepared, { seen }: Played, faults: string[]): void {
  if (kind === 'opaque') {
    if (seen.length > 0) faults.push('a request out of what is none')
    return
  }
  const count = new Map<string, number>()
  for (const { tag, method, target, body } of seen) {
    const key = `${tag} ${method}`
    count.set(key, (count.get(key) ?? 0) + 1)
    if (kind === 'http2') continue
    const loads = target.startsWith('/pub/') && method === 'GET'
    const same = framed.filter(
      (one) => !one.refused && one.target === target && (one.method === method || (loads && one.method === 'HEAD'))
    )
    if (same.length === 0) faults.push('a service saw a request that the reference does not frame')
    else if (!same.some((one) => one.whole && one.body === body))
      faults.push('a service saw another body than was sent')
    else {
      const keyed = plan.requests.some(({ fields }) => fields.some(([name]) => name === 'idempotency-key'))
      const most = same.length * (REPEATABLE.has(method) || keyed ? ATTEMPTS : 1)
      if (count.get(key)! > most) faults.push('a request was sent more often than it may be')
    }
  }
  if (kind === 'http2')
    for (const [i, tag] of tags.entries()) {
      const { method } = plan.requests[i]!
      if ((count.get(`${tag} ${method}`) ?? 0) > (REPEATABLE.has(method) ? ATTEMPTS : 1))
        faults.push('a request was sent more often than it may be')
    }
}

async function judgeAnswers(
  { plan, tags, framed }: Prepared,
  { transcript, seen }: Played,
  late: ReadonlyMap<string, LateBytes>,
  faults: string[]
): Promise<void> {
  const { text } = transcript
  const { answers, rest, upgraded } = readAnswers(
    text,
    framed.map(({ method }) => method)
  )
  if (rest !== '' && !transcript.reset && !isCut(transcript, plan)) faults.push('bytes that are no answer')
  if (answers.length > framed.length + 1) faults.push('more answers than requests')
  if (upgraded && framed[answers.length - 1]?.upgrade !== true) faults.push('an upgrade that nobody asked for')
  for (const [i, answer] of answers.entries()) {
    const tag = tagsIn(answer.headers.get('x-tag') ?? '')[0] ?? tagsIn(answer.body)[0]
    if (answer.status === 500 && answer.body.includes('"INTERNAL"')) faults.push('an answer 500 of the gateway itself')
    // Whose token a public answer was loaded with says nothing of its place.
    if (tag === undefined || framed[i]?.target.startsWith('/pub/') === true) continue
    // Where a mutation has damaged the path, a service knows its script by the token.
    const byToken = seen.some((one) => one.tag === tag && one.target === framed[i]?.target)
    const asked = byToken ? tag : tagsIn(framed[i]?.target ?? '')[0]
    // Also where the request's own tag was damaged by a mutation.
    if (asked !== tag && late.get(tag)?.mayRace === true) return
    if (asked === undefined) faults.push('the answer of a service to what was no request')
    else if (asked !== tag && tags.includes(tag)) {
      faults.push(`another's answer: of the same client, ${late.get(tag)?.what ?? 'in another order'}`)
    } else if (asked === tag && !upgraded) {
      const answered = seen.findLast((one) => one.tag === tag)
      if (answered === undefined) faults.push('an answer although no service saw its request')
      else await compare(plan, tags.indexOf(tag), answer, answered, transcript, faults)
    }
  }
  // The gateway ends a connection at once at a CONNECT, and at an upgrade behind requests that have no answer yet, whatever came before.
  const ends =
    framed.some(({ method, upgrade }) => method === 'CONNECT' || upgrade) ||
    plan.requests.some(({ method }) => method === 'CONNECT')
  if (transcript.closedBy === 'gateway' && plan.end === 'wait' && !transcript.stuck && !transcript.reset && !ends)
    for (const [i, one] of framed.entries()) {
      if (answers.length > i || !one.whole || one.upgrade) continue
      const tag = tagsIn(one.target)[0]
      const request = tag === undefined ? undefined : seen.findLast((other) => other.tag === tag)
      const broken = plan.requests[tag === undefined ? -1 : tags.indexOf(tag)]?.answer.end === 'reset'
      if (request === undefined || broken || !answers.every(({ whole }) => whole)) continue
      // An answer that this process had no time to write whole, or within the gateway's patience, is none.
      if (request.tookMs === undefined || request.tookMs > PATIENCE_MS) continue
      // What breaks off before a byte of it was passed on is told by the end of the connection.
      if ((await referenceOf(plan, tags.indexOf(tag!), request))?.whole === true)
        faults.push('a service answered a request, and its client was not')
    }
}

/** The client has ended it before all could come. */
function isCut(transcript: Transcript, plan: ClientPlan): boolean {
  return transcript.closedBy === 'client' || plan.end !== 'wait'
}

/** An answer that was passed on is the one that undici reads; it is stricter at most. */
async function compare(
  plan: ClientPlan,
  index: number,
  answer: ClientAnswer,
  request: SeenRequest,
  transcript: Transcript,
  faults: string[]
): Promise<void> {
  const script = plan.requests[index]?.answer
  if (script === undefined) return
  const reference = await referenceOf(plan, index, request)
  if (reference === undefined) {
    faults.push('it passes an answer on that undici refuses')
    return
  }
  if (reference.status !== answer.status) faults.push(`status ${answer.status} for ${reference.status}`)
  // Coded on its way.
  if (answer.headers.has('content-encoding')) return
  const whole = answer.whole && (!answer.untilClose || !transcript.reset)
  if (!whole || isCut(transcript, plan)) return
  if (!reference.whole && script.end !== 'reset') faults.push('half an answer as a whole one')
  else if (reference.whole && reference.body !== answer.body) faults.push('another body than the service sent')
}

/** What undici reads where a service answers as planned. */
async function referenceOf(plan: ClientPlan, index: number, request: SeenRequest): Promise<UndiciAnswer | undefined> {
  const script = plan.requests[index]!.answer
  // undici takes a 100 that it has not asked for to be an error; RFC 9110 (15.2) has it passed over as any other 1xx.
  const interim = script.interim.map((status) => status.replace(/^100/, '103'))
  const made = answerBytes({ ...script, interim }, request.tag!, {
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
