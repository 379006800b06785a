import { createHash } from 'node:crypto'
import { randomOf } from '@skerry/testing'
import type { AnswerPlan, Body, ClientPlan, ListField, Mutation, RequestPlan } from './model.ts'

const LOOK = /q[0-9a-z]{13}z/g
const TAG_LENGTH = 15
/** What a read brings at most, of Node and of the gateway's own connections. */
const READ_AT_ONCE = 65_536

/** The tag of a request of a case; its last characters check the others. */
export function tagOf(seed: number, round: number, number: number, request: number): string {
  const random = randomOf(`${seed} round ${round} case ${number} request ${request}`)
  const noise = Math.floor(random() * 36 ** 3)
  // With the number of the request: of a million cases some had two with the same tag.
  const said = `q${base36(number, 5)}${base36(request, 1)}${base36(noise, 3)}`
  return `${said}${check(said)}z`
}

/** The tags in a text, each as often as it is there. What looks like one and was damaged by a mutation is nobody's. */
export function tagsIn(text: string): string[] {
  return (text.match(LOOK) ?? []).filter((tag) => check(tag.slice(0, 10)) === tag.slice(10, 14))
}

function check(said: string): string {
  return base36(Math.floor(randomOf(said)() * 36 ** 4), 4)
}

function base36(value: number, length: number): string {
  return value.toString(36).padStart(length, '0').slice(-length)
}

/** `size` bytes that say whose they are, all through. */
export function filled(tag: string, size: number): string {
  const unit = `${tag}|`
  return unit.repeat(Math.ceil(size / unit.length)).slice(0, size)
}

function listLine({ name, member, count }: ListField): string {
  return `${name}: ${Array(count).fill(member).join(',')}\r\n`
}

/** Where the parts of a message are, and its text. */
export type Written = { head: string; body: string }

/** The lines that announce a body, and the body. */
function written(body: Body, content: string): { lines: string; bytes: string } {
  const told = Math.max(0, content.length + body.lie)
  const length = `content-length: ${body.lie <= -1_000 ? body.lie : told}\r\n`
  const chunkSize = Math.max(0, content.length + (body.lie <= -1_000 ? 0 : body.lie))
  const trailers = Array.from({ length: body.trailers }, (_, i) => `x-trailer-${i}: ${i}\r\n`).join('')
  const half = content.length >> 1
  // Two chunks, the second of which lies.
  const chunk = (text: string, size: number) =>
    text === '' ? '' : `${size.toString(16)}${body.extension}\r\n${text}\r\n`
  const chunks = `${chunk(content.slice(0, half), half)}${chunk(content.slice(half), chunkSize - half)}0\r\n${trailers}\r\n`
  switch (body.framing) {
    case 'none':
      return { lines: '', bytes: '' }
    case 'until close':
      return { lines: '', bytes: content }
    case 'length':
      return { lines: length, bytes: content }
    case 'chunked':
      return { lines: 'transfer-encoding: chunked\r\n', bytes: chunks }
    case 'both':
      return { lines: `${length}transfer-encoding: chunked\r\n`, bytes: chunks }
    case 'two lengths':
      return { lines: `content-length: ${content.length}\r\n${length}`, bytes: content }
  }
}

/** Methods that have routes of their own. */
export const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']
const STREAMED = new Set([...METHODS, 'HEAD'])

/** Where a request of its own goes: one in four asks a route whose bodies, both, pass through as they come (`body: 'stream'`). */
export function ownPath({ method, upgrade }: RequestPlan, tag: string): string {
  const streams = STREAMED.has(method) && upgrade === 'none' && tag.charCodeAt(8) % 4 === 0
  return `${streams ? '/f' : '/s'}/${tag}`
}

/** The path of a request where a client can say nothing else in its place, as over HTTP/2. */
export function pathOf(plan: RequestPlan, tag: string): string {
  return plan.target === 'public' || plan.target === 'gateway' ? targetOf(plan, tag) : ownPath(plan, tag)
}

/** The place in paths that answers are kept for; `tag` goes in the token there, since all callers share the path. */
function targetOf(plan: RequestPlan, tag: string): string {
  switch (plan.target) {
    case 'own':
      return ownPath(plan, tag)
    case 'public':
      return `/pub/${tag.charCodeAt(9) % 4}`
    case 'gateway':
      return ['/livez', '/readyz', '/openapi.json', '/nowhere', '/v1/batch', '/docs/events'][tag.charCodeAt(9) % 6]!
    case 'absolute':
      return `http://fuzz/s/${tag}`
    case 'odd':
      return ['*', `/s/../s/${tag}`, `/s/%2e/${tag}`, `//s/${tag}`, `/s/${tag}?${'a'.repeat(9_000)}`, `s/${tag}`][
        tag.charCodeAt(9) % 6
      ]!
  }
}

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

function requestText(plan: RequestPlan, tag: string, last: boolean): string {
  // A GET with a body is refused: one in eight has one, but where the body is what a handshake must not have.
  const bare = (plan.method === 'GET' || plan.method === 'HEAD') && plan.upgrade === 'none' && plan.body.size % 8 !== 0
  const { lines, bytes } = bare ? { lines: '', bytes: '' } : written(plan.body, filled(tag, plan.body.size))
  // A handshake is a GET; one in eight is not.
  const method = plan.upgrade.startsWith('websocket') && plan.body.size % 8 !== 0 ? 'GET' : plan.method
  let head = `${method} ${targetOf(plan, tag)} ${plan.version}\r\nhost: fuzz\r\n`
  if (plan.token || plan.target === 'public') head += `authorization: Bearer ${tag}\r\n`
  if (plan.upgrade === 'h2c')
    head += 'connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n'
  else if (plan.upgrade !== 'none')
    head += `connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ${
      plan.upgrade === 'websocket' ? KEY : 'none'
    }\r\n`
  // Half of the last requests leave the end of the connection to the client.
  else if (last && plan.body.size % 2 === 0) head += 'connection: close\r\n'
  for (const [name, value] of plan.fields) head += `${name}: ${value}\r\n`
  for (const list of plan.lists) head += listLine(list)
  return `${head}${lines}\r\n${bytes}`
}

/** What a client of HTTP/1.1 sends, all of it. */
export function clientBytes(plan: ClientPlan, tags: readonly string[]): Buffer {
  const { requests } = plan
  const text = requests.map((request, i) => requestText(request, tags[i]!, i === requests.length - 1)).join('')
  return Buffer.from(plan.ahead + mutated(text, plan.mutations), 'latin1')
}

/** What a service is asked, as far as its answer depends on it. */
export type Asked = { method: string; upgrade: boolean; key: string | undefined }

/** An answer as it goes over the wire: what belongs to it, and what comes behind it. */
export type AnswerBytes = { answer: Buffer; late: Buffer }

export function answerBytes(plan: AnswerPlan, tag: string, asked: Asked): AnswerBytes {
  const content = filled(tag, plan.body.size)
  const { lines, bytes } = written(plan.body, content)
  let text = ''
  for (const interim of plan.interim) {
    const [status] = interim.split(' ')
    text += `HTTP/1.1 ${status} Early\r\nlink: </x>\r\n${interim.endsWith('length') ? 'content-length: 3\r\n' : ''}\r\n`
    if (interim.endsWith('body')) text += 'abc'
  }
  text += `${plan.version} ${plan.status} Said\r\nx-tag: ${tag}\r\n`
  if (plan.status === '101' && asked.upgrade) {
    text += 'connection: Upgrade\r\nupgrade: websocket\r\n'
    if (plan.accept !== 'none')
      text += `sec-websocket-accept: ${plan.accept === 'right' && asked.key !== undefined ? acceptOf(asked.key) : 'x'}\r\n`
  }
  for (const [name, value] of plan.fields) text += `${name}: ${value}\r\n`
  for (const list of plan.lists) text += listLine(list)
  const bodiless =
    asked.method === 'HEAD' ||
    plan.status === '204' ||
    plan.status === '304' ||
    (plan.status === '101' && asked.upgrade)
  // A 204 has no length; a 304 and an answer to HEAD may tell that of the body they do not have.
  if (plan.status !== '204' || plan.bodyAnyway) text += lines
  const rest = bodiless && !plan.bodyAnyway ? '' : bytes
  if (plan.late !== 'nothing' && plan.lateWhen === 'next read')
    text += padding(READ_AT_ONCE - text.length - rest.length - 2)
  text = mutated(`${text}\r\n${rest}`, plan.mutations)
  return {
    answer: Buffer.from(text, 'latin1'),
    late: Buffer.from(lateText(plan, tag), 'latin1')
  }
}

/** Fields of so many bytes, none of which is long. */
function padding(length: number): string {
  let text = ''
  for (let i = 0; length - text.length >= 100; i++) {
    const size = Math.min(4_000, length - text.length)
    const name = `x-fill-${i}: `
    text += `${name}${'f'.repeat(size - name.length - 2)}\r\n`
  }
  return text
}

function lateText({ late }: AnswerPlan, tag: string): string {
  switch (late) {
    case 'nothing':
      return ''
    case 'line end':
      return '\r\n'
    case 'noise':
      return `${tag} \0\x81\x05noise`
    case 'body':
      return filled(tag, 100)
    case 'answer':
      return `HTTP/1.1 200 OK\r\nx-tag: ${tag}\r\ncontent-length: ${TAG_LENGTH}\r\n\r\n${tag}`
  }
}

function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}

export function mutated(text: string, mutations: readonly Mutation[]): string {
  let result = text
  for (const { kind, place, bytes } of mutations) {
    const at = Math.floor((place * result.length) / 1_000)
    if (kind === 'insert') result = result.slice(0, at) + bytes + result.slice(at)
    else if (kind === 'replace') result = result.slice(0, at) + bytes + result.slice(at + bytes.length)
    else if (kind === 'remove') result = result.slice(0, at) + result.slice(at + 1)
    else result = result.slice(0, at) + result.slice(Math.max(0, at - 20))
  }
  return result
}

/** The pieces in which bytes are sent: cut at places, and only as much as `sent` says. */
export function pieces(bytes: Buffer, cuts: readonly number[], sent: number): Buffer[] {
  const whole = bytes.subarray(0, Math.ceil((bytes.length * sent) / 1_000))
  const ends = cuts.map((cut) => Math.floor((cut * whole.length) / 1_000)).sort((a, b) => a - b)
  return [...ends, whole.length]
    .map((end, i) => whole.subarray(i === 0 ? 0 : ends[i - 1], end))
    .filter((piece) => piece.length > 0)
}
