import { block, END_HEADERS, END_STREAM, frame, PREFACE, TYPE, uint32 } from '../helpers/http2-frames.ts'
import { pathOf } from './bytes.ts'
import type { ClientPlan, FramePlan } from './model.ts'

const WINDOW = 2 ** 20
/** The initial window of each stream (RFC 9113, 6.5.2). */
const WINDOWS = Buffer.concat([Buffer.from([0, 4]), uint32(WINDOW)])

/**
 * What a client of HTTP/2 sends: the preface, its settings, a stream for each of its requests, and frames that a case adds, in which the
 * length, the flags and the stream need not fit.
 */
export function http2Bytes(plan: ClientPlan, tags: readonly string[]): Buffer {
  // One in four takes no more than it is given without asking, and is held up by its window.
  const wide = tags[0]!.charCodeAt(8) % 4 !== 0
  const parts = wide
    ? [PREFACE, frame(TYPE.settings, 0, 0, WINDOWS), frame(TYPE.windowUpdate, 0, 0, uint32(WINDOW))]
    : [PREFACE, frame(TYPE.settings, 0, 0)]
  const request = (i: number) => {
    const asked = plan.requests[i]!
    const { method, body, fields, lists } = asked
    const content = body.framing === 'none' ? '' : `${tags[i]!}|`.repeat(20).slice(0, Math.min(300, body.size))
    const ends = content === '' ? END_STREAM : 0
    const own = [
      [':method', method],
      [':scheme', plan.speaks === 'tls' ? 'https' : 'http'],
      [':path', pathOf(asked, tags[i]!)],
      [':authority', 'fuzz'],
      ...(asked.token || asked.target === 'public' ? [['authorization', `Bearer ${tags[i]!}`] as const] : []),
      ...(body.framing === 'length' || body.framing === 'both'
        ? [['content-length', String(Math.max(0, content.length + body.lie))] as const]
        : []),
      ...fields.map(([name, value]) => [name.toLowerCase(), value] as const),
      ...lists.map(({ name, member, count }) => [name, Array(count).fill(member).join(',')] as const)
    ] as [string, string][]
    const written = block(own)
    const stream = 2 * i + 1
    // Long header lists come in continuations.
    const pieces: Buffer[] = []
    for (let at = 0; at < written.length; at += 16_384) pieces.push(written.subarray(at, at + 16_384))
    pieces.forEach((piece, at) => {
      const flags = at === pieces.length - 1 ? END_HEADERS : 0
      parts.push(
        at === 0 ? frame(TYPE.headers, flags | ends, stream, piece) : frame(TYPE.continuation, flags, stream, piece)
      )
    })
    if (content !== '') parts.push(frame(TYPE.data, END_STREAM, stream, content))
  }
  let next = 0
  for (const one of plan.frames) {
    if (one.type === 'request') {
      if (next < plan.requests.length) request(next++)
    } else for (let i = 0; i < one.times; i++) parts.push(oddFrame(one))
  }
  while (next < plan.requests.length) request(next++)
  return Buffer.concat(parts)
}

function oddFrame({ type, stream, flags, size, lie }: FramePlan): Buffer {
  const made = frame(typeOf(type), flags, stream, payloadOf(type, size))
  if (lie !== 0) made.writeUIntBE(Math.max(0, made.length - 9 + lie), 0, 3)
  return made
}

function typeOf(type: FramePlan['type']): number {
  switch (type) {
    case 'request':
    case 'headers':
      return TYPE.headers
    case 'window':
      return TYPE.windowUpdate
    case 'unknown':
      return 0xfa
    default:
      return TYPE[type]
  }
}

function payloadOf(type: FramePlan['type'], size: number): Buffer {
  switch (type) {
    case 'reset':
    case 'window':
      return uint32(size)
    case 'settings':
      // Which setting, and a value that may be none.
      return Buffer.concat([Buffer.from([0, size % 8]), uint32((size * 66_000) % 2 ** 32)]).subarray(
        0,
        6 * (size % 3 === 0 ? 0 : 1)
      )
    case 'ping':
      return Buffer.alloc(size % 5 === 0 ? 7 : 8)
    case 'priority':
      return Buffer.alloc(size % 5 === 0 ? 4 : 5)
    case 'goaway':
      return Buffer.concat([uint32(1), uint32(size)])
    default:
      return Buffer.alloc(Math.min(size, 65_535), 0x82)
  }
}
