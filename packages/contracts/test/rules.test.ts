import t from 'tap'
import { Compile } from 'typebox/compile'
import * as contracts from '../src/index.ts'

const { authRoutes, realtimeRoutes, gatewayRoutes } = contracts
const routes = Object.entries(contracts)
  .filter(([name]) => name.endsWith('Routes') && name !== 'gatewayRoutes')
  .flatMap(([, routes]) => Object.values(routes as object)) as contracts.RouteContract[]
/** What is written down here of the house's services; a team's own may add to it. */
const ofTheHouse = ({ tag }: contracts.RouteContract) => ['auth', 'users', 'content', 'realtime'].includes(tag)
const events = new Map(
  (Object.values(contracts) as unknown[])
    .filter(
      (value): value is contracts.EventContract => typeof value === 'object' && value !== null && 'subject' in value
    )
    .map((event) => [event.subject, event])
)
const membersOf = (schema: unknown) => Object.keys((schema as { properties?: object } | undefined)?.properties ?? {})
const namesIn = (tag: string) => [...tag.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)

t.test('what a cache policy names is there: parameters, events and members of their data', async (t) => {
  const cached = routes.filter((route) => route.cache !== undefined)
  t.same(
    cached
      .filter(ofTheHouse)
      .map((route) => route.path)
      .sort(),
    ['/.well-known/jwks.json', '/v1/trends', '/v1/users/:id']
  )
  for (const { method, path, params, query, cache } of cached) {
    t.equal(method, 'GET', path)
    const known = [...membersOf(params), ...membersOf(query), 'caller']
    for (const tag of cache?.tags ?? [])
      t.same(
        namesIn(tag).filter((name) => !known.includes(name ?? '')),
        [],
        tag
      )
    for (const [subject, tags] of Object.entries(cache?.endedBy ?? {})) {
      const members = membersOf(events.get(subject)?.data)
      t.ok(members.length > 0, `${subject} is an event`)
      for (const tag of tags)
        t.same(
          namesIn(tag).filter((name) => !members.includes(name ?? '')),
          [],
          tag
        )
    }
  }
})

t.test('what a write ends is what some answer is kept under, and writes alone end anything', async (t) => {
  const kept = routes.flatMap((route) => route.cache?.tags ?? []).map((tag) => tag.slice(0, tag.indexOf(':')))
  const ending = routes.filter((route) => route.ends !== undefined)
  t.same(
    ending
      .filter(ofTheHouse)
      .map((route) => `${route.method} ${route.path}`)
      .sort(),
    ['DELETE /v1/users/:id/follow', 'PATCH /v1/users/me', 'PUT /v1/users/:id/follow']
  )
  for (const { method, path, params, ends = [] } of ending) {
    t.not(method, 'GET', path)
    for (const tag of ends) {
      t.ok(kept.includes(tag.slice(0, tag.indexOf(':'))), tag)
      t.same(
        namesIn(tag).filter((name) => ![...membersOf(params), 'caller'].includes(name ?? '')),
        [],
        tag
      )
    }
  }
})

t.test('signing in and refreshing are given up last, with the keys that all tokens are checked with', async (t) => {
  const critical = routes.filter((route) => route.priority === 'critical')
  t.same(
    critical
      .filter(ofTheHouse)
      .map((route) => route.path)
      .sort(),
    ['/.well-known/jwks.json', '/v1/auth/login', '/v1/auth/refresh']
  )
})

t.test('rules are what the gateway acts on, and nothing else', async (t) => {
  t.same(contracts.rulesOf([authRoutes.login]), [
    { method: 'POST', path: '/v1/auth/login', auth: 'none', limit: 'sign-in', priority: 'critical' }
  ])
  t.same(contracts.rulesOf([realtimeRoutes.live]), [
    { method: 'GET', path: '/v1/live', auth: 'required', stream: true }
  ])
})

t.test('what only an owner may do is declared, with the error that others get', async (t) => {
  for (const { method, path, auth, ownToken, ownerOnly, params, errors } of routes) {
    const name = `${method} ${path}`
    if (ownToken !== undefined) t.equal(auth, 'none', `${name}: tokens of another form are not the gateway's to read`)
    else if (errors.includes('FORBIDDEN')) t.equal(ownerOnly, 403, `${name}: whom is it forbidden?`)
    if (ownerOnly === undefined) continue
    t.equal(ownToken ?? auth, 'required', `${name}: nobody owns anything without a token`)
    t.ok(membersOf(params).length > 0, `${name} names what is owned`)
    if (ownToken === undefined)
      t.ok(
        errors.some((code) => contracts.ERRORS[code].status === ownerOnly),
        `${name} declares a ${ownerOnly}`
      )
  }
})

t.test('a batch takes 1 to 20 requests of the shape they would have by themselves', async (t) => {
  const body = Compile(gatewayRoutes.batch.body)
  const one = { method: 'GET', path: '/v1/feed?limit=5' }
  const good: unknown[] = [
    [one],
    [
      { ...one, id: 'a', headers: { 'If-None-Match': '"x"' } },
      { method: 'POST', path: '/v1/posts', body: { text: 'x' } }
    ],
    Array.from({ length: contracts.BATCH_REQUESTS }, () => one)
  ]
  for (const requests of good) t.ok(body.Check({ requests }), JSON.stringify(requests).slice(0, 60))
  const bad: unknown[] = [
    [],
    Array.from({ length: contracts.BATCH_REQUESTS + 1 }, () => one),
    [{ ...one, method: 'TRACE' }],
    [{ ...one, path: 'http://elsewhere/' }],
    [{ ...one, path: '/v1/a b' }],
    [{ ...one, headers: { 'x\r\ny': 'z' } }],
    [{ ...one, headers: { x: 1 } }],
    [{ ...one, headers: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`x-${i}`, ''])) }],
    [{ ...one, more: true }],
    [{ path: '/v1/feed' }]
  ]
  for (const requests of bad) t.notOk(body.Check({ requests }), JSON.stringify(requests).slice(0, 60))
})
