import { type Aim, chunk, type Draft, LAST_CHUNK, MARKERS, type Piece } from './parts.ts'

/** What follows the fields: the marker as body, behind the body, or where no body was said to be. */
const BODIES: readonly (readonly [name: string, lay: (marker: string) => readonly [fields: string, body: string]])[] = [
  ['marker in a length', (marker) => [`content-length: ${marker.length}\r\n`, marker]],
  ['marker behind a length', (marker) => ['content-length: 3\r\n', `abc${marker}`]],
  ['marker in chunks', (marker) => ['transfer-encoding: chunked\r\n', chunk(marker) + LAST_CHUNK]],
  ['marker behind chunks', (marker) => ['transfer-encoding: chunked\r\n', `${chunk('abc')}${LAST_CHUNK}${marker}`]],
  ['marker without a length', (marker) => ['', marker]]
]

const METHODS = [
  ...['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'QUERY', 'PRI', 'PURGE'],
  ...['PROPFIND', 'M-SEARCH', 'get', 'Post', 'G ET', 'GET\t', 'GE\0T', 'XGET', '']
]

const VERSIONS = [
  ...[
    'HTTP/0.9',
    'HTTP/1.0',
    'HTTP/1.2',
    'HTTP/2.0',
    'HTTP/2',
    'HTTP/3',
    'HTTP/1',
    'HTTP/1.',
    'HTTP/1.10',
    'HTTP/01.1'
  ],
  ...[
    'http/1.1',
    'Http/1.1',
    'HTTP /1.1',
    'HTTP/ 1.1',
    'HTTP/1.1 ',
    'HTTP/1.1x',
    'HTTP/1.1\t',
    'HTTP/1.1\0',
    'HTTPS/1.1'
  ],
  ...['ICE/1.0', 'RTSP/1.0', 'HTTP/1,1', 'HTTP/-1.1', 'HTTP/1.1 HTTP/1.1', '']
]

/** Targets for an aim's own path. */
const TARGETS: readonly (readonly [name: string, write: (path: string) => string])[] = [
  ['absolute', (path) => `http://x${path}`],
  ['absolute, another host', (path) => `http://internal${path}`],
  ['absolute, upper case', (path) => `HTTP://x${path}`],
  ['absolute, with a user', (path) => `http://user:pass@x${path}`],
  ['absolute, with a port', (path) => `http://x:80${path}`],
  ['absolute, empty host', (path) => `http://${path}`],
  ['absolute, https', (path) => `https://x${path}`],
  ['absolute, another scheme', (path) => `ftp://x${path}`],
  ['absolute, file', (path) => `file://${path}`],
  ['authority', () => 'x:80'],
  ['authority of this host', () => '127.0.0.1:80'],
  ['asterisk', () => '*'],
  ['scheme-relative', (path) => `//x${path}`],
  ['no slash', (path) => path.slice(1)],
  ['space within', (path) => `${path} x`],
  ['space ahead', (path) => ` ${path}`],
  ['tab within', (path) => `${path}\tx`],
  ['NUL within', (path) => `${path}\0x`],
  ['CR within', (path) => `${path}\rx`],
  ['LF within', (path) => `${path}\nx: y`],
  ['VT within', (path) => `${path}\x0bx`],
  ['DEL within', (path) => `${path}\x7f`],
  ['other bytes', (path) => `${path}\xff`],
  ['fragment', (path) => `${path}#x`],
  ['fragment and query', (path) => `${path}#?x`],
  ['quotes', (path) => `"${path}"`],
  ['brackets', (path) => `<${path}>`],
  ['backslash', (path) => path.replaceAll('/', '\\')],
  ['encoded CR LF', (path) => `${path}%0d%0a`],
  ['encoded CR LF in the query', (path) => `${path}?a=%0d%0ax:%20y`],
  ['encoded space and version', (path) => `${path}%20HTTP/1.1%0d%0ahost:%20internal`],
  ['query of other bytes', (path) => `${path}?\xff`],
  ['empty', () => '']
]

const HOSTS: readonly Piece[] = [
  ['none', ''],
  ['twice', 'host: x\r\nhost: x\r\n'],
  ['twice, differently', 'host: x\r\nhost: internal\r\n'],
  ['twice, in another case', 'host: x\r\nHOST: internal\r\n'],
  ['a list', 'host: x, internal\r\n'],
  ['empty', 'host:\r\n'],
  ['empty and another', 'host:\r\nhost: x\r\n'],
  ['folded', 'host: x\r\n internal\r\n'],
  ['folded first', ' host: internal\r\nhost: x\r\n'],
  ['space before the colon', 'host : internal\r\nhost: x\r\n'],
  ['with a path', 'host: x/admin\r\n'],
  ['with a user', 'host: internal@x\r\n'],
  ['with a port that is none', 'host: x:y\r\n'],
  ['behind a bare CR', 'x-a: b\rhost: internal\r\nhost: x\r\n'],
  ['behind a bare LF', 'x-a: b\nhost: internal\r\nhost: x\r\n'],
  ['with NUL', 'host: x\0internal\r\n'],
  ['forwarded', 'host: x\r\nx-forwarded-host: internal\r\nforwarded: host=internal\r\n'],
  ['another', 'host: internal\r\n']
]

const EXPECTATIONS = [
  ...['100-continue', '100-Continue', '100-continue, 100-continue', '100-continue;x', ' 100-continue ', '100-contin'],
  ...['x 100-continue', '', '200-ok', '100-continue\r\nExpect: 100-continue', '100-continue\r\n x', 'y 100-continue\0']
]

const NOMINATIONS = [
  ...['content-length', 'Content-Length', 'transfer-encoding', 'host', 'close, content-length', 'x-forwarded-for'],
  ...[
    'keep-alive, transfer-encoding',
    'authorization',
    'connection',
    'x-request-id, traceparent',
    'expect',
    'te, trailers'
  ],
  ...[
    'close',
    'keep-alive, close',
    'closed',
    'close, keep-alive',
    'keep-alive',
    '',
    ',',
    'close;x',
    '"close"',
    'upgrade'
  ]
]

const UPGRADES: readonly Piece[] = [
  ['h2c', 'connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n'],
  ['h2c without settings', 'connection: Upgrade\r\nupgrade: h2c\r\n'],
  ['h2c, not nominated', 'upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n'],
  ['h2c in a list', 'connection: upgrade\r\nupgrade: h2c, websocket\r\n'],
  ['h2', 'connection: upgrade\r\nupgrade: h2\r\n'],
  ['TLS', 'connection: upgrade\r\nupgrade: TLS/1.2, HTTP/1.1\r\n'],
  ['HTTP/2.0', 'connection: upgrade\r\nupgrade: HTTP/2.0\r\n'],
  ['a WebSocket without a key', 'connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n'],
  [
    'a WebSocket of no version',
    'connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 777\r\n'
  ],
  ['a WebSocket, twice', 'connection: upgrade\r\nupgrade: websocket\r\nupgrade: websocket\r\n']
]

const HTTP2_PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

/** The whole request: `line` and `fields` are written for an aim, the rest is each of the bodies. */
function* over(
  family: string,
  variants: Iterable<readonly [name: string, head: (aim: Aim) => string]>,
  bodies: typeof BODIES = BODIES
): Generator<Draft> {
  let turn = 0
  for (const [name, head] of variants) {
    for (const [where, lay] of bodies) {
      const [marked, marker] = MARKERS[turn++ % MARKERS.length]!
      yield {
        name: `${family}: ${name}; ${where}; ${marked}`,
        write(aim: Aim) {
          const [fields, body] = lay(marker(aim))
          return `${head(aim)}${fields}\r\n${body}`
        }
      }
    }
  }
}

function pathOf(aim: Aim): string {
  return `${aim.prefix}/first-${aim.id}`
}

/** Request lines, hosts, expectations, nominations, upgrades: what decides whether there is a body, and whose it is. */
export function* requestDrafts(): Generator<Draft> {
  const post = (aim: Aim, fields: string) => `POST ${pathOf(aim)} HTTP/1.1\r\n${fields}`
  yield* over(
    'method',
    METHODS.map((method) => [JSON.stringify(method), (aim: Aim) => `${method} ${pathOf(aim)} HTTP/1.1\r\nhost: x\r\n`])
  )
  yield* over(
    'version',
    VERSIONS.map((version) => [JSON.stringify(version), (aim: Aim) => `POST ${pathOf(aim)} ${version}\r\nhost: x\r\n`])
  )
  yield* over(
    'version of a GET',
    VERSIONS.map((version) => [JSON.stringify(version), (aim: Aim) => `GET ${pathOf(aim)} ${version}\r\nhost: x\r\n`]),
    BODIES.slice(4)
  )
  yield* over(
    'target',
    TARGETS.map(([name, write]) => [name, (aim: Aim) => `POST ${write(pathOf(aim))} HTTP/1.1\r\nhost: x\r\n`]),
    BODIES.slice(0, 3)
  )
  yield* over(
    'target of a CONNECT',
    TARGETS.map(([name, write]) => [name, (aim: Aim) => `CONNECT ${write(pathOf(aim))} HTTP/1.1\r\nhost: x\r\n`]),
    BODIES.slice(4)
  )
  yield* over(
    'host',
    HOSTS.map(([name, fields]) => [name, (aim: Aim) => post(aim, fields)])
  )
  yield* over(
    'expect',
    EXPECTATIONS.map((value) => [JSON.stringify(value), (aim: Aim) => post(aim, `host: x\r\nexpect: ${value}\r\n`)])
  )
  yield* over(
    'connection',
    NOMINATIONS.map((value) => [JSON.stringify(value), (aim: Aim) => post(aim, `host: x\r\nconnection: ${value}\r\n`)])
  )
  yield* over('upgrade', upgrades())
}

function* upgrades(): Generator<readonly [name: string, head: (aim: Aim) => string]> {
  for (const [name, fields] of UPGRADES) {
    for (const method of ['GET', 'POST'])
      yield [`${name}; ${method}`, (aim) => `${method} ${pathOf(aim)} HTTP/1.1\r\nhost: x\r\n${fields}`]
  }
  yield ['the preface of HTTP/2', (aim) => `${HTTP2_PREFACE}GET ${pathOf(aim)} HTTP/1.1\r\nhost: x\r\n`]
}
