import t from 'tap'
import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import * as contracts from '../src/index.ts'

/** The routes of all services, by the name of the export: `usersRoutes`. */
const services = Object.entries(contracts).filter(([name]) => name.endsWith('Routes') && name !== 'gatewayRoutes')
const routes = [
  ...services.flatMap(([, routes]) => Object.values(routes as object)),
  contracts.gatewayRoutes.batch
] as contracts.RouteContract[]
const isEvent = (value: unknown): value is contracts.EventContract =>
  typeof value === 'object' && value !== null && 'subject' in value
const events = (Object.values(contracts) as unknown[]).filter(isEvent)

const accepts = (schema: TSchema, value: unknown) => Compile(schema).Check(value)

t.test('ids, names, addresses, tags and fields take what they should and nothing else', async (t) => {
  const cases: [string, TSchema, string[], string[]][] = [
    [
      'id',
      contracts.IdSchema,
      ['01m84cm365nqbb5kvt4ffg2wbf'],
      [
        '',
        '01m84cm365nqbb5kvt4ffg2wb',
        '81m84cm365nqbb5kvt4ffg2wbf',
        '01M84CM365NQBB5KVT4FFG2WBF',
        '01m84cm365nqbb5kvt4ffg2wbu'
      ]
    ],
    ['username', contracts.UsernameSchema, ['ada', 'Ada_L.-9'], ['ab', 'a b c', 'añb', 'x'.repeat(31), 'a\u0000b']],
    [
      'email',
      contracts.EmailSchema,
      ['a@b.co', 'a+b@c.d.example'],
      ['a', 'a@b', 'a b@c.de', 'a@b,c.de', '<a@b.co>', '@b.co']
    ],
    ['tag', contracts.TagSchema, ['sea', 'été', 'fork.xent.com'], ['', 'two words', 'a,b', '#x', 'a\u0000']],
    ['fields', contracts.FieldsSchema, ['id', 'id,author.username'], ['', 'a,', '.a', 'a..b', 'a b']],
    [
      'time',
      contracts.TimeSchema,
      ['2026-01-31T09:30:00.000Z'],
      ['2026-01-31', '2026-01-31T09:30:00Z', '2026-01-31T09:30:00.000+01:00']
    ],
    ['cursor', contracts.CursorSchema, ['YWJj-_'], ['', 'a b', 'a=']]
  ]
  for (const [name, schema, good, bad] of cases) {
    for (const value of good) t.ok(accepts(schema, value), `${name} ${value}`)
    for (const value of bad) t.notOk(accepts(schema, value), `${name} not ${JSON.stringify(value)}`)
  }
})

t.test(
  'every route stands below /v1 or /.well-known, once, and its bodies and queries refuse unknown members',
  async (t) => {
    const seen = new Set<string>()
    for (const route of routes as contracts.RouteContract[]) {
      const name = `${route.method} ${route.path}`
      t.notOk(seen.has(name), name)
      seen.add(name)
      for (const code of route.errors) t.ok(contracts.ERRORS[code], code)
      const named = [...route.path.matchAll(/:(\w+)/g)].map((m) => m[1])
      t.same(Object.keys((route.params as { properties?: object } | undefined)?.properties ?? {}), named, name)
      // Conduit speaks the contract of RealWorld's clients, which is not ours to shape.
      if (route.path.startsWith(`${contracts.CONDUIT_PREFIX}/`)) continue
      t.match(route.path, /^\/(v1|\.well-known)\//, name)
      t.equal(Object.keys(route.response).length, 1, `${name} has one success`)
      for (const schema of [route.params, route.query, route.body]) {
        if (schema !== undefined)
          t.equal((schema as { additionalProperties?: boolean }).additionalProperties, false, name)
      }
    }
  }
)

t.test(
  'events are named by their owner, and their entity and order key begin with the id that carries the shard',
  async (t) => {
    const id = '01m84cm365nqbb5kvt4ffg2wbf'
    const ids = new Proxy({}, { get: (_, name) => (/Id$/.test(String(name)) ? id : undefined) })
    const owners = services.map(([name]) => name.slice(0, -'Routes'.length))
    t.ok(events.length >= 16)
    for (const event of events) {
      t.ok(owners.includes(contracts.ownerOf(event)), event.subject)
      t.equal(contracts.wireSubject(event), `${event.subject}.v1`)
      t.ok(event.entity(ids as never).startsWith(id), event.subject)
      t.ok(contracts.orderKeyOf(event, ids as never).startsWith(id), event.subject)
    }
    t.throws(() => contracts.defineEvent({ ...contracts.PostCreated, subject: 'Content.post' }), /not an event subject/)
  }
)

t.test('a problem has the shape that clients are promised', async (t) => {
  const problem = contracts.problem('USR_NOT_FOUND', { requestId: 'r1', detail: 'x' })
  t.same(problem, {
    type: 'urn:skerry:error:usr-not-found',
    title: 'There is no such user',
    status: 404,
    code: 'USR_NOT_FOUND',
    detail: 'x',
    requestId: 'r1'
  })
  t.ok(accepts(contracts.ProblemSchema, problem))
  const error = new contracts.SkerryError('RATE_LIMITED', { retryAfter: 3, cause: new Error('inner') })
  t.match(error, { code: 'RATE_LIMITED', status: 429, retryAfter: 3, name: 'SkerryError' })
})
