import type { RouteRules as Announced, RouteContract } from '@skerry/contracts'
import type { GatewayConfig } from '../config.ts'

/** So many requests in the long run, so many at once. */
export type Policy = {
  readonly name: string
  /** Requests at once from rest. */
  readonly burst: number
  /** Milliseconds in which one more becomes allowed. */
  readonly intervalMs: number
  /** Most quota taken from Redis at once; 1 where the count has to be exact. */
  readonly lease: number
  /** The `RateLimit-Policy` header. */
  readonly header: string
}

export type Policies = {
  readonly user: Policy
  /** Requests without a token. */
  readonly address: Policy
  /** Tokens that did not verify, by address: apart, so that who shares an address with others needs fear only the worst of them. */
  readonly badToken: Policy
  readonly signIn: Policy
  readonly signUp: Policy
}

/** No lease is a larger part of a burst than one of so many. */
const SMALL = 20

/** The policies of a configuration. */
export function policiesOf(config: GatewayConfig): Policies {
  const lease = config.LIMIT_LEASE
  return {
    user: policy('user', config.LIMIT_USER_BURST, 1_000 / config.LIMIT_USER_PER_SECOND, lease),
    address: policy('address', config.LIMIT_ADDRESS_BURST, 1_000 / config.LIMIT_ADDRESS_PER_SECOND, lease),
    badToken: policy('bad-token', config.LIMIT_ADDRESS_BURST, 1_000 / config.LIMIT_ADDRESS_PER_SECOND, lease),
    signIn: policy('sign-in', config.LIMIT_SIGN_IN_PER_MINUTE, 60_000 / config.LIMIT_SIGN_IN_PER_MINUTE, 1),
    signUp: policy('sign-up', config.LIMIT_SIGN_UP_PER_MINUTE, 60_000 / config.LIMIT_SIGN_UP_PER_MINUTE, 1)
  }
}

function policy(name: string, burst: number, intervalMs: number, lease: number): Policy {
  const window = Math.max(1, Math.ceil((burst * intervalMs) / 1_000))
  return {
    name,
    burst,
    intervalMs,
    lease: Math.max(1, Math.min(lease, Math.floor(burst / SMALL))),
    header: `"${name}";q=${burst};w=${window}`
  }
}

/** What the gateway knows of a route from its contract. Routes of services it does not know have none. */
export type RouteRules = Pick<RouteContract, 'auth' | 'limit' | 'stream'>

/** Finds the rules of a route by method and decoded path; HEAD counts as GET. */
export type RulesOf = (method: string, path: string) => RouteRules | undefined

/** Indexes the contracts whose rules differ from the ordinary ones, or `all`: where no service verifies again, the door alone does. */
export function indexRules(contracts: readonly (RouteContract | Announced)[], all = false): RulesOf {
  const exact = new Map<string, RouteRules>()
  const patterns: { method: string; path: RegExp; rules: RouteRules }[] = []
  for (const { method, path, auth, limit, stream } of contracts) {
    if (!all && auth !== 'none' && (limit ?? 'default') === 'default' && stream !== true) continue
    const rules = { auth, ...(limit === undefined ? {} : { limit }), ...(stream === undefined ? {} : { stream }) }
    if (!path.includes(':')) exact.set(`${method} ${path}`, rules)
    else
      patterns.push({
        method,
        path: new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/:\w+/g, '[^/]+')}$`),
        rules
      })
  }
  return (method, path) => {
    const asked = method === 'HEAD' ? 'GET' : method
    return (
      exact.get(`${asked} ${path}`) ??
      patterns.find((pattern) => pattern.method === asked && pattern.path.test(path))?.rules
    )
  }
}
