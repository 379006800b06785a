import type { GatewayConfig } from '../config.ts'
import { parseClasses, TAKEN } from './classes.ts'

/** Whom a limit counts: `device` is a session, which a phone keeps over years; an address is an IPv4 address or an IPv6 /64. */
export type CountedBy = 'user' | 'device' | 'address'

/** So many requests in the long run, so many at once. */
export type LimitPolicy = {
  readonly name: string
  readonly by: CountedBy
  /** Starts the names of its counts, in Redis and here. */
  readonly key: string
  /** Its place among the policies that count by the same. */
  readonly place: number
  /** Requests at once from rest. */
  readonly burst: number
  /** Milliseconds in which one more becomes allowed. */
  readonly intervalMs: number
  /** Most quota taken from Redis at once; 1 where the count has to be exact. */
  readonly lease: number
  /** The `RateLimit-Policy` header. */
  readonly header: string
}

/** The limits that hold for one request, all of them at once. */
export type PolicySet = {
  readonly policies: readonly LimitPolicy[]
  /** The `RateLimit-Policy` header: a list. */
  readonly header: string
}

export type LimitPolicies = {
  readonly user: LimitPolicy
  /** Undefined where devices have no limit of their own. */
  readonly device: LimitPolicy | undefined
  /** Requests without a token. */
  readonly address: LimitPolicy
  /** Tokens that did not verify, by address: apart, so that who shares an address with others needs fear only the worst of them. */
  readonly badToken: LimitPolicy
  readonly signUp: LimitPolicy
  /** The limits of a route for a caller whose token was verified, or for nobody. A class that is not configured counts as none. */
  setOf(rules: { readonly limit?: string } | undefined, caller: object | undefined): PolicySet
}

/** No lease is a larger part of a burst than one of so many. */
const SMALL = 20

/** The policies of a configuration. Throws a line that names what is wrong with `LIMIT_CLASSES`. */
export function limitPoliciesOf(config: GatewayConfig): LimitPolicies {
  const places = { user: 0, device: 0, address: 0 }
  const policy = (
    by: CountedBy,
    name: string,
    perSecond: number,
    burst: number,
    lease = config.LIMIT_LEASE
  ): LimitPolicy => ({
    name,
    by,
    // A class counts users and addresses apart; all other names count only one of them.
    key: by === name || TAKEN.has(name) ? `${name}:` : `${name}:${by}:`,
    place: places[by]++,
    burst,
    intervalMs: 1_000 / perSecond,
    lease: Math.max(1, Math.min(lease, Math.floor(burst / SMALL))),
    header: `"${name}";q=${burst};w=${Math.max(1, Math.ceil(burst / perSecond))}`
  })

  const user = policy('user', 'user', config.LIMIT_USER_PER_SECOND, config.LIMIT_USER_BURST)
  const device =
    config.LIMIT_DEVICE_PER_SECOND > 0
      ? policy('device', 'device', config.LIMIT_DEVICE_PER_SECOND, config.LIMIT_DEVICE_BURST)
      : undefined
  const perSecond = config.LIMIT_ADDRESS_PER_SECOND
  const address = policy('address', 'address', perSecond, config.LIMIT_ADDRESS_BURST)
  const badToken = policy('address', 'bad-token', perSecond, config.LIMIT_ADDRESS_BURST)
  const perMinute = (name: string, rate: number, burst = rate) => policy('address', name, rate / 60, burst, 1)
  const signUp = perMinute('sign-up', config.LIMIT_SIGN_UP_PER_MINUTE, config.LIMIT_SIGN_UP_BURST)

  const callers = device === undefined ? [user] : [user, device]
  const sets = new Map<string, { known: PolicySet; unknown: PolicySet }>([
    ['sign-up', { known: setOf(...callers, signUp), unknown: setOf(signUp) }]
  ])
  for (const { name, perSecond, burst } of parseClasses(config.LIMIT_CLASSES)) {
    sets.set(name, {
      known: setOf(...callers, policy('user', name, perSecond, burst)),
      unknown: setOf(address, policy('address', name, perSecond, burst))
    })
  }
  const ordinary = { known: setOf(...callers), unknown: setOf(address) }
  return {
    user,
    device,
    address,
    badToken,
    signUp,
    setOf(rules, caller) {
      const name = rules?.limit
      const found = (name === undefined ? undefined : sets.get(name)) ?? ordinary
      return caller === undefined ? found.unknown : found.known
    }
  }
}

function setOf(...policies: LimitPolicy[]): PolicySet {
  return { policies, header: policies.map((policy) => policy.header).join(', ') }
}
