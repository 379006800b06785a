import { LRUCache } from 'lru-cache'
import { gcra } from './gcra.ts'
import type { CountedBy, LimitPolicy } from './limit-policies.ts'

/** How long a lease may be used. */
export const LEASE_MS = 5_000
/** What only Redis can tell. */
export const UNKNOWN = -1

/** How one limit of one subject stands in this gateway. Times are those of the limiter's clock, ms. */
export type Slot = {
  readonly policy: LimitPolicy
  readonly key: string
  /** Leased and not used yet. */
  left: number
  /** What the last lease was. */
  size: number
  expires: number
  /** What Redis would still have given after the last lease. */
  remaining: number
  /** The theoretical arrival time, as Redis told it last or as counted here: when the whole burst is free again. */
  tat: number
  refusedUntil: number
  /** When the next one that is refused is told to come back. */
  promised: number
  asking: Promise<boolean> | undefined
  waiting: number
}

/** Where the slots of subjects are. Users, devices and addresses are apart, so that a crowd of addresses cannot push users out. */
export type Slots = {
  of(policy: LimitPolicy, subject: string): Slot
  /** Without making one. */
  peek(policy: LimitPolicy, subject: string): Slot | undefined
}

type SubjectSlots = (Slot | undefined)[]

/** @param most of each kind of subject; who was not seen for longest is forgotten first */
export function createSlots(most: number): Slots {
  const kinds: Partial<Record<CountedBy, LRUCache<string, SubjectSlots>>> = {}
  return {
    of(policy, subject) {
      const { by, place } = policy
      let subjects = kinds[by]
      if (subjects === undefined) {
        subjects = new LRUCache({ max: most })
        kinds[by] = subjects
      }
      let places = subjects.get(subject)
      if (places === undefined) {
        places = []
        subjects.set(subject, places)
      }
      let slot = places[place]
      if (slot === undefined) {
        slot = newSlot(policy, subject)
        places[place] = slot
      }
      return slot
    },
    peek: (policy, subject) => kinds[policy.by]?.peek(subject)?.[policy.place]
  }
}

function newSlot(policy: LimitPolicy, subject: string): Slot {
  return {
    policy,
    key: `${policy.key}${subject}`,
    left: 0,
    size: 0,
    expires: 0,
    remaining: 0,
    tat: Number.NEGATIVE_INFINITY,
    refusedUntil: 0,
    promised: 0,
    asking: undefined,
    waiting: 0
  }
}

/** How far apart those are told to come back who are refused together, at most. */
const SPREAD_MS = 10_000

/**
 * When a request that is refused is told to come back, ms from now: each one an interval after the one before, as places become free. All told
 * the same would come together, for one place.
 */
export function comeBack(slot: Slot, now: number, waitMs: number): number {
  const free = now + waitMs
  const at = Math.min(Math.max(slot.promised, free), free + SPREAD_MS)
  slot.promised = at + slot.policy.intervalMs
  return at - now
}

/** How long until a request is allowed, ms; 0: now, UNKNOWN: Redis must be asked. */
export function leasedWait(slot: Slot, now: number): number {
  if (slot.left > 0 && now < slot.expires) return 0
  return slot.refusedUntil > now ? slot.refusedUntil - now : UNKNOWN
}

/** Counts one against the lease; answers what remains. */
export function spendLeased(slot: Slot): number {
  slot.left--
  return slot.remaining + slot.left
}

/** What was leased has been counted by Redis: taking it back, this gateway goes on alone from where all of them were. */
export function localWait(slot: Slot, now: number): number {
  if (slot.left > 0) {
    slot.tat -= slot.left * slot.policy.intervalMs
    slot.left = 0
  }
  return gcra(slot.policy, slot.tat, now, 1).retryMs
}

/** Counts one here; answers what remains. */
export function spendLocal(slot: Slot, now: number): number {
  const { tat, remaining } = gcra(slot.policy, slot.tat, now, 1)
  slot.tat = tat
  return remaining
}

/** Takes in what Redis answered. */
export function leased(slot: Slot, now: number, granted: number, remaining: number, resetMs: number, retryMs: number) {
  slot.left = granted
  slot.size = granted
  slot.remaining = remaining
  slot.expires = now + LEASE_MS
  slot.tat = now + resetMs
  slot.refusedUntil = granted > 0 ? 0 : now + Math.max(1, retryMs)
}

/** Twice the last lease if that was used up in time, else what was used of it: who comes seldom must not lose quota to leases. */
export function nextLease(slot: Slot, now: number): number {
  const { policy, size, left, waiting } = slot
  const usedUp = left === 0 && now < slot.expires
  const next = size === 0 ? Math.ceil(policy.lease / 2) : Math.min(policy.lease, usedUp ? size * 2 : size - left)
  return Math.min(policy.burst, Math.max(1, next, waiting))
}
