import { connect } from 'node:http2'
import { setImmediate as turn } from 'node:timers/promises'
import { END_HEADERS, END_STREAM, type Frame, frame, PREFACE, TYPE } from '../helpers/http2-frames.ts'
import { pathOf } from './bytes.ts'
import type { ClientPlan, RequestPlan } from './model.ts'
import type { ClientAnswer } from './read-answers.ts'
import type { Framed } from './reference.ts'
import { Scripted } from './scripted.ts'

const PADDED = 8
const PRIORITY = 32
const PUSH_PROMISE = 5

/** The stream of a request, by its place among those of its client. */
export function streamOf(index: number): number {
  return 2 * index + 1
}

/** The whole frames in bytes. */
export function framesIn(bytes: Buffer): Frame[] {
  const frames: Frame[] = []
  for (let at = 0; at + 9 <= bytes.length; ) {
    const end = at + 9 + bytes.readUIntBE(at, 3)
    if (end > bytes.length) break
    const stream = bytes.readUInt32BE(at + 5) & 0x7fffffff
    frames.push({ type: bytes[at + 3]!, flags: bytes[at + 4]!, stream, payload: bytes.subarray(at + 9, end) })
    at = end
  }
  return frames
}

/** What a frame carries, without what it is padded with and what it says of priorities. */
function contentOf({ type, flags, payload }: Frame): Buffer {
  const padding = (flags & PADDED) !== 0 ? (payload[0] ?? 0) : 0
  const from = ((flags & PADDED) !== 0 ? 1 : 0) + (type === TYPE.headers && (flags & PRIORITY) !== 0 ? 5 : 0)
  return payload.subarray(from, Math.max(from, payload.length - padding))
}

/**
 * The requests in what a client of HTTP/2 sends, each at its place. It reads frames alone, and knows from the plan what their heads say; a
 * gateway may refuse more, and sees nothing else.
 */
export function framedIn(plan: ClientPlan, tags: readonly string[], sent: Buffer): Framed[] {
  const framed: (Framed & { begun: boolean })[] = plan.requests.map((request, i) => ({
    method: request.method,
    target: pathOf(request, tags[i]!),
    body: '',
    whole: false,
    upgrade: false,
    refused: isRefused(request),
    last: false,
    begun: false
  }))
  for (const one of framesIn(sent.subarray(PREFACE.length))) {
    const request = one.stream % 2 === 1 ? framed[(one.stream - 1) / 2] : undefined
    if (request === undefined || request.whole) continue
    if (one.type === TYPE.headers) {
      request.begun = true
      // What follows has no meaning, and goes nowhere: only a length tells of it before it comes.
      if (request.method === 'GET' || request.method === 'HEAD') request.whole = true
    } else if (one.type === TYPE.data && request.begun) request.body += contentOf(one).toString('latin1')
    else continue
    if ((one.flags & END_STREAM) !== 0) request.whole = true
  }
  return framed.map(({ begun, ...request }) => ({ ...request, refused: request.refused || !begun }))
}

/** A host that is none is not heard (nghttp2). Another one than `:authority` is refused (RFC 9113, 8.3.1), and so is a proxy's CONNECT. */
function isRefused({ method, fields }: RequestPlan): boolean {
  return method === 'CONNECT' || fields.some(([name, value]) => name === 'host' && HOST.test(value))
}

const HOST = /^[\w.~!$&'()*+,;=:@%[\]-]+$/

/** The streams that one side has ended or reset, in what it sent. */
function overIn(bytes: Buffer): Set<number> {
  const over = new Set<number>()
  for (const { type, flags, stream } of framesIn(bytes)) {
    const ends = (type === TYPE.headers || type === TYPE.data) && (flags & END_STREAM) !== 0
    if (ends || type === TYPE.reset) over.add(stream)
  }
  return over
}

/** Whether there is nothing more to come of what a client has asked for: each of its whole requests has its end. */
export function hasAll(text: string, framed: readonly Framed[], sent: Buffer): boolean {
  const over = overIn(Buffer.from(text, 'latin1'))
  for (const { type, stream } of framesIn(sent.subarray(PREFACE.length))) if (type === TYPE.reset) over.add(stream)
  return framed.every(({ whole }, i) => !whole || over.has(streamOf(i)))
}

/** An answer, and what is wrong with how it is said. */
export type StreamAnswer = ClientAnswer & { stream: number }
export type Http2Reading = {
  answers: StreamAnswer[]
  /** Faults of their own. */
  faults: string[]
  /** The gateway has ended the connection for an error. */
  ended: boolean
}

/** Headers of HTTP/1.1's connections, which HTTP/2 forbids (RFC 9113, 8.2.2). */
const OF_CONNECTIONS = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'te']

/** Takes apart what a gateway sent on one connection of HTTP/2: frames by hand, heads by nghttp2, which is strict. */
export async function readHttp2(text: string): Promise<Http2Reading> {
  const reading: Http2Reading = { answers: [], faults: [], ended: false }
  const frames = framesIn(Buffer.from(text, 'latin1'))
  if (frames.length > 0 && frames[0]!.type !== TYPE.settings) {
    // What is no preface is answered in HTTP/1.1, which has no frame of that length.
    reading.faults.push('bytes that are no answer')
    return reading
  }
  const blocks: { stream: number; ends: boolean; bytes: Buffer }[] = []
  const order: (Frame | number)[] = []
  let open: { stream: number; ends: boolean; parts: Buffer[] } | undefined
  for (const one of frames) {
    if (open !== undefined && (one.type !== TYPE.continuation || one.stream !== open.stream))
      reading.faults.push('a head that another frame breaks off')
    if (one.type === PUSH_PROMISE) reading.faults.push('a push that nobody allowed')
    if (one.type === TYPE.headers)
      open = { stream: one.stream, ends: (one.flags & END_STREAM) !== 0, parts: [contentOf(one)] }
    else if (one.type === TYPE.continuation) open?.parts.push(one.payload)
    else order.push(one)
    if (open === undefined || (one.flags & END_HEADERS) === 0) continue
    order.push(blocks.push({ stream: open.stream, ends: open.ends, bytes: Buffer.concat(open.parts) }) - 1)
    open = undefined
  }
  const heads = await headsOf(blocks.map(({ bytes }) => bytes))
  const byStream = new Map<number, StreamAnswer>()
  for (const one of order) {
    if (typeof one === 'number') {
      const { stream, ends } = blocks[one]!
      takeHead(reading, byStream, stream, ends, heads[one])
      continue
    }
    const answer = byStream.get(one.stream)
    if (one.type === TYPE.goaway && one.payload.readUInt32BE(4) !== 0) reading.ended = true
    if (one.type !== TYPE.data) continue
    if (answer === undefined || answer.whole) reading.faults.push('a body without its head')
    else {
      answer.body += contentOf(one).toString('latin1')
      answer.whole = (one.flags & END_STREAM) !== 0
    }
  }
  reading.answers = [...byStream.values()]
  return reading
}

function takeHead(
  reading: Http2Reading,
  byStream: Map<number, StreamAnswer>,
  stream: number,
  ends: boolean,
  head: readonly string[] | undefined
): void {
  const answer = byStream.get(stream)
  if (answer !== undefined) {
    // Trailers.
    if (answer.whole || !ends) reading.faults.push('a second head')
    answer.whole = true
    return
  }
  if (head === undefined) {
    reading.faults.push('a head that nghttp2 refuses')
    return
  }
  const headers = new Map<string, string>()
  for (let i = 0; i < head.length; i += 2) if (!headers.has(head[i]!)) headers.set(head[i]!, head[i + 1]!)
  if (OF_CONNECTIONS.some((name) => headers.has(name)))
    reading.faults.push("a header of HTTP/1.1's connections over HTTP/2")
  const status = Number(headers.get(':status'))
  if (status < 200) return
  byStream.set(stream, { stream, status, headers, body: '', whole: ends, untilClose: false })
}

/** The heads in blocks of one connection, in the order in which they came; undefined for what is no head of an answer. */
async function headsOf(blocks: readonly Buffer[]): Promise<(string[] | undefined)[]> {
  const heads: (string[] | undefined)[] = blocks.map(() => undefined)
  if (blocks.length === 0) return heads
  const socket = new Scripted()
  const session = connect('http://reference', { createConnection: () => socket })
  session.on('error', () => undefined)
  for (const i of blocks.keys()) {
    // Each on a stream of its own: what comes behind a head is no matter here.
    const stream = session.request({ ':path': '/' }, { endStream: false })
    stream.on('error', () => undefined)
    const take = (_headers: unknown, _flags: number, raw: unknown) => {
      heads[i] = raw as string[]
    }
    stream.on('response', take)
    stream.on('headers', take)
  }
  await turn()
  await turn()
  socket.push(frame(TYPE.settings, 0, 0))
  // In frames of 16 KiB at most.
  for (const [i, block] of blocks.entries())
    for (let at = 0; at === 0 || at < block.length; at += 16_384) {
      const flags = at + 16_384 >= block.length ? END_HEADERS : 0
      socket.push(
        frame(at === 0 ? TYPE.headers : TYPE.continuation, flags, streamOf(i), block.subarray(at, at + 16_384))
      )
    }
  await turn()
  await turn()
  session.destroy()
  socket.destroy()
  return heads
}
