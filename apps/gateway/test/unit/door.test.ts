import type { RouteRules } from '@skerry/contracts'
import { createIdentityFromJwks, type Instance } from '@skerry/service'
import t from 'tap'
import { readConfig } from '../../src/config.ts'
import { parseNetworks } from '../../src/door/address.ts'
import { createDoor, type DoorOptions } from '../../src/door/door.ts'
import { type Incoming, Visit } from '../../src/door/visit.ts'
import { type LimitPolicy, limitPoliciesOf } from '../../src/limits/limit-policies.ts'
import { createLimiter } from '../../src/limits/limiter.ts'
import { createRoutes } from '../../src/routing/routes.ts'
import { createIssuer, idOf } from '../helpers/tokens.ts'

const issuer = createIssuer()
const RULES: RouteRules[] = [
  { method: 'GET', path: '/x/open', auth: 'optional', priority: 'low' },
  { method: 'GET', path: '/x/mine/:id', auth: 'required' },
  { method: 'POST', path: '/x/login', auth: 'none', limit: 'sign-in' }
]

/** A door whose limits are `burst`, with real routes, limits and verification; only the load of the machine is told by hand. */
function door({
  burst = 5,
  exempt = '',
  ...options
}: Partial<Omit<DoorOptions, 'exempt'>> & { burst?: number; exempt?: string } = {}) {
  const limited: string[] = []
  const asked: string[] = []
  const policies = limitPoliciesOf(
    readConfig({
      ...{ NATS_URL: 'nats://x', NATS_USER: 'x', NATS_PASSWORD: 'x' },
      ...{ LIMIT_USER_BURST: String(burst), LIMIT_ADDRESS_BURST: String(burst) }
    })
  )
  const routes = createRoutes({
    ...{ expected: [], known: [], timeoutMs: 1_000, onConflict: () => {}, onBadRule: () => {} }
  })
  const instance = { service: 'x', version: '1', instance: '1', url: 'http://127.0.0.1:1', weight: 1 }
  routes.update([{ ...instance, prefixes: ['/x'], routes: RULES } as Instance], 0)
  const identity = createIdentityFromJwks(issuer.jwks as never)
  const enter = createDoor({
    identity,
    limiter: createLimiter({ redis: undefined, prefix: 'x:', maxSubjects: 100, now: () => 0 }),
    limitPolicies: policies,
    routes,
    trusted: parseNetworks('10.0.0.0/8', 'X'),
    exempt: parseNetworks(exempt, 'X'),
    urlLimit: 100,
    overload: {
      atDoor(priority) {
        asked.push(priority)
        return undefined
      }
    },
    onFault: (_at, error) => {
      throw error
    },
    onLimited: (policy: LimitPolicy) => limited.push(policy.name),
    ...options
  })
  async function come(url: string, rest: Partial<Incoming> & { own?: boolean } = {}) {
    const { own = false, ...raw } = rest
    const visit = new Visit(
      {
        ...{ method: 'GET', url, headers: {}, rawHeaders: ['host', 'x'], httpVersionMajor: 1, httpVersionMinor: 1 },
        ...{ socket: { remoteAddress: '198.51.100.7' } },
        ...raw
      },
      0
    )
    visit.own = own
    const error = await new Promise<Error | undefined>((resolve) => enter(visit, resolve))
    return { visit, error }
  }
  /** Whether a decision came without a promise. */
  function comeAtOnce(url: string, headers: Record<string, string> = {}): boolean {
    let decided = false
    const visit = new Visit(
      {
        ...{ method: 'GET', url, headers, rawHeaders: ['host', 'x'], httpVersionMajor: 1, httpVersionMinor: 1 },
        ...{ socket: { remoteAddress: '198.51.100.9' } }
      },
      0
    )
    enter(visit, () => {
      decided = true
    })
    return decided
  }
  return { come, comeAtOnce, limited, asked, identity, policies }
}
const bearer = (sub = 'ada') => issuer.bearer({ sub, sid: `${sub}-phone` })

t.test('who may come in comes in, with what is known of them', async (t) => {
  const { come, asked } = door()
  const open = await come('/x/open?q=1')
  t.equal(open.error, undefined)
  t.match(open.visit, {
    path: '/x/open',
    address: '198.51.100.7',
    protocol: 'http',
    priority: 'low',
    caller: undefined
  })
  t.match(open.visit, {
    route: { path: '/x/open' },
    verdict: { allowed: true, policy: { name: 'address' }, remaining: 4 }
  })
  const mine = await come('/x/mine/7', {
    headers: { ...bearer(), 'x-forwarded-proto': 'https', 'x-forwarded-for': '203.0.113.5' },
    socket: { remoteAddress: '10.0.0.1' }
  })
  t.equal(mine.error, undefined)
  t.match(mine.visit, {
    caller: { userId: idOf('ada'), sessionId: 'ada-phone' },
    address: '203.0.113.5',
    protocol: 'https'
  })
  t.strictSame({ ...mine.visit.params }, { id: '7' })
  t.match(mine.visit.verdict, { policy: { name: 'user' }, remaining: 4 })
  t.strictSame(asked, ['low', 'normal'])
  t.equal((await come('/x/other')).error, undefined, 'a path that no rule describes')
})

t.test('who may not', async (t) => {
  const { come } = door({ burst: 50 })
  const of = async (url: string, rest: Parameters<typeof come>[1] = {}) => (await come(url, rest)).error
  t.match(await of('/x/mine/7'), { code: 'UNAUTHENTICATED' })
  t.match(await of('/elsewhere'), { code: 'NOT_FOUND', detail: 'There is no such route.' })
  t.match(await of('/elsewhere', { headers: bearer() }), { code: 'NOT_FOUND' }, 'with a token as well')
  t.equal(await of('/elsewhere', { own: true }), undefined, "the gateway's own")
  t.match(await of('/x//open'), { code: 'BAD_REQUEST' })
  t.match(await of(`/x/${'y'.repeat(100)}`), { code: 'URI_TOO_LONG' })
  t.match(await of(undefined as never), { code: 'BAD_REQUEST' })
  t.match(await of('/x/open', { headers: { 'content-length': '5' } }), { code: 'BAD_REQUEST' })
  for (const authorization of ['Basic YTpi', '', 'Bearer'])
    t.match(await of('/x/open', { headers: { authorization } }), {
      code: 'UNAUTHENTICATED',
      detail: 'The Authorization header must be: Bearer <access token>.'
    })
  t.match(
    await of('/x/open', { headers: { authorization: 'Bearer rubbish' } }),
    { code: 'UNAUTHENTICATED' },
    'a bad token is no missing token'
  )
  t.match(await of('/x/open', { headers: issuer.bearer({ exp: 1 }) }), { code: 'TOKEN_EXPIRED' })
  const refused = await come('/x//open')
  t.equal(refused.visit.path, '', 'its path is not known to be one')
  t.equal(refused.visit.verdict?.policy.name, 'address', 'and it counts for its address')
})

t.test('a token where none is taken is not looked at', async (t) => {
  const { come } = door()
  const { error, visit } = await come('/x/login', { method: 'POST', headers: { authorization: 'Bearer rubbish' } })
  t.equal(error, undefined)
  t.equal(visit.caller, undefined)
  t.equal(visit.verdict?.policy.name, 'address')
  const nobody = door({ identity: undefined })
  t.equal((await nobody.come('/x/open', { headers: { authorization: 'Bearer rubbish' } })).error, undefined)
})

t.test('limits: who is refused, for how long, and who is told', async (t) => {
  const { come, limited } = door({ burst: 2 })
  for (let i = 0; i < 2; i++) t.equal((await come('/x/open')).error, undefined)
  const third = await come('/x/open')
  t.match(third.error, { code: 'RATE_LIMITED', retryAfter: 1 })
  t.match(third.visit.verdict, { allowed: false, remaining: 0 })
  t.strictSame(limited, ['address'])
  t.equal(
    (await come('/x/open', { socket: { remoteAddress: '198.51.100.8' } })).error,
    undefined,
    'not another address'
  )
  for (let i = 0; i < 2; i++)
    t.equal((await come('/x/open', { headers: bearer() })).error, undefined, 'nor who has signed in')
  t.match((await come('/x/open', { headers: bearer() })).error, { code: 'RATE_LIMITED' })
  t.equal((await come('/x/open', { headers: bearer('bob') })).error, undefined)
  t.strictSame(limited, ['address', 'user'])
  const six = (host: number) => ({ socket: { remoteAddress: `2001:db8::${host}` } })
  for (let i = 0; i < 2; i++) t.equal((await come('/x/open', six(i))).error, undefined)
  t.match((await come('/x/open', six(3))).error, { code: 'RATE_LIMITED' }, 'all of one /64 are one')
})

t.test('an address without limits', async (t) => {
  const { come, limited } = door({ burst: 1, exempt: '198.51.100.0/24' })
  for (let i = 0; i < 5; i++) {
    const { error, visit } = await come('/x/open')
    t.equal(error, undefined)
    t.equal(visit.verdict, undefined)
  }
  for (let i = 0; i < 5; i++)
    t.match((await come('/x/open', { headers: { authorization: 'Bearer x' } })).error, { code: 'UNAUTHENTICATED' })
  t.match((await come('/x/mine/1')).error, { code: 'UNAUTHENTICATED' }, 'but not without a token')
  t.strictSame(limited, [])
})

t.test('bad tokens count for their address, apart from everything else', async (t) => {
  const { come, comeAtOnce, limited } = door({ burst: 2 })
  const bad = { headers: { authorization: 'Bearer rubbish' }, socket: { remoteAddress: '198.51.100.9' } }
  for (let i = 0; i < 2; i++) {
    const { error, visit } = await come('/x/open', bad)
    t.match(error, { code: 'UNAUTHENTICATED' })
    t.match(visit.verdict, { allowed: true, policy: { name: 'bad-token' } })
  }
  const third = await come('/x/open', bad)
  t.match(third.error, { code: 'RATE_LIMITED' })
  t.equal(third.visit.verdict?.policy.name, 'bad-token')
  t.strictSame(limited, ['bad-token'])
  t.ok(
    comeAtOnce('/x/open', { authorization: 'Bearer other' }),
    'what is still unknown from there is not verified any more'
  )
  t.match((await come('/x/open', { ...bad, headers: bearer() })).error, { code: 'RATE_LIMITED' }, 'a good one neither')
  t.equal((await come('/x/open', { socket: bad.socket })).error, undefined, 'without a token they are as others')
  t.equal((await come('/x/open', { headers: bearer() })).error, undefined, 'and other addresses are not concerned')
})

t.test('who is known passes without a promise', async (t) => {
  const { come, comeAtOnce } = door()
  const headers = bearer()
  t.notOk(comeAtOnce('/x/open', headers), 'a new token has to be verified')
  await come('/x/open', { headers })
  t.ok(comeAtOnce('/x/open', headers))
  t.ok(comeAtOnce('/x/open'))
})

t.test('overload refuses before anything that costs more', async (t) => {
  const { come, limited } = door({
    overload: { atDoor: (priority) => (priority === 'high' ? undefined : { reason: 'pressure', retryAfter: 3 }) }
  })
  const { error, visit } = await come('/x/open', { headers: { authorization: 'Bearer x' } })
  t.match(error, { code: 'UNAVAILABLE', retryAfter: 3 })
  t.equal(visit.verdict, undefined)
  t.equal(visit.address, '')
  t.equal((await come('/x/open', { method: 'POST' })).error, undefined, 'by what it matters')
  t.strictSame(limited, [])
})

t.test('a limiter that answers later', async (t) => {
  const real = createLimiter({ redis: undefined, prefix: 'x:', maxSubjects: 100, now: () => 0 })
  const later = { ...real, takeAll: async (...args: Parameters<typeof real.takeAll>) => (await real.takeAll(...args))! }
  const { come, limited } = door({ burst: 1, limiter: later as never })
  t.match(await come('/x/open'), { error: undefined, visit: { verdict: { allowed: true } } })
  t.match((await come('/x/open')).error, { code: 'RATE_LIMITED' })
  t.match((await come('/x/mine/1', { socket: { remoteAddress: '198.51.100.8' } })).error, { code: 'UNAUTHENTICATED' })
  t.strictSame(limited, ['address'])
  const broken = door({ limiter: { ...real, takeAll: () => Promise.reject(new Error('broken')) } as never })
  t.match((await broken.come('/x/open')).error, { message: 'broken' })
})
