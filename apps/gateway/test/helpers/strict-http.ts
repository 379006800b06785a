/** A request as a reader sees it that takes nothing but what RFC 9112 lets a sender write. */
export type StrictRequest = { method: string; target: string; body: string }

export type StrictReading = {
  requests: StrictRequest[]
  /** Every byte belongs to one of the requests: nothing is broken, missing or left over. */
  whole: boolean
}

const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
const REQUEST_LINE = new RegExp(`^(${TOKEN}) +([\\x21-\\x7e]+) (?:HTTP/1\\.([01])|RTSP/1\\.0)$`)
const FIELD = new RegExp(`^(${TOKEN}):[ \\t]*((?:[\\x21-\\x7e\\x80-\\xff][\\t\\x20-\\x7e\\x80-\\xff]*)?)$`)
const QUOTED = '"(?:[\\t \\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]|\\\\[\\t \\x21-\\x7e\\x80-\\xff])*"'
const VALUE = `[ \\t]*=[ \\t]*(?:${TOKEN}|${QUOTED})`
const CHUNK_LINE = new RegExp(`^([0-9A-Fa-f]+)(?:[ \\t]*;[ \\t]*(?:${TOKEN}(?:${VALUE})?|${VALUE}))*$`)

type Head = StrictRequest & { fields: Map<string, string[]>; persistent: boolean; end: number }

/**
 * Reads what a client sent on one connection up to the first byte that a strict reader would not take: the independent opinion about
 * which requests there are. It takes none of the leniencies that RFC 9112 grants to servers (bare LF, folded lines, lengths said
 * twice), but for four that delimit nothing and that Node's parser grants without telling: empty lines ahead of a request line, more
 * than one space ahead of a target, chunk extensions without a name, and RTSP/1.0 for HTTP/1.0.
 */
export function readStrictly(bytes: Buffer): StrictReading {
  const text = bytes.toString('latin1')
  const requests: StrictRequest[] = []
  let at = 0
  for (;;) {
    while (text[at] === '\r' || text[at] === '\n') at++
    if (at === text.length) return { requests, whole: true }
    const head = readHead(text, at)
    const body = head === undefined ? undefined : readBody(text, head)
    if (head === undefined || body === undefined) return { requests, whole: false }
    requests.push({ method: head.method, target: head.target, body: body.text })
    at = body.end
    // What follows a CONNECT or the last request of a connection is no request.
    if (!head.persistent || head.method === 'CONNECT') return { requests, whole: at === text.length }
  }
}

function readHead(text: string, start: number): Head | undefined {
  const end = text.indexOf('\r\n\r\n', start)
  if (end === -1) return undefined
  const [first = '', ...lines] = text.slice(start, end).split('\r\n')
  const [, method, target, minor = '0'] = REQUEST_LINE.exec(first) ?? []
  if (method === undefined || target === undefined) return undefined
  const fields = new Map<string, string[]>()
  for (const line of lines) {
    const [, name, value] = FIELD.exec(line) ?? []
    if (name === undefined || value === undefined) return undefined
    const key = name.toLowerCase()
    fields.set(key, [...(fields.get(key) ?? []), value.replace(/[ \t]+$/, '')])
  }
  const hosts = fields.get('host') ?? []
  if (hosts.length > 1 || (hosts.length === 0 && minor === '1')) return undefined
  const options = (fields.get('connection') ?? []).flatMap((value) => value.toLowerCase().split(/[ \t]*,[ \t]*/))
  const persistent = minor === '1' ? !options.includes('close') : options.includes('keep-alive')
  // An HTTP/1.0 sender knows no codings, so one that names one is not to be believed.
  if (minor === '0' && fields.has('transfer-encoding')) return undefined
  return { method, target, body: '', fields, persistent, end: end + 4 }
}

function readBody(text: string, head: Head): { text: string; end: number } | undefined {
  const codings = head.fields.get('transfer-encoding')
  const lengths = head.fields.get('content-length')
  if (codings !== undefined) {
    const [coding = ''] = codings
    if (lengths !== undefined || codings.length > 1 || coding.toLowerCase() !== 'chunked') return undefined
    return readChunks(text, head.end)
  }
  if (lengths === undefined) return { text: '', end: head.end }
  const [length = ''] = lengths
  if (lengths.length > 1 || !/^\d+$/.test(length)) return undefined
  const end = head.end + Number(length)
  return end > text.length ? undefined : { text: text.slice(head.end, end), end }
}

function readChunks(text: string, start: number): { text: string; end: number } | undefined {
  let at = start
  let body = ''
  for (;;) {
    const end = text.indexOf('\r\n', at)
    const [, digits] = end === -1 ? [] : (CHUNK_LINE.exec(text.slice(at, end)) ?? [])
    if (digits === undefined) return undefined
    const size = Number.parseInt(digits, 16)
    at = end + 2
    if (size === 0) break
    if (text.slice(at + size, at + size + 2) !== '\r\n') return undefined
    body += text.slice(at, at + size)
    at += size + 2
  }
  for (;;) {
    const end = text.indexOf('\r\n', at)
    if (end === -1) return undefined
    const line = text.slice(at, end)
    at = end + 2
    if (line === '') return { text: body, end: at }
    if (!FIELD.test(line)) return undefined
  }
}
