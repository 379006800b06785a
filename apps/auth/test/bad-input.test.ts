import { createHmac } from 'node:crypto'
import { authRoutes, type Problem } from '@skerry/contracts'
import { encodeCursor } from '@skerry/store'
import t from 'tap'
import { createAccessTokens } from '../src/domain/access-token.ts'
import { readSigningKey } from '../src/domain/signing-key.ts'
import { newSigningKey, startAuth } from './support/system.ts'

const auth = await startAuth(t, { config: { SIGN_IN_FAILURES: 1000 } })
const { app } = auth.instances[0]!
const me = await auth.signUp('somebody')
const before = await counts()

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE' | 'PUT'
type Row = [what: string, method: Method, url: string, body: unknown, path: string | undefined, status?: number]
const long = (length: number) => 'x'.repeat(length)
const fine = { email: 'new@example.org', username: 'newcomer', password: 'long enough' }
const SIGNUP = '/v1/auth/signup'
const LOGIN = '/v1/auth/login'
const REFRESH = '/v1/auth/refresh'
const ACCOUNT = '/v1/auth/account'
const SESSIONS = '/v1/auth/sessions'

/**
 * What a text member must refuse, at every route that has one.
 *
 * @param ofNull what null is told for: an optional member that is null is absent, and a change of nothing is refused as a whole
 */
const texts = (method: Method, url: string, rest: object, name: string, ofNull?: string): Row[] => [
  ...(ofNull === undefined ? [] : [[`${name} null`, method, url, { ...rest, [name]: null }, ofNull] satisfies Row]),
  ...([1, true, [], {}, { $ne: 'x' }, ''] as unknown[]).map(
    (bad): Row => [`${name} ${JSON.stringify(bad)}`, method, url, { ...rest, [name]: bad }, `body.${name}`]
  ),
  [`${name} with NUL`, method, url, JSON.stringify({ ...rest, [name]: 'abcdefgh\0@x.yz' }), `body.${name}`],
  [`${name} with a lone surrogate`, method, url, `{"${name}":"abcdefgh\\ud800@x.yz"}`, `body.${name}`],
  [`${name} too long`, method, url, { ...rest, [name]: `${long(600)}@x.yz` }, `body.${name}`]
]

const bodies: [Method, string][] = [
  ['POST', SIGNUP],
  ['POST', LOGIN],
  ['POST', REFRESH],
  ['PATCH', ACCOUNT]
]

const rows: Row[] = [
  ...bodies.flatMap(([method, url]): Row[] => [
    ['no body', method, url, undefined, 'body'],
    ['not JSON', method, url, '{"login":', undefined],
    ['a string', method, url, '"login"', 'body'],
    ['an array', method, url, '[]', 'body'],
    ['null', method, url, 'null', 'body'],
    ['unknown', method, url, { isAdmin: true }, 'body.isAdmin'],
    ['__proto__', method, url, '{"__proto__":{"a":1}}', 'body.__proto__'],
    ['a query', method, `${url}?x=1`, {}, 'query.x'],
    ['nested deep', method, url, `${'['.repeat(10_000)}${']'.repeat(10_000)}`, undefined],
    ['too big', method, url, { login: long(1_100_000) }, undefined, 413]
  ]),
  ...texts('POST', SIGNUP, fine, 'email', 'body.email'),
  ...texts('POST', SIGNUP, fine, 'username', 'body.username'),
  ...texts('POST', SIGNUP, fine, 'password', 'body.password'),
  ...texts('POST', SIGNUP, fine, 'displayName'),
  ...texts('POST', LOGIN, { login: 'a', password: 'b' }, 'login', 'body.login'),
  ...texts('POST', LOGIN, { login: 'a', password: 'b' }, 'password', 'body.password'),
  ...texts('POST', REFRESH, {}, 'refreshToken', 'body.refreshToken'),
  ...texts('PATCH', ACCOUNT, {}, 'email', 'body'),
  ...texts('PATCH', ACCOUNT, {}, 'username', 'body'),
  ...texts('PATCH', ACCOUNT, {}, 'password', 'body'),
  ...texts('PATCH', ACCOUNT, {}, 'currentPassword', 'body'),
  ...['no-at', '@x.yz', 'a@', 'a@b', 'a b@x.yz', 'a@x.yz,b@x.yz', 'a@@x.yz', 'a@x.'].map(
    (email): Row => [`email ${email}`, 'POST', SIGNUP, { ...fine, email }, 'body.email']
  ),
  ...['ab', 'with space', 'ümlaut', 'a@b', 'a/b', '../x', long(31)].map(
    (username): Row => [`username ${username}`, 'POST', SIGNUP, { ...fine, username }, 'body.username']
  ),
  ['password too short', 'POST', SIGNUP, { ...fine, password: '1234567' }, 'body.password'],
  ['password too long', 'POST', SIGNUP, { ...fine, password: long(257) }, 'body.password'],
  ['displayName too long', 'POST', SIGNUP, { ...fine, displayName: long(81) }, 'body.displayName'],
  ['nothing', 'PATCH', ACCOUNT, {}, 'body'],
  ['nothing to change', 'PATCH', ACCOUNT, { currentPassword: 'x' }, 'body'],
  ['a body', 'POST', '/v1/auth/logout', { all: true }, 'body.all'],
  ...['x', long(26), 'Z0000000000000000000000000', '%00', '..%2f', '%F0%9F%98%80', long(2000)].map(
    (id): Row => [`id ${id.slice(0, 20)}`, 'DELETE', `${SESSIONS}/${id}`, undefined, 'params.id']
  ),
  ['of nobody', 'DELETE', `${SESSIONS}/00000000000000000000000000`, undefined, undefined, 404],
  ...['limit=0', 'limit=101', 'limit=ten', 'limit=', 'limit=1&limit=2'].map(
    (query): Row => [query, 'GET', `${SESSIONS}?${query}`, undefined, 'query.limit']
  ),
  ...['%00', 'abc', long(513), encodeCursor('posts', ['x']), encodeCursor('sessions', [7]), 'bnVsbA'].map(
    (cursor): Row => [`cursor ${cursor.slice(0, 20)}`, 'GET', `${SESSIONS}?cursor=${cursor}`, undefined, 'query.cursor']
  ),
  ['fields', 'GET', `${SESSIONS}?fields=tokenHash`, undefined, 'query.fields'],
  ['unknown', 'GET', `${SESSIONS}?userId=x`, undefined, 'query.userId'],
  ['a query', 'GET', '/.well-known/jwks.json?x=1', undefined, 'query.x'],
  ['method', 'GET', LOGIN, undefined, undefined, 405],
  ['method', 'PUT', ACCOUNT, {}, undefined, 405],
  ['address', 'GET', '/v1/auth/secrets', undefined, undefined, 404]
]

t.test('what does not fit is refused and names its place', async (t) => {
  for (const [what, method, url, body, path, status = 400] of rows) {
    const name = `${method} ${url.slice(0, 60)}: ${what}`
    const answer = await app.inject({
      method,
      url,
      headers: {
        authorization: `Bearer ${me.accessToken}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' })
      },
      ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) })
    })
    const problem = answer.json<Problem>()
    const paths = problem.errors?.map((e) => e.path) ?? []
    const right =
      answer.statusCode === status &&
      String(answer.headers['content-type']).startsWith('application/problem+json') &&
      (path === undefined || paths.some((p) => p === path)) &&
      !/\bat .*\.ts|node_modules|Mongo/.test(answer.body)
    if (!right) t.fail(name, { status: answer.statusCode, problem })
  }
  t.pass(`${rows.length} requests`)
  t.same(await counts(), before, 'nothing is stored')
})

t.test('every route that takes a token refuses bad ones', async (t) => {
  const [header, claims, signature] = me.accessToken.split('.') as [string, string, string]
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const decoded = JSON.parse(Buffer.from(claims, 'base64url').toString())
  const person = { userId: me.user.id, sessionId: me.session.id, username: 'somebody', displayName: 'x' }
  const foreign = createAccessTokens(readSigningKey(newSigningKey()), 600)
  const expired = createAccessTokens(
    auth.signingKey,
    600
  )({
    ...person,
    authenticatedAt: 0,
    now: Date.now() - 700_000
  })
  const publicKey = JSON.stringify(auth.signingKey.jwks.keys[0])
  const confused = `${encode({ alg: 'HS256', typ: 'at+jwt', kid: auth.signingKey.kid })}.${claims}`
  const bad: Record<string, string> = {
    none: '',
    'not bearer': 'Basic eDp5',
    garbage: 'Bearer x.y.z',
    'alg none': `Bearer ${encode({ alg: 'none', typ: 'at+jwt' })}.${claims}.`,
    'alg none with a signature': `Bearer ${encode({ alg: 'none', typ: 'at+jwt' })}.${claims}.${signature}`,
    confused: `Bearer ${confused}.${createHmac('sha256', publicKey).update(confused).digest('base64url')}`,
    'other claims': `Bearer ${header}.${encode({ ...decoded, sub: '00000000000000000000000000' })}.${signature}`,
    'another key': `Bearer ${foreign({ ...person, authenticatedAt: Date.now(), now: Date.now() })}`,
    expired: `Bearer ${expired}`,
    long: `Bearer ${long(9_000)}`,
    'a refresh token': `Bearer ${me.refreshToken}`
  }
  for (const contract of Object.values(authRoutes)) {
    if (contract.auth !== 'required') continue
    for (const [what, authorization] of Object.entries(bad)) {
      const answer = await app.inject({
        method: contract.method,
        url: contract.path.replace(':id', me.session.id),
        headers: authorization === '' ? {} : { authorization }
      })
      const { code } = answer.json<Problem>()
      t.equal(answer.statusCode, 401, `${contract.path} ${what}`)
      t.equal(code, what === 'expired' ? 'TOKEN_EXPIRED' : 'UNAUTHENTICATED')
      t.match(answer.headers['www-authenticate'], /^Bearer/)
    }
  }
  t.same(await counts(), before)
})

async function counts() {
  const names = ['accounts', 'emails', 'usernames', 'sessions', 'outbox']
  // A job that comes due meanwhile is an event, too, of nobody's request.
  const isOurs = ({ subject }: Record<string, unknown>) => !/\.job\./.test(String(subject))
  return Promise.all(names.map(async (name) => (await auth.peek(name)).filter(isOurs).length))
}
