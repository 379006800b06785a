import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { type Asked, answerBytes, pieces, tagsIn } from './bytes.ts'
import type { AnswerPlan } from './model.ts'

/** A request as it reached the service. */
export type SeenRequest = {
  tag: string | undefined
  method: string
  target: string
  body: string
  /** Answered before its body was here; `body` is what had come by then. */
  early: boolean
  /** How long its answer took until its last part was written, ms; undefined where it was not. */
  tookMs?: number
}

/** What is to be answered to whoever carries a tag, and who is told that it came. */
export type Expected = { answer: AnswerPlan | undefined; saw(request: SeenRequest): void }

/**
 * Bytes behind an answer. `mayRace`: they came in a write of their own, behind an answer that was whole by its own account. Whoever sends the
 * next request in that moment cannot know of them, and takes them for its answer.
 */
export type LateBytes = { what: string; mayRace: boolean /** `performance.now()` */; sentAt: number }

export type HostileService = {
  url: string
  /** By tag. */
  expected: Map<string, Expected>
  /** What reached it and was not as a gateway must write it. */
  faults: string[]
  /** Requests whose tag nobody expects: damaged by mutations. */
  strangers: number
  /** Answers that were somebody else's late bytes, by who was faster. */
  raced: number
  /** By tag: what was sent behind an answer, when nobody had asked for it. The last of them. */
  late: Map<string, LateBytes>
  connections(): number
  close(): Promise<void>
}

/** One field a line, nothing folded, no white space but one space, no byte that any parser takes for an end of line. */
const CANONICAL =
  /^([A-Z-]+) (\/[\x21-\x7e]*) HTTP\/1\.1\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[\t\x20-\x7e\x80-\xff]*\r\n)+)\r\n/
const SOON_MS = 3
const MOST_LATE = 2_000
/** Late bytes that came so long ago are no matter of who was faster. */
const LONGEST_RACE_MS = 1_000
const GIVES_UP_MS = 20

/**
 * A service that answers as cases say: late, too much, too little, broken, in pieces, with resets. It reads with a regular expression that
 * knows one way to write a request, and owes nothing to the code under test.
 */
export async function startHostile(): Promise<HostileService> {
  const expected = new Map<string, Expected>()
  const sockets = new Set<Socket>()
  const service: Omit<HostileService, 'url'> = {
    expected,
    faults: [],
    strangers: 0,
    raced: 0,
    late: new Map(),
    connections: () => sockets.size,
    close: async () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    }
  }
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    serve(socket, service)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return Object.assign(service, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
}

function serve(socket: Socket, service: Omit<HostileService, 'url'>): void {
  let text = ''
  let busy = false
  /** How the body is framed that follows a head which has been answered already. */
  let pending: BodyFraming | undefined
  /** When bytes that nobody asked for were sent, behind the last answer. */
  let lateAt: number | undefined
  /** Ends the connection behind an answer that may not be whole, unless another request shows that it was. */
  let givingUp: NodeJS.Timeout | undefined
  const fault = (what: string) => {
    service.faults.push(`${what}: ${JSON.stringify(text.slice(0, 600))}`)
    socket.destroy()
  }
  const read = () => {
    if (pending !== undefined) {
      const sent = bodyIn(text, pending)
      if (sent === 'broken') fault('a chunk that is not canonical')
      if (sent === 'broken' || !sent.whole) return
      text = text.slice(sent.end)
      // What is behind it waits: its answer may be whole already, with late bytes of the case still to come.
      pending = undefined
    }
    if (busy || text === '' || socket.destroyed) return
    const end = text.indexOf('\r\n\r\n')
    if (end === -1) {
      if (text.length > 100_000) fault('a head without end')
      return
    }
    const found = CANONICAL.exec(text)
    if (found === null) {
      fault('a request that is not canonical')
      return
    }
    const [head, method, target, fields] = found as unknown as [string, string, string, string]
    const lower = fields.toLowerCase()
    const lengths = lower.match(/(?:^|\n)content-length: ?\d+(?=\r\n)/g) ?? []
    const codings = lower.match(/(?:^|\n)transfer-encoding:.*(?=\r\n)/g) ?? []
    const chunked = codings.length === 1 && /: ?chunked$/.test(codings[0]!) && isStreamed(target)
    if (lengths.length + codings.length > 1 || (codings.length === 1 && !chunked)) {
      fault('two framings')
      return
    }
    if ((lower.match(/(?:^|\n)host:/g) ?? []).length !== 1) {
      fault('not one host')
      return
    }
    const framing: BodyFraming = chunked ? 'chunked' : Number(/\d+/.exec(lengths[0] ?? '0')![0])
    const sent = bodyIn(text.slice(head.length), framing)
    if (sent === 'broken') {
      fault('a chunk that is not canonical')
      return
    }
    const early = !sent.whole && isStreamed(target) && target.charCodeAt(target.length - 5) % 2 === 0
    if (!sent.whole && !early) return
    const { body } = sent
    text = text.slice(head.length + (early ? 0 : sent.end))
    if (lateAt !== undefined) {
      if (performance.now() - lateAt > LONGEST_RACE_MS) fault('a request on a connection whose bytes nobody looked at')
      // It may have taken the late bytes for the answer; what came here would be that to the next one.
      else socket.destroy()
      return
    }
    // A public route is asked for all, and the gateway takes the token away. A damaged name that is no token's would be a header like any other.
    const tag = tagsIn(target)[0] ?? tagsIn(/(?:^|\n)authorization: ?([^\r]*)/i.exec(fields)?.[1] ?? '')[0]
    const one = tag === undefined ? undefined : service.expected.get(tag)
    if (tag !== undefined && one === undefined) service.strangers++
    const request: SeenRequest = { tag, method, target, body, early }
    const seenAt = performance.now()
    one?.saw(request)
    const upgrade = /(?:^|\n)upgrade: ?websocket/.test(lower)
    if (upgrade) text = ''
    if (early) pending = framing
    else if (text !== '') {
      fault('bytes behind a request that has no answer yet')
      return
    }
    busy = true
    clearTimeout(givingUp)
    const asked: Asked = { method, upgrade, key: /(?:^|\n)sec-websocket-key: ?([^\r]*)/i.exec(fields)?.[1] }
    // Who is not known gets what was understood, and nobody's tag.
    if (tag === undefined || one?.answer === undefined) {
      const said = method === 'HEAD' ? '' : (tag ?? 'nobody')
      socket.write(
        `HTTP/1.1 200 OK\r\nx-tag: ${tag ?? 'nobody'}\r\ncontent-length: ${said.length}\r\n\r\n${said}`,
        'latin1'
      )
      busy = false
      read()
      return
    }
    const { answer } = one
    if (answer.late !== 'nothing') {
      const mayRace = isApart(answer)
      const what = `late ${answer.late} (${answer.lateWhen}) behind ${answer.status} to ${method}, ${answer.body.framing}`
      service.late.set(tag, { what, mayRace, sentAt: performance.now() })
      if (service.late.size > MOST_LATE) service.late.delete(service.late.keys().next().value!)
    }
    const written = () => {
      request.tookMs = performance.now() - seenAt
    }
    const giveUp = () => {
      givingUp = setTimeout(() => socket.end(), GIVES_UP_MS)
    }
    const free = () => {
      busy = false
      if (answer.late !== 'nothing' && isApart(answer)) lateAt = performance.now()
      read()
    }
    play(socket, answer, tag, asked, { written, giveUp, free })
  }
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1')
    read()
  })
  socket.on('error', () => socket.destroy())
}

/** A number of bytes, or chunks. */
type BodyFraming = number | 'chunked'

/** Of routes with `body: 'stream'`, whose bodies keep the framing that the client gave them. */
function isStreamed(target: string): boolean {
  return target.startsWith('/f/')
}

/** The body at the start of a text, as far as it is there, and where it ends; broken: chunks that nobody should write. */
function bodyIn(text: string, framing: BodyFraming): { body: string; whole: boolean; end: number } | 'broken' {
  if (framing !== 'chunked')
    return { body: text.slice(0, framing), whole: text.length >= framing, end: Math.min(text.length, framing) }
  let body = ''
  let at = 0
  for (;;) {
    const line = text.indexOf('\r\n', at)
    if (line === -1) return { body, whole: false, end: at }
    const size = text.slice(at, line)
    if (!/^[0-9a-f]{1,8}$/i.test(size)) return 'broken'
    const data = line + 2
    const length = Number.parseInt(size, 16)
    if (length === 0) {
      // Trailers, or the empty line at once.
      const end = text.indexOf('\r\n\r\n', line)
      return { body, whole: end !== -1, end: end + 4 }
    }
    if (text.length < data + length + 2) return { body: body + text.slice(data, data + length), whole: false, end: at }
    if (text.slice(data + length, data + length + 2) !== '\r\n') return 'broken'
    body += text.slice(data, data + length)
    at = data + length + 2
  }
}

/** Answers as a case says; `written` is called when all of the answer is, `free` when the next request may be read. */
function play(
  socket: Socket,
  plan: AnswerPlan,
  tag: string,
  asked: Asked,
  { written, giveUp, free }: { written(): void; giveUp(): void; free(): void }
): void {
  const { answer, late } = answerBytes(plan, tag, asked)
  const parts = pieces(answer, plan.cuts, plan.sent)
  const untilClose = plan.body.framing === 'until close' && plan.sent === 1_000
  const finish = () => {
    if (plan.end === 'reset') socket.resetAndDestroy()
    else if (plan.end === 'end' || untilClose) socket.end()
    else {
      // What may not be whole is seldom left to the patience of the gateway: it costs a connection for as long.
      if (givesUp(plan, tag)) giveUp()
      if (plan.end === 'keep' && plan.sent === 1_000) free()
    }
  }
  const sendLate = () => {
    if (late.length > 0 && socket.writable) socket.write(late)
    finish()
  }
  if (!isApart(plan) && late.length > 0 && plan.sent === 1_000)
    parts[parts.length - 1] = Buffer.concat([parts.at(-1) ?? Buffer.alloc(0), late])
  let next = 0
  const write = () => {
    if (!socket.writable) return
    const part = parts[next++]
    if (part !== undefined) socket.write(part)
    if (next < parts.length) {
      setImmediate(write)
      return
    }
    written()
    if (!isApart(plan) || late.length === 0 || plan.sent < 1_000) finish()
    else if (plan.lateWhen === 'turn') setImmediate(sendLate)
    else setTimeout(sendLate, SOON_MS)
  }
  write()
}

/** Whether a service ends the connection behind an answer that it would otherwise leave as it is: most of those that may be broken. */
export function givesUp(plan: AnswerPlan, tag: string): boolean {
  return plan.end !== 'hang' && !isHonest(plan) && tag.charCodeAt(7) % 16 !== 0
}

/** Whether an answer is whole, and says so. */
function isHonest({
  mutations,
  sent,
  end,
  body,
  fields,
  lists,
  status,
  interim,
  version,
  bodyAnyway
}: AnswerPlan): boolean {
  return (
    mutations.length + fields.length + lists.length + interim.length === 0 &&
    sent === 1_000 &&
    end === 'keep' &&
    body.lie === 0 &&
    !bodyAnyway &&
    version === 'HTTP/1.1' &&
    /^[2-5]\d\d$/.test(status) &&
    (body.framing === 'length' || body.framing === 'chunked')
  )
}

/** Whether late bytes are sent in a write of their own. */
function isApart({ lateWhen }: AnswerPlan): boolean {
  return lateWhen === 'turn' || lateWhen === 'soon'
}
