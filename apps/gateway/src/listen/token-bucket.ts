/** How often something may happen: `burst` at once and `perSecond` in the long run. */
export type Allowance = { burst: number; perSecond: number }

/** A token bucket that starts full. */
export type TokenBucket = { left: number; at: number }

export function createBucket(allowance: Allowance, now: number): TokenBucket {
  return { left: allowance.burst, at: now }
}

/** Takes one token; false when there is none. `now` in ms. */
export function spend(bucket: TokenBucket, allowance: Allowance, now: number): boolean {
  bucket.left = Math.min(allowance.burst, bucket.left + ((now - bucket.at) / 1_000) * allowance.perSecond)
  bucket.at = now
  if (bucket.left < 1) return false
  bucket.left--
  return true
}
