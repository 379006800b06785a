import { connect } from 'node:net'

export type Answer = { status: number; headers: Map<string, string>; body: string }

export type Conversation = {
  /** Final answers in their order; 1xx are left out. */
  answers: Answer[]
  /** What came after the last whole answer. */
  rest: string
  /** The server had not closed the connection when `LONGEST_MS` were over. */
  stuck: boolean
}

/** Far beyond all timeouts that a gateway under test is given: it is for it to end each conversation. */
const LONGEST_MS = 120_000

/**
 * Sends the parts, each in a write and so mostly a segment of its own, and reads until the server closes the connection. The client
 * never closes first: whatever it sent is answered or refused before.
 *
 * @param options `writesFirst`: reads nothing until all is written, as simple clients do; `enough`: leaves after so many answers
 */
export function converse(
  port: number,
  parts: readonly Buffer[],
  options: { writesFirst?: boolean; enough?: number } = {}
): Promise<Conversation> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    if (options.writesFirst === true) socket.pause()
    const chunks: Buffer[] = []
    let stuck = false
    let next = 0
    const write = () => {
      const part = parts[next++]
      if (part !== undefined && socket.writable) socket.write(part, () => setImmediate(write))
      else socket.resume()
    }
    socket.once('connect', write)
    const read = () => readAnswers(Buffer.concat(chunks).toString('latin1'))
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      if (options.enough !== undefined && read().answers.length >= options.enough) socket.destroy()
    })
    // A server that refuses a request may close while it is still being written.
    socket.on('error', () => socket.destroy())
    const timer = setTimeout(() => {
      stuck = true
      socket.destroy()
    }, LONGEST_MS)
    socket.once('close', () => {
      clearTimeout(timer)
      resolve({ ...read(), stuck })
    })
  })
}

const STATUS_LINE = /^HTTP\/1\.1 (\d{3}) [^\r\n]*$/

/** Takes apart what a server sent. An answer to HEAD is known by the next answer, or nothing, in place of its body. */
export function readAnswers(text: string): { answers: Answer[]; rest: string } {
  const answers: Answer[] = []
  let at = 0
  for (;;) {
    const end = text.indexOf('\r\n\r\n', at)
    const [first = '', ...lines] = end === -1 ? [] : text.slice(at, end).split('\r\n')
    const status = Number(STATUS_LINE.exec(first)?.[1])
    if (Number.isNaN(status)) return { answers, rest: text.slice(at) }
    const headers = new Map(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()])
    )
    const body = end + 4
    const headOnly = status < 200 || body === text.length || text.startsWith('HTTP/1.1 ', body)
    const bodyEnd = headOnly ? body : endOfBody(text, body, headers)
    if (bodyEnd > text.length) return { answers, rest: text.slice(at) }
    // 100 and 103 announce an answer, they are none; after a 101 there is no HTTP.
    if (status >= 200 || status === 101) answers.push({ status, headers, body: text.slice(body, bodyEnd) })
    at = bodyEnd
  }
}

function endOfBody(text: string, start: number, headers: Map<string, string>): number {
  if (headers.get('transfer-encoding') === undefined) return start + Number(headers.get('content-length') ?? 0)
  if (text.startsWith('0\r\n\r\n', start)) return start + 5
  const end = text.indexOf('\r\n0\r\n\r\n', start)
  return end === -1 ? Number.POSITIVE_INFINITY : end + 7
}
