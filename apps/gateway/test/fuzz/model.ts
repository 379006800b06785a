import fc from 'fast-check'

/*
 * A case is plain data: what a client sends on one connection, and what a service answers to each of its requests. Bytes are made of it
 * elsewhere (`bytes.ts`), so that a case can be printed, run again, and shrunk by fast-check. All numbers of places are per mille.
 */

/** A change of bytes after all was written as planned. */
export type Mutation = { kind: 'insert' | 'replace' | 'remove' | 'repeat'; place: number; bytes: string }

/** A field that is a list, with many members. */
export type ListField = { name: string; member: string; count: number }

export type Framing = 'none' | 'length' | 'chunked' | 'both' | 'two lengths' | 'until close'
export type Body = {
  framing: Framing
  size: number
  /** How much the announced length differs from what is there. */
  lie: number
  trailers: number
  extension: string
}

export type RequestPlan = {
  method: string
  target: 'own' | 'public' | 'gateway' | 'absolute' | 'odd'
  version: string
  fields: readonly (readonly [name: string, value: string])[]
  lists: readonly ListField[]
  upgrade: 'none' | 'websocket' | 'websocket, bad key' | 'h2c'
  /** Whether it says the token of the case. */
  token: boolean
  body: Body
  answer: AnswerPlan
}

export type AnswerPlan = {
  /** It comes when the head of the request is there. */
  interim: readonly string[]
  version: string
  status: string
  fields: readonly (readonly [name: string, value: string])[]
  lists: readonly ListField[]
  /** To a handshake. */
  accept: 'right' | 'wrong' | 'none'
  body: Body
  /** Also where HTTP allows none. */
  bodyAnyway: boolean
  mutations: readonly Mutation[]
  cuts: readonly number[]
  /** How much of it is sent before its end. */
  sent: number
  /** What nobody asked for, behind it. */
  late: 'nothing' | 'line end' | 'noise' | 'answer' | 'body'
  /** `next read`: in the same write, behind an answer that is as long as what is read at once. */
  lateWhen: 'together' | 'next read' | 'turn' | 'soon'
  end: 'keep' | 'end' | 'reset' | 'hang'
}

export type ClientPlan = {
  /** Which of two gateways: one without a certificate, one with. */
  door: 'plain' | 'tls'
  /** What the client speaks there. */
  speaks: 'http1' | 'tls' | 'http2' | 'noise'
  requests: readonly RequestPlan[]
  /** Frames, where it speaks HTTP/2. */
  frames: readonly FramePlan[]
  ahead: string
  mutations: readonly Mutation[]
  cuts: readonly number[]
  pause: 'none' | 'turn' | 'soon'
  sent: number
  end: 'wait' | 'end' | 'reset' | 'end at answer' | 'reset at answer'
  /** It reads nothing until it has sent all. */
  deaf: boolean
}

export type FramePlan = {
  type:
    | 'request'
    | 'headers'
    | 'data'
    | 'reset'
    | 'settings'
    | 'ping'
    | 'window'
    | 'priority'
    | 'continuation'
    | 'goaway'
    | 'unknown'
  /** Of the request that it belongs to; 0 is the connection. */
  stream: number
  flags: number
  /** Of the payload, or a number in it. */
  size: number
  lie: number
  times: number
}

const mostly = <T>(usual: T, ...odd: T[]) =>
  fc.oneof({ weight: 30, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: fc.constantFrom(...odd) })
const few = <T>(one: fc.Arbitrary<T>, most: number, none = 12) =>
  fc.oneof(
    { weight: none, arbitrary: fc.constant([]) },
    { weight: 2, arbitrary: fc.array(one, { minLength: 1, maxLength: most }) }
  )
const place = fc.integer({ min: 0, max: 999 })

/** Bytes that have been taken for something else. */
const nasty = fc.constantFrom(
  '\r',
  '\n',
  '\r\n',
  '\r\n\r\n',
  '\0',
  ' ',
  '\t',
  '\x0b',
  '\x85',
  '\xa0',
  ':',
  ';',
  ',',
  '0',
  '-',
  '+',
  'x',
  '"',
  '\xff',
  'HTTP/1.1'
)
const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom('insert', 'replace', 'remove', 'repeat'),
  place,
  bytes: nasty
})

const list: fc.Arbitrary<ListField> = fc.record({
  name: fc.constantFrom(
    'accept',
    'accept-encoding',
    'accept-language',
    'cache-control',
    'connection',
    'cookie',
    'forwarded',
    'if-match',
    'if-none-match',
    'range',
    'te',
    'vary',
    'via',
    'x-forwarded-for',
    'x-many',
    'expect',
    'upgrade',
    'sec-websocket-protocol'
  ),
  member: fc.constantFrom(
    'a',
    '"a"',
    '"a~br"',
    'W/"b"',
    'gzip;q=0.5',
    'br',
    'keep-alive',
    'close',
    'x-tag',
    '1.2.3.4',
    'a=b',
    '',
    '*',
    'bytes=0-1'
  ),
  count: fc.oneof(
    { weight: 9, arbitrary: fc.integer({ min: 1, max: 5 }) },
    { weight: 1, arbitrary: fc.constantFrom(30, 300, 1_500) }
  )
})

const field = fc.tuple(
  fc.constantFrom(
    'accept',
    'authorization',
    'connection',
    'content-length',
    'content-type',
    'expect',
    'host',
    'if-none-match',
    'keep-alive',
    'origin',
    'proxy-connection',
    'range',
    'te',
    'trailer',
    'transfer-encoding',
    'upgrade',
    'x-forwarded-for',
    'x-forwarded-proto',
    'x-request-id',
    'x-skerry-deadline',
    'x_forwarded_for',
    'Transfer-Encoding ',
    '__proto__',
    'constructor',
    'traceparent',
    'idempotency-key',
    'sec-websocket-version',
    'sec-websocket-extensions',
    'accept-encoding',
    ':path',
    'x-http-method-override'
  ),
  fc.constantFrom(
    '',
    '0',
    '1',
    '5',
    '-1',
    '1, 1',
    'chunked',
    'gzip, chunked',
    'identity',
    'close',
    'keep-alive',
    'Upgrade',
    'websocket',
    '100-continue',
    'x',
    'bytes=0-',
    '*',
    '"a"',
    'text/event-stream',
    'application/json',
    'http',
    'null',
    'upgrade, close',
    '13',
    '8',
    'trailers',
    '\xe9',
    'a\tb'
  )
)

const body = (framings: fc.Arbitrary<Framing>): fc.Arbitrary<Body> =>
  fc.record({
    framing: framings,
    size: fc.oneof(
      { weight: 12, arbitrary: fc.integer({ min: 0, max: 200 }) },
      { weight: 1, arbitrary: fc.constantFrom(1_500, 16_384, 65_000, 65_400, 70_000) }
    ),
    lie: mostly(0, -1, 1, 7, 100, -1_000_000),
    trailers: mostly(0, 1, 3),
    extension: mostly('', ';a=b', ';', ' ;x="y"')
  })

const answerField = fc.tuple(
  fc.constantFrom(
    'content-type',
    'cache-control',
    'etag',
    'set-cookie',
    'vary',
    'connection',
    'keep-alive',
    'content-length',
    'transfer-encoding',
    'trailer',
    'upgrade',
    'location',
    'age',
    'server-timing',
    'x-skerry-deadline',
    'access-control-allow-origin',
    '__proto__',
    'content-encoding',
    'date',
    'sec-websocket-protocol',
    'sec-websocket-accept',
    'link'
  ),
  fc.constantFrom(
    '',
    '0',
    '1',
    '5',
    'chunked',
    'close',
    'keep-alive',
    'x-tag',
    'timeout=0',
    'no-store',
    'private',
    'max-age=60',
    '"e"',
    'W/"e"',
    'a=1',
    '*',
    'authorization',
    'text/plain',
    'application/json',
    'text/event-stream',
    'gzip',
    'websocket',
    'h2c',
    '\xe9',
    'passed',
    'accept-encoding',
    '/x'
  )
)

const answer: fc.Arbitrary<AnswerPlan> = fc.record({
  interim: few(fc.constantFrom('100', '102', '103', '101', '199', '103 with a body', '100 with a length'), 3),
  version: mostly('HTTP/1.1', 'HTTP/1.0', 'HTTP/2', 'HTTP/1.2', 'ICY', 'http/1.1', 'HTTP/1.1 '),
  status: fc.oneof(
    { weight: 6, arbitrary: fc.constant('200') },
    {
      weight: 3,
      arbitrary: fc.constantFrom('204', '304', '101', '404', '206', '503', '500', '400', '406', '301', '205')
    },
    { weight: 2, arbitrary: fc.constantFrom('099', '000', '600', '999', '1000', '20', '2x0', '-200', '2000', '') }
  ),
  fields: few(answerField, 3),
  lists: few(list, 1),
  accept: mostly('right', 'wrong', 'none'),
  body: body(
    fc.oneof(
      { weight: 12, arbitrary: fc.constant('length' as const) },
      { weight: 6, arbitrary: fc.constantFrom('chunked', 'chunked', 'until close') },
      { weight: 1, arbitrary: fc.constantFrom('both', 'two lengths', 'none') }
    )
  ),
  bodyAnyway: mostly(false, true),
  mutations: few(mutation, 2),
  cuts: few(place, 3, 4),
  sent: fc.oneof({ weight: 20, arbitrary: fc.constant(1_000) }, { weight: 1, arbitrary: place }),
  late: fc.oneof(
    { weight: 16, arbitrary: fc.constant('nothing' as const) },
    { weight: 1, arbitrary: fc.constantFrom('line end', 'noise', 'answer', 'answer', 'body') }
  ),
  lateWhen: fc.constantFrom('together', 'next read', 'turn', 'soon'),
  end: fc.oneof(
    { weight: 24, arbitrary: fc.constant('keep' as const) },
    { weight: 2, arbitrary: fc.constantFrom('end', 'reset', 'hang') }
  )
})

const request: fc.Arbitrary<RequestPlan> = fc.record({
  method: fc.oneof(
    { weight: 24, arbitrary: fc.constantFrom('GET', 'GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'PATCH') },
    { weight: 1, arbitrary: fc.constantFrom('OPTIONS', 'CONNECT', 'TRACE', 'get', 'PRI', 'M-SEARCH', 'QUERY', 'X') }
  ),
  target: fc.oneof(
    { weight: 16, arbitrary: fc.constant('own' as const) },
    { weight: 2, arbitrary: fc.constantFrom('public', 'public', 'public', 'gateway', 'absolute', 'odd') }
  ),
  version: mostly('HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/1.2', 'HTTP/0.9', 'RTSP/1.0', ''),
  fields: few(field, 3),
  lists: few(list, 2),
  upgrade: fc.oneof(
    { weight: 12, arbitrary: fc.constant('none' as const) },
    { weight: 2, arbitrary: fc.constantFrom('websocket', 'websocket', 'websocket, bad key', 'h2c') }
  ),
  token: fc.boolean(),
  body: body(
    fc.oneof(
      { weight: 20, arbitrary: fc.constantFrom('none', 'length') },
      { weight: 8, arbitrary: fc.constant('chunked' as const) },
      { weight: 1, arbitrary: fc.constantFrom('both', 'two lengths') }
    )
  ),
  answer
})

const frame: fc.Arbitrary<FramePlan> = fc.record({
  type: fc.oneof(
    { weight: 6, arbitrary: fc.constant('request' as const) },
    {
      weight: 8,
      arbitrary: fc.constantFrom(
        'headers',
        'data',
        'reset',
        'settings',
        'ping',
        'window',
        'priority',
        'continuation',
        'goaway',
        'unknown'
      )
    }
  ),
  stream: mostly(1, 0, 2, 3, 5, 99),
  flags: mostly(5, 0, 1, 4, 8, 32, 255),
  size: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 0, max: 64 }) },
    { weight: 1, arbitrary: fc.constantFrom(16_384, 16_385, 65_535) }
  ),
  lie: mostly(0, 1, -1, 1_000),
  times: mostly(1, 2, 20, 150)
})

/** Everything that one case can be. */
export const anyCase: fc.Arbitrary<ClientPlan> = fc.record({
  door: fc.oneof(
    { weight: 12, arbitrary: fc.constant('plain' as const) },
    { weight: 1, arbitrary: fc.constant('tls' as const) }
  ),
  speaks: fc.oneof(
    { weight: 16, arbitrary: fc.constant('http1' as const) },
    { weight: 3, arbitrary: fc.constantFrom('tls', 'http2', 'http2', 'noise') }
  ),
  requests: fc.oneof(
    { weight: 5, arbitrary: fc.array(request, { minLength: 1, maxLength: 1 }) },
    { weight: 3, arbitrary: fc.array(request, { minLength: 2, maxLength: 5 }) }
  ),
  frames: few(frame, 6),
  ahead: mostly(
    '',
    '\r\n',
    '\n',
    ' ',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'PRI',
    '\x16',
    '\x16\x03\x01\x02\x00',
    '\x80'
  ),
  mutations: few(mutation, 3, 16),
  cuts: few(place, 4, 4),
  pause: fc.constantFrom('none', 'turn', 'soon'),
  sent: fc.oneof({ weight: 20, arbitrary: fc.constant(1_000) }, { weight: 2, arbitrary: place }),
  end: fc.oneof(
    { weight: 16, arbitrary: fc.constant('wait' as const) },
    { weight: 2, arbitrary: fc.constantFrom('end', 'reset', 'end at answer', 'reset at answer') }
  ),
  deaf: mostly(false, true)
})

/** The case of a seed, a round and a number: the same alone as among others. */
export function caseOf(seed: number, round: number, number: number): ClientPlan {
  return fc.sample(anyCase, { seed: fc.hash(`${seed} round ${round} case ${number}`), numRuns: 1 })[0]!
}
