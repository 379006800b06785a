import { clientBytes } from './bytes.ts'
import { play } from './client.ts'
import { http2Bytes } from './frames.ts'
import type { Gateway } from './gateway.ts'
import { HEADER_LIMIT } from './gateway.ts'
import { type Judgement, judge, type Prepared } from './judge.ts'
import type { ClientPlan } from './model.ts'
import { readAnswers } from './read-answers.ts'
import { framedIn, hasAll } from './read-http2.ts'
import { createRequestReference } from './reference.ts'
import type { HostileService, SeenRequest } from './upstream.ts'

/** Far beyond the bounds that gateways under test are given. */
const LONGEST_MS = 20_000

const frameRequests = createRequestReference(HEADER_LIMIT)

/** Bytes and expectations of a case. */
export async function prepare(plan: ClientPlan, number: number, tags: readonly string[]): Promise<Prepared> {
  const spoken = kindOf(plan)
  const bytes =
    spoken === 'http2' ? http2Bytes(plan, tags) : plan.speaks === 'noise' ? noise(plan, tags) : clientBytes(plan, tags)
  const sent = bytes.subarray(0, Math.ceil((bytes.length * plan.sent) / 1_000))
  const said = spoken === 'http1' && bytes.toString('latin1', 0, 3) === 'PRI' ? 'opaque' : spoken
  if (said === 'http2') return { number, plan, tags, bytes, kind: said, framed: framedIn(plan, tags, sent) }
  const framed = said === 'http1' || isNoiseInPlain(plan) ? await frameRequests(sent) : []
  // Some noise is a request: line ends ahead of one are no part of it.
  const kind = isNoiseInPlain(plan) && framed.some(({ refused }) => !refused) ? 'http1' : said
  return { number, plan, tags, bytes, kind, framed: kind === 'http1' ? framed : [] }
}

function isNoiseInPlain({ door, speaks }: ClientPlan): boolean {
  return door === 'plain' && speaks === 'noise'
}

function kindOf({ door, speaks, frames }: ClientPlan): Prepared['kind'] {
  if (door === 'tls') return speaks !== 'tls' ? 'opaque' : frames.length > 0 ? 'http2' : 'http1'
  return speaks === 'http1' ? 'http1' : speaks === 'http2' ? 'http2' : 'opaque'
}

/** Bytes that begin like one thing and are another. */
function noise(plan: ClientPlan, tags: readonly string[]): Buffer {
  const text = clientBytes(plan, tags)
  return Buffer.concat([
    Buffer.from(plan.ahead === '' ? '\x16\x03\x01\x00\xc4\x01' : plan.ahead, 'latin1'),
    text.subarray(text.length >> 1)
  ])
}

export type Doors = { plain: Gateway; tls: Gateway }
export type Outcome = Judgement & { prepared: Prepared; seen: number; answers: number; refused: boolean }

/** Plays one case against the gateways and judges it. */
export async function playCase(
  prepared: Prepared,
  doors: Doors,
  service: HostileService,
  longestMs = LONGEST_MS
): Promise<Outcome> {
  const { plan, tags, framed, kind } = prepared
  const seen: SeenRequest[] = []
  for (const [i, tag] of tags.entries())
    service.expected.set(tag, { answer: plan.requests[i]!.answer, saw: (request) => seen.push(request) })
  const sent = prepared.bytes.subarray(0, Math.ceil((prepared.bytes.length * plan.sent) / 1_000))
  const methods = framed.map(({ method }) => method)
  const whole = framed.filter((one) => one.whole).length
  // One in 64 waits until the gateway has lost its patience with what is not whole.
  const patient = prepared.number % 64 === 0
  const enough = (text: string) => {
    if (kind === 'opaque') return !patient
    if (patient && whole < Math.max(1, framed.length)) return false
    if (kind === 'http2') return hasAll(text, framed, sent)
    const { answers, upgraded } = readAnswers(text, methods)
    return upgraded || answers.filter((one) => one.whole).length >= whole
  }
  const startedAt = performance.now()
  const transcript = await play(plan, prepared.bytes, { port: doors[plan.door].port, longestMs, enough })
  const judgement = await judge(prepared, { transcript, seen, startedAt }, service.late)
  for (const tag of tags) service.expected.delete(tag)
  const answers = transcript.text === '' ? 0 : 1
  return { ...judgement, prepared, seen: seen.length, answers, refused: transcript.refused }
}
