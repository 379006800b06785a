import type { RedisLink } from '@skerry/cache'
import type { Redis } from 'ioredis'
import { GCRA_SCRIPT } from './gcra.ts'
import type { LimitPolicy, PolicySet } from './limit-policies.ts'
import {
  comeBack,
  createSlots,
  leased,
  leasedWait,
  localWait,
  nextLease,
  type Slot,
  spendLeased,
  spendLocal,
  UNKNOWN
} from './slots.ts'

/** What the limits say to one request; seconds are whole. */
export type Verdict = {
  /** Of all that hold, the one that refuses for longest, or else has least left. */
  policy: LimitPolicy
  /** `RateLimit-Policy` of all that hold. */
  policyHeader: string
  allowed: boolean
  remaining: number
  resetSeconds: number
  retrySeconds: number
}

/** Who asks, by a token that was verified: what an unverified one says must not make counts. */
export type Counted = { readonly userId: string; readonly sessionId: string }

/**
 * Limits of all gateways together, in Redis. To save a round trip for each request, quota is leased: up to `policy.lease` requests at a
 * time, to be used within five seconds; half of that at first, and less for a subject that let leases run out. What is leased has been
 * paid for in Redis, so the long-run rate is exact; only the moment can differ: within any interval a subject may exceed
 * burst + rate × time by at most `lease` requests (or as many as it had waiting at once, if more) for each gateway it talks to, and lose
 * as many that it did not use. Where the count has to be exact, `lease` is 1.
 *
 * While Redis is away each gateway counts alone, in memory, from where Redis was.
 */
export type Limiter = {
  /**
   * Counts one request against each policy of the set, by the user, the device or the address as the policy says; none of them when one
   * refuses. Without a promise where all are leased or one is known to refuse; otherwise one round trip, in which all that are missing
   * are leased, each by a command of its own, since a cluster may keep them on different nodes: what the others leased while one refused
   * stays leased for the next request. Undefined when none holds. Never rejects.
   *
   * @param address undefined for an address without limits
   */
  takeAll(
    set: PolicySet,
    caller: Counted | undefined,
    address: string | undefined
  ): Verdict | Promise<Verdict> | undefined
  /** Counts one request of a subject (a user id, an address) against one policy. Never rejects. */
  take(policy: LimitPolicy, subject: string): Verdict | Promise<Verdict>
  /** Whether the last answer to this subject was a refusal that still holds; counts nothing. */
  refused(policy: LimitPolicy, subject: string): Verdict | undefined
}

type Scripted = Redis & {
  skerryGcra(key: string, intervalUs: number, burst: number, want: number): Promise<[number, number, number, number]>
}

/** A round leases for all who wait, so a second is rare; the bound is there for a crowd that keeps growing. */
const ROUNDS = 5

/**
 * @param options `prefix` starts every key, e.g. `gateway:`; `maxSubjects` are held of each kind: users, devices, addresses; `now` is a
 * clock in ms
 */
export function createLimiter(options: {
  redis: RedisLink | undefined
  prefix: string
  maxSubjects: number
  now?: () => number
}): Limiter {
  const { redis, prefix, maxSubjects, now = () => performance.now() } = options
  const slots = createSlots(maxSubjects)
  /** The slots of the request at hand; used again for each, as nothing else runs while a request is judged. */
  const held: Slot[] = []
  redis?.client.defineCommand('skerryGcra', { lua: GCRA_SCRIPT, numberOfKeys: 1 })

  return {
    takeAll(set, caller, address) {
      let count = 0
      for (const policy of set.policies) {
        const { by } = policy
        const subject = by === 'address' ? address : by === 'user' ? caller?.userId : caller?.sessionId
        if (subject !== undefined) held[count++] = slots.of(policy, subject)
      }
      return count === 0 ? undefined : decide(set.header, count)
    },
    take(policy, subject) {
      held[0] = slots.of(policy, subject)
      return decide(policy.header, 1)
    },
    refused(policy, subject) {
      const slot = slots.peek(policy, subject)
      if (slot === undefined) return undefined
      const time = now()
      const wait = withoutRedis() ? localWait(slot, time) : leasedWait(slot, time)
      return wait > 0 ? verdict(slot, policy.header, time, 0, wait) : undefined
    }
  }

  function withoutRedis(): boolean {
    return redis === undefined || !redis.connected()
  }

  function decide(header: string, count: number): Verdict | Promise<Verdict> {
    return judge(held, count, header, withoutRedis()) ?? ask(held.slice(0, count), header)
  }

  /** Counts the request against all or none; undefined when Redis must be asked first. */
  function judge(of: readonly Slot[], count: number, header: string, local: boolean): Verdict | undefined {
    const time = now()
    let worst: Slot | undefined
    let longest = 0
    let unknown = false
    for (let i = 0; i < count; i++) {
      const slot = of[i]!
      const wait = local ? localWait(slot, time) : leasedWait(slot, time)
      if (wait === UNKNOWN) unknown = true
      else if (wait > longest) {
        longest = wait
        worst = slot
      }
    }
    if (worst !== undefined) return verdict(worst, header, time, 0, longest)
    if (unknown) return undefined
    let tightest = of[0]!
    let least = Number.POSITIVE_INFINITY
    for (let i = 0; i < count; i++) {
      const slot = of[i]!
      const remaining = local ? spendLocal(slot, time) : spendLeased(slot)
      if (remaining < least) {
        least = remaining
        tightest = slot
      }
    }
    return verdict(tightest, header, time, least, 0)
  }

  async function ask(of: readonly Slot[], header: string): Promise<Verdict> {
    for (const slot of of) slot.waiting++
    try {
      for (let round = 0; round < ROUNDS; round++) {
        const time = now()
        // All are sent before the first answer is awaited.
        const asked = of.filter((slot) => leasedWait(slot, time) === UNKNOWN).map(askedLease)
        if ((await Promise.all(asked)).includes(false)) break
        const answer = judge(of, of.length, header, false)
        if (answer !== undefined) return answer
      }
      // Counting alone leaves nothing unknown.
      return judge(of, of.length, header, true) as Verdict
    } finally {
      for (const slot of of) slot.waiting--
    }
  }

  /** Whether Redis answered. Who comes while it is being asked waits for the same answer. */
  function askedLease(slot: Slot): Promise<boolean> {
    slot.asking ??= lease(redis!, slot).finally(() => {
      slot.asking = undefined
    })
    return slot.asking
  }

  async function lease(link: RedisLink, slot: Slot): Promise<boolean> {
    const { policy, key } = slot
    const want = nextLease(slot, now())
    const answer = await link.run((client) =>
      (client as Scripted).skerryGcra(
        `${prefix}limit:${key}`,
        Math.round(policy.intervalMs * 1_000),
        policy.burst,
        want
      )
    )
    if (answer === undefined) return false
    leased(slot, now(), ...answer)
    return true
  }
}

function verdict(slot: Slot, header: string, now: number, remaining: number, retryMs: number): Verdict {
  const resetMs = slot.tat - now
  return {
    policy: slot.policy,
    policyHeader: header,
    allowed: retryMs === 0,
    remaining,
    resetSeconds: resetMs <= 0 ? 0 : Math.ceil(resetMs / 1_000),
    retrySeconds: retryMs === 0 ? 0 : Math.max(1, Math.ceil(comeBack(slot, now, retryMs) / 1_000))
  }
}
