import { posix } from 'node:path'
import t from 'tap'
import { converse } from './helpers/conversation.ts'
import { startGateway } from './helpers/gateway.ts'
import { announceServer, canonicalServer, listen, type Observed, SEEN_HEADER } from './helpers/observers.ts'

const AT_ONCE = 100
/** Whose prefix is whose. Each service also has /admin, which the gateway does not know of. */
const PREFIXES: Record<string, string> = { content: '/v1/posts', users: '/v1/users' }

/** What a segment that climbs has been written as. */
const CLIMBS = [
  ...[
    '..',
    '.',
    '...',
    '%2e%2e',
    '%2E%2e',
    '.%2e',
    '%2e.',
    '%2e',
    '%252e%252e',
    '%25252e%25252e',
    '%%32%65',
    '%2e%2e%2e'
  ],
  ...[
    '..;',
    '..;x=y',
    ';..',
    '%2e%2e;',
    '..%3b',
    '..%00',
    '%00..',
    '..%09',
    '..%20',
    '%20..',
    '..%0d',
    '..%0a',
    '..\t',
    '..\\'
  ],
  ...['%c0%ae%c0%ae', '%e0%80%ae%e0%80%ae', '%f0%80%80%ae%f0%80%80%ae', '%c0%2e%c0%2e', '%u002e%u002e', '%uff0e%uff0e'],
  ...[
    '\uff0e\uff0e',
    '%ef%bc%8e%ef%bc%8e',
    '\u2025',
    '%e2%80%a5',
    '%e2%80%a4%e2%80%a4',
    '..%ff',
    '%ae%ae',
    '..#',
    '..?',
    '%2e%2e%23'
  ],
  ...[
    '',
    ';',
    ';a',
    ';a=b',
    '%3b',
    '%3ba=b',
    '*',
    '~',
    '%7e',
    '%',
    '%2',
    '%zz',
    '%2g',
    '%25',
    '%5b',
    '{',
    '|',
    '^',
    '`',
    '"',
    '<'
  ]
]

/** What stands between segments. */
const SLASHES = [
  ...[
    '/',
    '//',
    '///',
    '\\',
    '\\\\',
    '/\\',
    '\\/',
    '%2f',
    '%2F',
    '%252f',
    '%5c',
    '%5C',
    '%255c',
    '%c0%af',
    '%e0%80%af',
    '%c1%9c'
  ],
  ...[
    '%ef%bc%8f',
    '\uff0f',
    '%e2%88%95',
    '\u2044',
    '/;/',
    '/%20/',
    '/%00/',
    '/./',
    '/.//',
    ';/',
    '%u2215',
    '/%2e/',
    '/%0a/'
  ]
]

/** Ways in which a path of one service may become another: from `own` to `other` by a climb and a slash. */
const SHAPES: readonly ((own: string, other: string, climb: string, slash: string) => string)[] = [
  (own, other, climb, slash) => `${own}${slash}${climb}${slash}${other.slice(4)}`,
  (own, other, climb, slash) => `${own}/${climb}${slash}${climb}${other}`,
  (own, _other, climb, slash) => `${own}${slash}${climb}${slash}${climb}${slash}admin`,
  (own, other, climb, slash) => `${own}/x${slash}${climb}${slash}${climb}${slash}${other.slice(4)}?a=b`
]

/** Escapes that are no product of the above. */
const OTHERS: readonly ((own: string, other: string) => string)[] = [
  (own) => `${own}/..`,
  (own) => `${own}/.`,
  (own) => `${own}/%2e`,
  (own) => `${own}/..?`,
  (own) => `${own}..`,
  (own) => `${own}%2f`,
  (own) => `${own};`,
  (own) => `${own}%3b/x`,
  (own) => `${own}x`,
  (own) => `${own}%20`,
  (own) => `${own}%00`,
  (own) => `${own}.json`,
  (own) => `/${own}`,
  (own) => `/.${own}`,
  (own) => `//x${own}`,
  (own) => `\\${own.slice(1)}`,
  (own) => own.slice(1),
  (own) => own.toUpperCase(),
  (own) => own.replace('posts', 'Posts').replace('users', 'Users'),
  (own) => own.replace('v1', 'V1'),
  (own) => own.replace('v1', '%761'),
  (own) => own.replace('/v1/', '/v1%2f'),
  (own) => own.replace('o', '%6f').replace('u', '%75'),
  (own) => own.replace('s', '\u017f'),
  (own, other) => `${own}?${other}`,
  (own, other) => `${own}?/../..${other}`,
  (own, other) => `${own}#${other}`,
  (own, other) => `${own}#/../..${other}`,
  (own, other) => `${own}%23/../..${other}`,
  (own, other) => `${own}%3f/../..${other}`,
  (own, other) => `${own}??/../..${other}`,
  (own, other) => `${own}/x?a=b/../../..${other}`,
  (own, other) => `${own}&/../..${other}`,
  (own, other) => `${own}@${other}`,
  (own, other) => `${own}:80${other}`,
  (_own, other) => `http://x${other}`,
  (own, other) => `http://x${own}/../..${other}`,
  (own, other) => `HTTP://x${own}@y${other}`,
  (own, other) => `http:${own}${other}`,
  (own, other) => `x:${own}${other}`,
  (own, other) => `*${own}${other}`,
  (own, other) => `?${own}${other}`,
  (own, other) => `#${own}${other}`,
  (own, other) => `${own}/${'../'.repeat(200)}${other}`,
  (own, other) => `${own}/${'x/'.repeat(200)}${'..%2f'.repeat(204)}${other}`,
  (own) => `${own}/%${'25'.repeat(500)}2e`,
  () => '/admin',
  () => '/%61dmin',
  () => '/v1/../admin',
  () => '/v1/%2e%2e/admin',
  () => '/',
  () => '/v1',
  () => '/v1/'
]

/** Paths with what a service may be asked for, odd as they look: they come through as they are. */
const ALLOWED = [
  '',
  '/',
  '/1',
  '/...',
  '/..a',
  '/a..',
  '/.well-known',
  '/a.b.c',
  '/a%20b',
  '/%C3%A9',
  '/%e2%82%ac',
  '/a:b@c!$&()*+,=~_-',
  "/it's",
  '?a=b&a=c&d',
  '?next=/v1/users/../x;y%2e%2e%2f//',
  '/x??',
  '/%E2%80%A5x',
  `/${'a'.repeat(4_000)}`
]

/** How others read a path on its way: each of them leads to the same service as the path itself. */
const READINGS: readonly ((path: string) => string)[] = [
  (path) => new URL(path, 'http://x').pathname,
  (path) => posix.normalize(path),
  (path) => posix.normalize(decoded(path)),
  (path) => posix.normalize(decoded(decoded(path))),
  (path) => posix.normalize(decoded(path).replaceAll('\\', '/')),
  (path) => posix.normalize(decoded(path).normalize('NFKC').replaceAll('\\', '/')),
  (path) => posix.normalize(decoded(path).replaceAll(/;[^/]*/g, '')),
  (path) => posix.normalize(path.replaceAll(/;[^/]*/g, '')),
  (path) => posix.normalize(decoded(path).split('\0')[0]!),
  (path) => decoded(path).split('#')[0]!,
  (path) => path.replaceAll(/\/{2,}/g, '/')
]

t.test('no path leads out of its service', async (t) => {
  const g = await startGateway(t, { env: { LIMIT_EXEMPT: '127.0.0.1', HEALTH_INTERVAL_MS: '0', LOG_LEVEL: 'error' } })
  const observed: Observed = { seen: [], faults: [] }
  for (const [service, prefix] of Object.entries(PREFIXES)) {
    const port = await listen(t, canonicalServer(service, observed))
    await announceServer(t, g.nc, { service, prefixes: [prefix], url: `http://127.0.0.1:${port}` })
    await g.live(service, 1)
  }
  /** Asks for a target as it is; answers with what a service saw of it. */
  const ask = async (target: string, method = 'GET') => {
    const head = `${method} ${target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`
    const { answers } = await converse(g.port, [Buffer.from(head)])
    const number = answers[0]?.headers.get(SEEN_HEADER)
    return { status: answers[0]?.status, seen: number === undefined ? undefined : observed.seen[Number(number)] }
  }
  const askAll = async (targets: readonly string[]) => {
    const results = []
    for (let at = 0; at < targets.length; at += AT_ONCE) {
      const some = targets.slice(at, at + AT_ONCE)
      results.push(...(await Promise.all(some.map(async (target) => ({ target, ...(await ask(target)) })))))
    }
    return results
  }

  t.test('paths of a service reach it as they are', async (t) => {
    for (const [service, prefix] of Object.entries(PREFIXES)) {
      for (const rest of ALLOWED) {
        const { seen } = await ask(prefix + rest)
        t.match(seen, { by: service, target: prefix + rest }, prefix + rest.slice(0, 60))
      }
    }
  })

  t.test('escapes are refused, or mean the same to everybody', async (t) => {
    const targets = escapes()
    t.ok(targets.length > 10_000, `${targets.length} escapes`)
    const before = observed.seen.length
    const results = await askAll(targets)
    t.strictSame(results.filter(({ target, seen }) => seen !== undefined && seen.target !== target).slice(0, 20), [])
    const astray = results.filter(({ seen }) => seen !== undefined && !staysAtHome(seen.by, seen.target))
    t.strictSame(astray.slice(0, 20), [])
    t.equal(results.filter(({ seen }) => seen !== undefined).length, observed.seen.length - before, 'all are told of')
    const odd = results.filter(({ status, seen }) => seen === undefined && ![400, 404, 414].includes(status ?? 0))
    t.strictSame(odd.slice(0, 20), [], 'refused as what they are')
    t.comment(`${results.filter(({ seen }) => seen !== undefined).length} of them mean what they say`)
  })
  t.strictSame(observed.faults, [])
})

function escapes(): string[] {
  const targets = new Set<string>()
  const [posts, users] = Object.values(PREFIXES) as [string, string]
  for (const [own, other] of [
    [posts, users],
    [users, posts]
  ] as const) {
    for (const write of OTHERS) targets.add(write(own, other))
    for (const climb of CLIMBS)
      for (const slash of SLASHES) for (const write of SHAPES) targets.add(write(own, other, climb, slash))
  }
  // A blank would end the target, and the raw bytes of the rest are UTF-8, as a careless client sends them.
  return [...targets].filter((target) => !target.includes(' '))
}

/** Whether everybody who may read a path takes it for one of the service that got it. */
function staysAtHome(service: string, target: string): boolean {
  const prefix = PREFIXES[service]!
  const path = target.split('?')[0]!
  return [path, ...READINGS.map((read) => read(path))].every((one) => one === prefix || one.startsWith(`${prefix}/`))
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path)
  } catch {
    // Lenient decoders leave what they do not understand and decode the rest.
    return path.replaceAll(/%([0-7][0-9a-f])/gi, (_all, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
  }
}
