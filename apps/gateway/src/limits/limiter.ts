import type { RedisLink } from '@skerry/cache'
import type { Redis } from 'ioredis'
import { LRUCache } from 'lru-cache'
import { GCRA_SCRIPT, gcra } from './gcra.ts'
import type { Policy } from './policies.ts'

/** What a limit says to one request; seconds are whole. */
export type Verdict = {
  policy: Policy
  allowed: boolean
  remaining: number
  resetSeconds: number
  retrySeconds: number
}

/**
 * Limits of all gateways together, in Redis. To save a round trip for each request, quota is leased: up to `policy.lease` requests at a
 * time, to be used within five seconds; half of that at first, and less for a subject that let leases run out. What is leased has been
 * paid for in Redis, so the long-run rate is exact; only the moment can differ: within any interval a subject may exceed
 * burst + rate × time by at most `lease` requests for each gateway it talks to, and lose as many that it did not use. Where the count has
 * to be exact, `lease` is 1.
 *
 * While Redis is away each gateway counts alone, in memory.
 */
export type Limiter = {
  /** Counts one request of a subject (a user id, an address). Never rejects. */
  take(policy: Policy, subject: string): Verdict | Promise<Verdict>
  /** Whether the last answer to this subject was a refusal that still holds; counts nothing. */
  refused(policy: Policy, subject: string): Verdict | undefined
}

type Lease = {
  left: number
  size: number
  expires: number
  /** As of the last answer of Redis, without what is still leased here. */
  remaining: number
  resetAt: number
  refusedUntil: number
  asking: Promise<unknown> | undefined
  waiting: number
}

type Scripted = Redis & {
  skerryGcra(key: string, intervalUs: number, burst: number, want: number): Promise<[number, number, number, number]>
}

const LEASE_MS = 5_000

/** @param prefix starts every key, e.g. `gateway:` */
export function createLimiter(options: { redis: RedisLink | undefined; prefix: string; maxSubjects: number }): Limiter {
  const { redis, prefix, maxSubjects } = options
  const leases = new LRUCache<string, Lease>({ max: maxSubjects })
  const arrivals = new LRUCache<string, number>({ max: maxSubjects })
  redis?.client.defineCommand('skerryGcra', { lua: GCRA_SCRIPT, numberOfKeys: 1 })

  return {
    take(policy, subject) {
      const key = `${policy.name}:${subject}`
      if (redis === undefined || !redis.connected()) return takeHere(policy, key)
      return fromLease(policy, leases.get(key)) ?? takeThere(redis, policy, key)
    },
    refused(policy, subject) {
      const lease = leases.peek(`${policy.name}:${subject}`)
      return lease !== undefined && lease.refusedUntil > performance.now() ? refusal(policy, lease) : undefined
    }
  }

  function takeHere(policy: Policy, key: string): Verdict {
    const now = performance.now()
    const standing = gcra(policy, arrivals.get(key) ?? 0, now, 1)
    arrivals.set(key, standing.tat)
    const { granted, remaining, resetMs, retryMs } = standing
    return verdict(policy, granted > 0, remaining, resetMs, retryMs)
  }

  async function takeThere(link: RedisLink, policy: Policy, key: string): Promise<Verdict> {
    const lease = leases.get(key) ?? newLease()
    leases.set(key, lease)
    lease.waiting++
    try {
      // Each round leases for all who wait, so a second round is rare; the bound is there for a crowd that keeps growing.
      for (let round = 0; round < 5; round++) {
        lease.asking ??= ask(link, policy, key, lease).finally(() => {
          lease.asking = undefined
        })
        if ((await lease.asking) === undefined) return takeHere(policy, key)
        const answer = fromLease(policy, lease)
        if (answer !== undefined) return answer
      }
      return takeHere(policy, key)
    } finally {
      lease.waiting--
    }
  }

  /** Leases for the subject; undefined when Redis did not answer. */
  async function ask(link: RedisLink, policy: Policy, key: string, lease: Lease): Promise<true | undefined> {
    const want = Math.min(policy.burst, Math.max(nextSize(policy, lease), lease.waiting))
    const answer = await link.run((client) =>
      (client as Scripted).skerryGcra(
        `${prefix}limit:${key}`,
        Math.round(policy.intervalMs * 1_000),
        policy.burst,
        want
      )
    )
    if (answer === undefined) return undefined
    const [granted, remaining, resetMs, retryMs] = answer
    const now = performance.now()
    lease.left = granted
    lease.size = granted
    lease.remaining = remaining
    lease.expires = now + LEASE_MS
    lease.resetAt = now + resetMs
    lease.refusedUntil = granted > 0 ? 0 : now + Math.max(1, retryMs)
    return true
  }
}

function newLease(): Lease {
  return { left: 0, size: 0, expires: 0, remaining: 0, resetAt: 0, refusedUntil: 0, asking: undefined, waiting: 0 }
}

/** Twice the last lease if that was used up in time, else what was used of it: who comes seldom must not lose quota to leases. */
function nextSize(policy: Policy, lease: Lease): number {
  if (lease.size === 0) return Math.ceil(policy.lease / 2)
  const usedUp = lease.left === 0 && performance.now() < lease.expires
  return Math.max(1, Math.min(policy.lease, usedUp ? lease.size * 2 : lease.size - lease.left))
}

function fromLease(policy: Policy, lease: Lease | undefined): Verdict | undefined {
  if (lease === undefined) return undefined
  const now = performance.now()
  if (lease.left > 0 && now < lease.expires) {
    lease.left--
    return verdict(policy, true, lease.remaining + lease.left, lease.resetAt - now, 0)
  }
  return lease.refusedUntil > now ? refusal(policy, lease) : undefined
}

function refusal(policy: Policy, lease: Lease): Verdict {
  const now = performance.now()
  return verdict(policy, false, 0, lease.resetAt - now, lease.refusedUntil - now)
}

function verdict(policy: Policy, allowed: boolean, remaining: number, resetMs: number, retryMs: number): Verdict {
  return {
    policy,
    allowed,
    remaining,
    resetSeconds: resetMs <= 0 ? 0 : Math.ceil(resetMs / 1_000),
    retrySeconds: allowed ? 0 : Math.max(1, Math.ceil(retryMs / 1_000))
  }
}
