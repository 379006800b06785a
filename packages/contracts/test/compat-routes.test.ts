import t from 'tap'
import Type from 'typebox'
import { type ReleasedRoutes, releaseRoutes, routeChanges } from '../src/compat/index.ts'
import { defineRoute, IdSchema, LimitSchema, type RouteContract, Strict } from '../src/index.ts'

const Ship = Type.Object({ id: IdSchema, name: Type.String(), note: Type.Optional(Type.String()) }, { title: 'Ship' })
const base = defineRoute({
  method: 'PATCH',
  path: '/v1/ships/:id',
  summary: 'Changes a ship.',
  tag: 'ships',
  auth: 'optional',
  idempotent: true,
  params: Strict({ id: IdSchema }),
  query: Strict({ limit: Type.Optional(LimitSchema), kind: Type.Optional(Type.Enum(['a', 'b'])) }),
  body: Strict({ name: Type.String({ maxLength: 80 }), note: Type.Optional(Type.String()) }),
  response: { 200: Ship },
  errors: ['NOT_FOUND']
}) as RouteContract
const golden = (...routes: RouteContract[]): ReleasedRoutes => JSON.parse(JSON.stringify(releaseRoutes(routes)))
const released = golden(base)
const told = (change: Partial<RouteContract>, before = released) =>
  routeChanges(before, [{ ...base, ...change }]).map(
    ({ kind, path, before, after }) => `${kind} ${path}: ${before} → ${after}`
  )
const body = (members: Parameters<typeof Strict>[0]) => ({ body: Strict(members) })
const name = Type.String({ maxLength: 80 })
const note = Type.Optional(Type.String())
const query = { limit: Type.Optional(LimitSchema), kind: Type.Optional(Type.Enum(['a', 'b'])) }
const ship = (members: Parameters<typeof Type.Object>[0]) => ({
  response: { 200: Type.Object(members, { title: 'Ship' }) }
})

const BREAKING: [string, Partial<RouteContract>, string[]][] = [
  ['a token is needed', { auth: 'required' }, ['auth: optional → required']],
  ['a token is ignored', { auth: 'none' }, ['auth: optional → none']],
  ['a repeat is not safe', { idempotent: false }, ['idempotent: true → false']],
  ['a stream', { stream: true }, ['stream: false → true']],
  ['null means something else', { keepsNull: true }, ['keepsNull: false → true']],
  ['an id of another form', { params: Strict({ id: Type.Integer() }) }, ['params.:1: string → integer']],
  ['a query member less', { query: Strict({ limit: query.limit }) }, ['query.kind: one of "a", "b" → nothing']],
  [
    'no query',
    { query: undefined as never },
    ['query.kind: one of "a", "b" → nothing', 'query.limit: integer → nothing']
  ],
  [
    'a query member that must be there',
    { query: Strict({ ...query, kind: Type.Enum(['a', 'b']) }) },
    ['query.kind: optional → required']
  ],
  [
    'a value less',
    { query: Strict({ ...query, kind: Type.Optional(Type.Enum(['a'])) }) },
    ['query.kind: one of "a", "b" → "a"']
  ],
  [
    'a lower bound',
    { query: Strict({ ...query, limit: Type.Optional({ ...LimitSchema, maximum: 50 }) }) },
    ['query.limit: maximum 100 → maximum 50']
  ],
  [
    'another default',
    { query: Strict({ ...query, limit: Type.Optional({ ...LimitSchema, default: 10 }) }) },
    ['query.limit: 20 → 10']
  ],
  ['a body member less', body({ name }), ['body.note: string → nothing']],
  ['a body member that must be there', body({ name, note: Type.String() }), ['body.note: optional → required']],
  ['a new one that must be there', body({ name, note, x: Type.String() }), ['body.x: nothing → required']],
  ['a shorter text', body({ name: Type.String({ maxLength: 20 }), note }), ['body.name: maxLength 80 → maxLength 20']],
  [
    'a pattern',
    body({ name: Type.String({ maxLength: 80, pattern: '^[a-z]+$' }), note }),
    ['body.name: no pattern → pattern "^[a-z]+$"']
  ],
  ['another type', body({ name, note: Type.Optional(Type.Integer()) }), ['body.note: string → integer']],
  ['no body', { body: undefined as never }, ['body.name: string → nothing', 'body.note: string → nothing']],
  ['a response member less', ship({ id: IdSchema, name: Type.String() }), ['response 200.note: string → nothing']],
  [
    'a response member that may be missing',
    ship({ id: IdSchema, name: note, note }),
    ['response 200.name: required → optional']
  ],
  [
    'a response member that may be null',
    ship({ id: IdSchema, name: Type.Union([Type.String(), Type.Null()]), note }),
    ['response 200.name: string → null']
  ],
  [
    'a response member of another type',
    ship({ id: IdSchema, name: Type.Integer(), note }),
    ['response 200.name: string → integer']
  ],
  [
    'a wider response',
    ship({ id: Type.String(), name: Type.String(), note }),
    ['response 200.id: pattern "^[0-7][0-9a-hjkmnp-tv-z]{25}$" → no pattern']
  ],
  ['no body in the answer', { response: { 200: null } }, ['response 200: object → empty']],
  ['another status', { response: { 202: Ship } }, ['response 200: object → gone', 'response 202: nothing → object']],
  ['one more success', { response: { 200: Ship, 204: null } }, ['response 204: nothing → empty']]
]
t.test('what a client out there cannot bear is breaking', async (t) => {
  for (const [what, change, said] of BREAKING)
    t.same(
      told(change),
      said.map((one) => `breaking ${one}`),
      what
    )
})

t.test('bodies that are streams are of another kind, whatever their limit', async (t) => {
  const streamed = { ...base, body: 'stream', bodyLimit: 1_000_000 } as const
  t.has(told(streamed), ['breaking streamed: false → true'])
  t.same(routeChanges(golden(streamed), [{ ...streamed, bodyLimit: 2_000_000 }]), [])
  t.equal(routeChanges(golden(streamed), [streamed]).length, 0)
})

const ADDITIVE: [string, Partial<RouteContract>, string[]][] = [
  ['an optional member of the body', body({ name, note, x: Type.Optional(Type.String()) }), ['body.properties.x']],
  ['a body member that need not be there', body({ name: Type.Optional(name), note }), ['body.required']],
  ['a longer text', body({ name: Type.String({ maxLength: 90 }), note }), ['body.properties.name.maxLength']],
  [
    'one value more that is taken',
    { query: Strict({ ...query, kind: Type.Optional(Type.Enum(['a', 'b', 'c'])) }) },
    ['query.properties.kind.enum']
  ],
  [
    'a member more in the answer',
    ship({ id: IdSchema, name: Type.String(), note, x: Type.String() }),
    ['response.200.required', 'response.200.properties.x']
  ],
  [
    'a narrower answer',
    ship({ id: IdSchema, name: Type.String({ maxLength: 5 }), note }),
    ['response.200.properties.name.maxLength']
  ],
  [
    'a member of the answer that is always there',
    ship({ id: IdSchema, name: Type.String(), note: Type.String() }),
    ['response.200.required']
  ],
  ['an error more: codes are open', { errors: ['NOT_FOUND', 'CONFLICT'] }, ['errors']]
]
t.test('what clients need not know of is additive', async (t) => {
  for (const [what, change, paths] of ADDITIVE) {
    const changes = routeChanges(released, [{ ...base, ...change }])
    t.same([...new Set(changes.map(({ kind }) => kind))], ['additive'], what)
    t.same(
      changes.map(({ path }) => path),
      paths,
      what
    )
  }
  const closed = golden({ ...base, auth: 'required', idempotent: false })
  t.same(told({}, closed), ['additive auth: "required" → "optional"', 'additive idempotent: nothing → true'])
})

t.test('what stays between the service and the gateway is no part of the contract', async (t) => {
  t.same(told({ timeoutMs: 1, priority: 'low', limit: 'search', summary: 'Other words.', tag: 'other' }), [])
  const renamed = told({ path: '/v1/ships/:shipId', params: Strict({ shipId: IdSchema }) })
  t.ok(renamed.length > 0 && renamed.every((one) => /^additive params/.test(one)), 'names of parameters are told only')
})

t.test('routes that come and go', async (t) => {
  const other = { ...base, path: '/v1/boats/:id' }
  t.match(routeChanges(released, []), [
    { kind: 'breaking', contract: 'PATCH /v1/ships/:id', before: 'released', after: 'gone' }
  ])
  t.match(routeChanges(released, [base, other]), [{ kind: 'new', contract: 'PATCH /v1/boats/:id' }])
  t.match(routeChanges(released, [{ ...base, method: 'PUT' }]), [
    { kind: 'breaking' },
    { kind: 'new', contract: 'PUT /v1/ships/:id' }
  ])
})

t.test('requests that were released have to be taken', async (t) => {
  const route = released['PATCH /v1/ships/:id']!
  t.same(route.examples.body, [{ name: 'name', note: 'note' }, { name: 'name' }])
  const more = { ...route, examples: { ...route.examples, body: [{ name: 'x'.repeat(81) }] } }
  t.same(told({}, { 'PATCH /v1/ships/:id': more }), ['breaking body.examples[0]: fits → does not fit'])
})
