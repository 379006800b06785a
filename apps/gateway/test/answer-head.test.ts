import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import t from 'tap'
import { corsHeadersFor } from '../src/door/cors.ts'
import { Visit } from '../src/door/visit.ts'
import { type HeadText, headPart, headText, NOTHING, wholeHeadText } from '../src/head/head-text.ts'
import { createHeads } from '../src/head/heads.ts'
import { writePairs } from '../src/head/http1-response.ts'
import { talk } from './helpers/clients.ts'
import { startListener } from './helpers/listener.ts'

type Case = { status: number; pairs: string[]; body: string }

const sized = (body: string) => ['content-type', 'text/plain', 'content-length', String(body.length)]
const CASES: Case[] = [
  { status: 200, pairs: sized('hello'), body: 'hello' },
  { status: 200, pairs: [...sized('caf\xe9'), 'x-latin', 'caf\xe9', 'x-empty', '', 'x-tab', 'a\tb'], body: 'caf\xe9' },
  { status: 200, pairs: ['date', 'Thu, 01 Jan 1970 00:00:00 GMT', ...sized('x')], body: 'x' },
  { status: 404, pairs: ['set-cookie', 'a=1', 'set-cookie', 'b=2', ...sized('gone')], body: 'gone' },
  { status: 599, pairs: sized('odd'), body: 'odd' },
  { status: 200, pairs: ['content-length', '0'], body: '' },
  { status: 204, pairs: ['etag', '"1"'], body: '' },
  { status: 304, pairs: ['etag', '"1"', 'content-length', '5'], body: '' },
  { status: 200, pairs: ['content-type', 'text/plain'], body: 'of unknown length' },
  { status: 200, pairs: ['transfer-encoding', 'chunked'], body: 'in chunks' },
  { status: 200, pairs: [...sized('last'), 'connection', 'close'], body: 'last' },
  { status: 200, pairs: [...sized('x'), 'keep-alive', 'timeout=1'], body: 'x' }
]

const HEADS = [
  'GET /CASE HTTP/1.1\r\nhost: x\r\n\r\n',
  'HEAD /CASE HTTP/1.1\r\nhost: x\r\n\r\n',
  'GET /CASE HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
  'GET /CASE HTTP/1.0\r\n\r\n',
  'GET /CASE HTTP/1.0\r\nconnection: keep-alive\r\n\r\n'
]
/** Heads and cases in which Node's own `writeHead` is spared: the ordinary ones. */
const ORDINARY_HEADS = HEADS.slice(0, 2)
const ORDINARY_CASES = CASES.slice(0, 6)
/** So that each connection ends. */
const LAST = 'GET /0 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'

t.test('the head of an answer is what Node would write, byte for byte', async (t) => {
  const answer = (write: typeof writePairs) => (request: IncomingMessage, response: ServerResponse) => {
    const { status, pairs, body } = CASES[Number(request.url?.slice(1))]!
    write(response, status, pairs)
    response.end(body, 'latin1')
  }
  const nodes = await startListener(t, {
    handler: answer((response, status, pairs) => response.writeHead(status, pairs as unknown as OutgoingHttpHeaders))
  })
  /** Of each answer in turn whether it was written without Node. */
  const own: boolean[] = []
  const ours = await startListener(t, {
    handler: answer((response, status, pairs) =>
      own.push(writtenWithoutNode(response, () => writePairs(response, status, pairs)))
    )
  })
  for (const head of HEADS) {
    for (const one of CASES) {
      const { status, pairs } = one
      const what = `${head.slice(0, 20)} ${status} ${pairs.join()}`
      const request = head.replace('CASE', String(CASES.indexOf(one))) + LAST
      const expected = undated(await talk(nodes.port, request))
      t.match(expected, new RegExp(`^HTTP/1\\.1 ${status} `))
      own.length = 0
      t.equal(undated(await talk(ours.port, request)), expected, what)
      t.equal(own[0], ORDINARY_HEADS.includes(head) && ORDINARY_CASES.includes(one), `who writes ${what}`)
    }
  }
})

t.test('a part that many answers share', async (t) => {
  const pairs = ['content-type', 'text/plain', 'x-latin', 'caf\xe9', 'content-length', '2']
  const common = headPart(pairs)
  const own: boolean[] = []
  const { port } = await startListener(t, {
    handler(request, response) {
      if (request.url === '/0')
        own.push(writtenWithoutNode(response, () => writePairs(response, 200, ['age', '1'], common)))
      else response.writeHead(200, [...pairs, 'age', '1'] as unknown as OutgoingHttpHeaders)
      response.end('ok')
    }
  })
  for (const head of HEADS.map((each) => each.replace('CASE', '0'))) {
    const expected = undated(await talk(port, head.replace('/0', '/1') + LAST.replace('/0', '/1')))
    t.match(expected, /^HTTP\/1\.1 200 OK\r\n(.+\r\n)*age: 1\r\n/)
    own.length = 0
    t.equal(undated(await talk(port, head + LAST)), expected, head.slice(0, 40))
    t.equal(own[0], ORDINARY_HEADS.includes(head.replace('/0', '/CASE')), 'who writes it')
  }
  t.throws(() => headPart(['x-value', 'a\r\nb: c']), { code: 'ERR_INVALID_CHAR' })
  t.throws(() => headPart(['x value', 'a']), { code: 'ERR_INVALID_HTTP_TOKEN' })
})

t.test('a value cannot end its line', async (t) => {
  const refused: string[] = []
  const { port } = await startListener(t, {
    handler(request, response) {
      for (const value of ['a\r\nset-cookie: b', 'a\nb', 'a\r\n\r\nb', '\u010a']) {
        try {
          writePairs(response, 200, ['x-value', value, 'content-length', '0'])
        } catch (error) {
          refused.push((error as NodeJS.ErrnoException).code ?? '')
        }
      }
      writePairs(response, 200, ['content-length', '0'])
      response.end()
      t.equal(response.headersSent, true)
      t.throws(() => writePairs(response, 200, ['content-length', '0']), { code: 'ERR_HTTP_HEADERS_SENT' })
      t.equal(request.url, '/')
    }
  })
  t.match(
    await talk(port, 'GET / HTTP/1.1\r\nhost: x\r\nconnection: keep-alive\r\n\r\n', LAST.replace('/0', '/')),
    /^HTTP\/1\.1 200/
  )
  t.strictSame(
    refused,
    Array.from({ length: refused.length }, () => 'ERR_INVALID_CHAR')
  )
  t.equal(refused.length, 8)
})

/** Writes a head; whether Node's `writeHead` had no part in it. */
function writtenWithoutNode(response: ServerResponse, write: () => void): boolean {
  const { writeHead } = response
  let asked = false
  response.writeHead = ((...given: Parameters<typeof writeHead>) => {
    asked = true
    return writeHead.apply(response, given)
  }) as typeof writeHead
  write()
  return !asked
}

/** Without the time of the answer. */
function undated(text: string): string {
  return text.replace(/^Date: (?!Thu, 01 Jan 1970).*$/gm, 'Date: now')
}

t.test('a head is the same whatever was written before it', (t) => {
  const written = (pairs: readonly string[]) => {
    try {
      const head = headText(200, NOTHING, pairs, 5_000, true)
      return head === undefined ? undefined : { ...head, text: undated(head.text) }
    } catch (error) {
      return (error as NodeJS.ErrnoException).code
    }
  }
  const ask = (pairs: readonly string[]) => {
    const sized = pairs.includes('content-length')
    const kept = `Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n${sized ? '' : 'Transfer-Encoding: chunked\r\n'}\r\n`
    let lines = ''
    for (let i = 0; i < pairs.length; i += 2) lines += `${pairs[i]}: ${pairs[i + 1]}\r\n`
    const dated = pairs.includes('date') ? '' : 'Date: now\r\n'
    return { text: `HTTP/1.1 200 OK\r\n${lines}${dated}${kept}`, sized, chunked: !sized, closes: false }
  }
  // As long as each other, and with first values as long as each other: they have one place.
  const kinds = [
    ['server', 'one', 'content-type', 'text/a', 'content-length', '12', 'x-id', 'ID'],
    ['server', 'two', 'content-type', 'text/a', 'content-length', '12', 'x-id', 'ID'],
    ['server', 'one', 'content-type', 'text/a', 'content-length', '13', 'x-id', 'ID'],
    ['server', 'one', 'content-type', 'text/a', 'x-other', '12', 'x-id', 'ID'],
    ['server', 'one', 'date', 'today', 'etag', '"1"', 'x-id', 'ID'],
    ['content-length', '123', 'server', 'one', 'content-type', 'text/a', 'x-id', 'ID']
  ]
  let id = 0
  const made = (kind: readonly string[]) => kind.map((text) => (text === 'ID' ? String(id++) : text))
  for (const first of kinds) {
    for (const second of kinds) {
      for (const kind of [first, first, first, second, first, second, second, second, first]) {
        const pairs = made(kind)
        const expected = ask(pairs)
        const got = written(pairs)
        if (JSON.stringify(got) !== JSON.stringify(expected)) t.strictSame(got, expected)
      }
    }
  }
  t.ok(id > 300)
  for (const [why, pairs, expected] of [
    [
      'a line end in what is the same',
      ['server', 'a\r\nset-cookie: b', 'etag', '"1"', 'x-id', 'ID'],
      'ERR_INVALID_CHAR'
    ],
    ['a line end in what is not', ['server', 'one', 'etag', '"1"', 'x-id', 'a\nb'], 'ERR_INVALID_CHAR'],
    ['a character beyond latin1', ['server', '\u010a', 'etag', '"1"', 'x-id', 'ID'], 'ERR_INVALID_CHAR'],
    ["Node's to write", ['keep-alive', 'max=1', 'etag', '"1"', 'x-id', 'ID'], undefined]
  ] as const)
    for (let time = 0; time < 4; time++) t.equal(written(made(pairs)), expected, why)
  t.equal((written(made(['server', 'one', 'etag', '"1"', 'connection', 'close'])) as HeadText).closes, true)
  t.end()
})

t.test('a head as text that no response writes has no lines but its own', (t) => {
  t.equal(
    wholeHeadText('HTTP/1.1 101 Switching Protocols', ['a', 'b']),
    'HTTP/1.1 101 Switching Protocols\r\na: b\r\n\r\n'
  )
  const heads = createHeads({ corsHeaders: corsHeadersFor('*') })
  const visit = someVisit()
  t.match(heads.switching(visit, { 'x-a': 'b' }), /^HTTP\/1\.1 101 .*\r\nx-a: b\r\n/s)
  for (const value of ['a\r\nb: c', 'a\nb', 'a\u010ab'])
    t.throws(() => heads.switching(visit, { 'x-a': value }), { code: 'ERR_INVALID_CHAR' }, JSON.stringify(value))
  t.end()
})

function someVisit(): Visit {
  const http1 = { rawHeaders: [], httpVersionMajor: 1, httpVersionMinor: 1 }
  return new Visit({ ...http1, method: 'GET', url: '/', headers: { origin: 'https://a.example' }, socket: {} }, 0)
}

t.test('what the gateway says is in each head once, beside what its answer says', (t) => {
  const visit = someVisit()
  const heads = createHeads({ corsHeaders: corsHeadersFor('https://a.example') })
  const ours = heads.ours(visit)
  const came = { 'x-a': '1', vary: 'accept', 'x-frame-options': 'SAMEORIGIN' }
  const own = { ...came, 'access-control-allow-origin': '*', 'x-number': 2, 'x-lines': ['a', 'b'] }
  const composed: Record<string, readonly string[]> = {
    'of a service': heads.ofService(came, ours).list,
    kept: heads.ofKept(Object.entries(came).flat(), ours),
    'of Fastify': heads.ofReply(visit, 'https://a.example', 200, own)
  }
  for (const [whose, list] of Object.entries(composed)) {
    const of = (name: string) => list.filter((_, at) => at % 2 === 1 && list[at - 1] === name)
    t.same(of('x-a'), ['1'], whose)
    t.same(of('x-frame-options'), ['SAMEORIGIN'], `${whose}: a default gives way`)
    t.same(of('x-content-type-options'), ['nosniff'], `${whose}: and is there otherwise`)
    t.same(of('vary'), ['accept', 'origin'], `${whose}: both vary`)
    t.same(of('access-control-allow-origin'), ['https://a.example'], `${whose}: the gateway has the word`)
  }
  t.match(composed['of Fastify'], [
    'x-a',
    '1',
    'vary',
    'accept',
    'x-frame-options',
    'SAMEORIGIN',
    'x-number',
    '2',
    'x-lines',
    'a',
    'x-lines',
    'b'
  ])
  t.notOk(heads.ofReply(visit, undefined, 200, { vary: 'Origin' }).includes('Origin'), 'and not twice by the same')
  t.end()
})

t.test('a service that names a default in Connection takes it away from itself, not from its clients', (t) => {
  const heads = createHeads({ corsHeaders: corsHeadersFor('*') })
  const { list } = heads.ofService({ connection: 'x-frame-options', 'x-frame-options': 'ALLOWALL' }, {})
  t.equal(list[list.indexOf('x-frame-options') + 1], 'DENY')
  t.notOk(list.includes('ALLOWALL'))
  t.end()
})
