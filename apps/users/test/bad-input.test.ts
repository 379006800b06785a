import { type Problem, usersRoutes } from '@skerry/contracts'
import { encodeCursor } from '@skerry/store'
import t from 'tap'
import { identity, tokenOf } from './support/people.ts'
import { startUsers } from './support/system.ts'

const { apps, person } = await startUsers(t, { events: false })
const [app] = apps as [(typeof apps)[0]]
const ada = person('ada')
const bob = person('bob')
await bob.me()
const before = await ada.me()

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
type Row = [what: string, method: Method, url: string, body: unknown, path: string | undefined, status?: number]
const long = (length: number) => 'x'.repeat(length)
const ME = '/v1/users/me'
const { id } = bob
const lists = [`/v1/users/${id}/followers`, `/v1/users/${id}/following`, '/v1/users']
const badIds = ['x', '0', long(26), `${id}a`, `Z${id.slice(1)}`, `${id.slice(0, 25)}u`, '%00', '..%2f', '%F0%9F%98%80']

const rows: Row[] = [
  ...[...badIds, long(2000)].flatMap((bad): Row[] => [
    ['id', 'GET', `/v1/users/${bad}`, undefined, 'params.id'],
    ['id', 'PUT', `/v1/users/${bad}/follow`, undefined, 'params.id'],
    ['id', 'DELETE', `/v1/users/${bad}/follow`, undefined, 'params.id'],
    ['id', 'GET', `/v1/users/${bad}/followers`, undefined, 'params.id'],
    ['id', 'GET', `/v1/users/${bad}/following`, undefined, 'params.id']
  ]),
  ['no body', 'PATCH', ME, undefined, 'body'],
  ['not JSON', 'PATCH', ME, '{"bio":', undefined],
  ['a string', 'PATCH', ME, '"bio"', 'body'],
  ['an array', 'PATCH', ME, '[]', 'body'],
  ['null', 'PATCH', ME, 'null', 'body'],
  ['nothing', 'PATCH', ME, {}, 'body'],
  ['displayName empty', 'PATCH', ME, { displayName: '' }, 'body.displayName'],
  ['displayName null', 'PATCH', ME, { displayName: null }, 'body'],
  ['displayName too long', 'PATCH', ME, { displayName: long(81) }, 'body.displayName'],
  ['displayName a number', 'PATCH', ME, { displayName: 1 }, 'body.displayName'],
  ['displayName an operator', 'PATCH', ME, { displayName: { $set: 1 } }, 'body.displayName'],
  ['bio too long', 'PATCH', ME, { bio: long(1001) }, 'body.bio'],
  ['bio null', 'PATCH', ME, { bio: null }, 'body'],
  ['NUL', 'PATCH', ME, '{"bio":"a\\u0000"}', 'body.bio'],
  ['a lone surrogate', 'PATCH', ME, '{"bio":"a\\ud800"}', 'body.bio'],
  ['avatar not an id', 'PATCH', ME, { avatarId: 'x' }, 'body.avatarId'],
  ['avatar a number', 'PATCH', ME, { avatarId: 1 }, 'body.avatarId'],
  ['avatar that cannot be there', 'PATCH', ME, { avatarId: id }, 'body.avatarId'],
  ['username', 'PATCH', ME, { username: 'other' }, 'body.username'],
  ['counts', 'PATCH', ME, { counts: { followers: 9 } }, 'body.counts'],
  ['version', 'PATCH', ME, { bio: 'x', version: 9 }, 'body.version'],
  ['__proto__', 'PATCH', ME, '{"bio":"x","__proto__":{"a":1}}', 'body.__proto__'],
  ['a query', 'PATCH', `${ME}?x=1`, { bio: 'x' }, 'query.x'],
  ['nested deep', 'PATCH', ME, `${'['.repeat(10_000)}${']'.repeat(10_000)}`, undefined],
  ['too big', 'PATCH', ME, { bio: long(1_100_000) }, undefined, 413],
  ['a body', 'PUT', `/v1/users/${id}/follow`, { follow: true }, 'body.follow'],
  ['a body', 'DELETE', `/v1/users/${id}/follow`, { x: 1 }, 'body.x'],
  ...lists.flatMap((url): Row[] => {
    const list = url === '/v1/users' ? `${url}?q=a&` : `${url}?`
    return [
      ...['limit=0', 'limit=101', 'limit=ten', 'limit=', 'limit=1.5', 'limit=1&limit=2'].map(
        (query): Row => [query, 'GET', `${list}${query}`, undefined, 'query.limit']
      ),
      ...[
        '%00',
        'abc',
        long(513),
        encodeCursor('sessions', [id]),
        encodeCursor(`users:followers:${ada.id}`, [id]),
        encodeCursor(`users:followers:${id}`, [7]),
        'eyJhIjoxfQ'
      ].map(
        (cursor): Row => [`cursor ${cursor.slice(0, 20)}`, 'GET', `${list}cursor=${cursor}`, undefined, 'query.cursor']
      ),
      ['fields', 'GET', `${list}fields=accountVersion`, undefined, 'query.fields'],
      ['fields', 'GET', `${list}fields=a,,b`, undefined, 'query.fields'],
      ['unknown', 'GET', `${list}page=2`, undefined, 'query.page']
    ]
  }),
  ['q empty', 'GET', '/v1/users?q=', undefined, 'query.q'],
  ['q with a pattern', 'GET', '/v1/users?q=.*%24', undefined, 'query.q'],
  ['q too long', 'GET', `/v1/users?q=${long(31)}`, undefined, 'query.q'],
  ['q twice', 'GET', '/v1/users?q=a&q=b', undefined, 'query.q'],
  ['q an object', 'GET', '/v1/users?q[$ne]=x', undefined, 'query.q[$ne]'],
  ['username too short', 'GET', '/v1/users?username=ab', undefined, 'query.username'],
  ['username with NUL', 'GET', '/v1/users?username=abc%00', undefined, 'query.username'],
  ['ids not ids', 'GET', '/v1/users?ids=a,b', undefined, 'query.ids'],
  ['ids too many', 'GET', `/v1/users?ids=${Array(101).fill(id)}`, undefined, 'query.ids'],
  ['ids with an end', 'GET', `/v1/users?ids=${id},`, undefined, 'query.ids'],
  ['none of three', 'GET', '/v1/users', undefined, 'query.username'],
  ['two of three', 'GET', `/v1/users?q=a&ids=${id}`, undefined, 'query.ids'],
  ['fields of me', 'GET', `${ME}?fields=email`, undefined, 'query.fields'],
  ['fields of one', 'GET', `/v1/users/${id}?fields=counts.likes`, undefined, 'query.fields'],
  ['method', 'POST', ME, {}, undefined, 405],
  ['method', 'GET', `/v1/users/${id}/follow`, undefined, undefined, 405],
  ['address', 'GET', '/v1/users/me/secrets', undefined, undefined, 404]
]

t.test('what does not fit is refused and names its place', async (t) => {
  for (const [what, method, url, body, path, status = 400] of rows) {
    const answer = await app.inject({
      method,
      url,
      headers: {
        authorization: `Bearer ${ada.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' })
      },
      ...(body === undefined ? {} : { payload: typeof body === 'string' ? body : JSON.stringify(body) })
    })
    const problem = answer.json<Problem>()
    const paths = problem.errors?.map((e) => e.path) ?? []
    const right =
      answer.statusCode === status &&
      String(answer.headers['content-type']).startsWith('application/problem+json') &&
      (path === undefined || paths.includes(path)) &&
      !/\bat .*\.ts|node_modules|Mongo/.test(answer.body)
    if (!right) t.fail(`${method} ${url.slice(0, 60)}: ${what}`, { status: answer.statusCode, problem })
  }
  t.pass(`${rows.length} requests`)
  t.same(await ada.me(), before, 'nothing is changed')
})

t.test('a precondition that cannot hold is none that holds', async (t) => {
  for (const tag of ['W/"999.abc"', '"abc"', 'x', '"998.a", "999.b"', '"999.x"', '']) {
    const { status } = await ada.send('PATCH', ME, { body: { bio: 'x' }, headers: { 'if-match': tag } })
    t.equal(status, 412, tag)
  }
})

t.test('every route wants a good token', async (t) => {
  const revoked = tokenOf(ada, { sid: '00000000000000000000000009' })
  identity.revoke('00000000000000000000000009')
  const bad: [string, string, string][] = [
    ['none', '', 'UNAUTHENTICATED'],
    ['garbage', 'Bearer x.y.z', 'UNAUTHENTICATED'],
    ['alg none', `Bearer ${tokenOf(ada, {}, { alg: 'none' })}`, 'UNAUTHENTICATED'],
    ['another kid', `Bearer ${tokenOf(ada, {}, { kid: 'other' })}`, 'UNAUTHENTICATED'],
    ['another audience', `Bearer ${tokenOf(ada, { aud: 'x' })}`, 'UNAUTHENTICATED'],
    ['no username', `Bearer ${tokenOf(ada, { usr: undefined })}`, 'UNAUTHENTICATED'],
    ['expired', `Bearer ${tokenOf(ada, { exp: 1 })}`, 'TOKEN_EXPIRED'],
    ['revoked', `Bearer ${revoked}`, 'SESSION_REVOKED']
  ]
  for (const contract of Object.values(usersRoutes)) {
    for (const [what, authorization, code] of bad) {
      const answer = await app.inject({
        method: contract.method,
        url: contract.path.replace(':id', bob.id),
        headers: authorization === '' ? {} : { authorization }
      })
      t.equal(answer.statusCode, 401, `${contract.path} ${what}`)
      t.equal(answer.json<Problem>().code, code)
    }
  }
})
