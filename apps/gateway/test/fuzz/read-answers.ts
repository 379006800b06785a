/** An answer as a client of HTTP/1.1 reads it. */
export type ClientAnswer = {
  status: number
  /** Names in lower case; the first of a name. */
  headers: Map<string, string>
  body: string
  /** All of it came. What ends with its connection is whole only when that ended in good order. */
  whole: boolean
  untilClose: boolean
}

export type Reading = { answers: ClientAnswer[] /** Bytes that are no answer. */; rest: string; upgraded: boolean }

const STATUS_LINE = /^HTTP\/1\.1 (\d{3})(?: [\t\x20-\x7e\x80-\xff]*)?$/
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/

/**
 * Takes apart what a gateway sent on one connection, strictly: whatever is not how RFC 9112 lets a sender write is in `rest`.
 *
 * @param methods of the requests, in order: answers to HEAD and CONNECT have no body
 */
export function readAnswers(text: string, methods: readonly string[]): Reading {
  const answers: ClientAnswer[] = []
  let at = 0
  while (at < text.length) {
    const end = text.indexOf('\r\n\r\n', at)
    if (end === -1) break
    const [first = '', ...lines] = text.slice(at, end).split('\r\n')
    const status = Number(STATUS_LINE.exec(first)?.[1])
    if (!(status >= 100 && status < 600)) break
    const headers = new Map<string, string>()
    let bad = false
    let codings = 0
    let lengths = 0
    for (const line of lines) {
      const [, name = '', value = ''] = FIELD.exec(line) ?? []
      if (name === '') bad = true
      const key = name.toLowerCase()
      if (key === 'content-length') lengths++
      if (key === 'transfer-encoding') codings++
      if (!headers.has(key)) headers.set(key, value.trimEnd())
    }
    if (bad || lengths + codings > 1) break
    const start = end + 4
    if (status === 101) {
      answers.push({ status, headers, body: text.slice(start), whole: true, untilClose: false })
      return { answers, rest: '', upgraded: true }
    }
    if (status < 200) {
      at = start
      continue
    }
    const method = methods[answers.length] ?? 'GET'
    const answer: ClientAnswer = { status, headers, body: '', whole: true, untilClose: false }
    answers.push(answer)
    if (method === 'HEAD' || status === 204 || status === 304) at = start
    else if (codings === 1) {
      const chunks = readChunks(text, start)
      answer.body = chunks.body
      answer.whole = chunks.whole
      at = chunks.end
      if (!chunks.whole) return { answers, rest: chunks.bad ? text.slice(at) : '', upgraded: false }
    } else if (lengths === 1) {
      const length = Number(headers.get('content-length'))
      if (!/^\d+$/.test(headers.get('content-length')!)) break
      answer.body = text.slice(start, start + length)
      answer.whole = answer.body.length === length
      at = start + answer.body.length
    } else {
      answer.body = text.slice(start)
      answer.untilClose = true
      at = text.length
    }
  }
  return { answers, rest: text.slice(at), upgraded: false }
}

/** Fields behind the last chunk, where a client takes them, and the end. */
const TRAILERS = /^(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ \t]*[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n/

function readChunks(text: string, start: number): { body: string; end: number; whole: boolean; bad: boolean } {
  let at = start
  let body = ''
  for (;;) {
    const end = text.indexOf('\r\n', at)
    if (end === -1) return { body, end: at, whole: false, bad: false }
    const line = text.slice(at, end)
    if (!/^[0-9a-f]+$/i.test(line)) return { body, end: at, whole: false, bad: true }
    const size = Number.parseInt(line, 16)
    const next = end + 2 + size
    if (size === 0) {
      const trailers = TRAILERS.exec(text.slice(end + 2))?.[0]
      if (trailers !== undefined) return { body, end: end + 2 + trailers.length, whole: true, bad: false }
      return { body, end: at, whole: false, bad: text.indexOf('\r\n\r\n', end) !== -1 }
    }
    body += text.slice(end + 2, next)
    if (text.length < next + 2) return { body, end: at, whole: false, bad: false }
    if (text.slice(next, next + 2) !== '\r\n') return { body, end: at, whole: false, bad: true }
    at = next + 2
  }
}
