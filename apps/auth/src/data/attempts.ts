import type { RedisLink } from '@skerry/cache'

/** So many attempts under a key in any window. */
export type Bound = { key: string; limit: number; windowMs: number }

/** Attempts that were taken: `waitMs` is 0, or how long until one is free again, and then none was taken. */
export type Taken = {
  waitMs: number
  /** Gives them back: they were no failures. Never throws. */
  giveBack(): Promise<void>
}

/** Counts attempts that may fail. */
export type Attempts = {
  /** Takes one attempt under each key, or none. Taken before the attempt is made, so that many at once are no way around. Never throws. */
  take(bounds: readonly Bound[]): Promise<Taken>
}

export type AttemptsOptions = {
  redis: RedisLink | undefined
  /** What all keys begin with: `auth:`. */
  prefix: string
  /** Keys remembered by this instance while Redis is away. */
  remembered: number
  now(): number
}

/**
 * A list of the times of the last attempts: one more is allowed when there are fewer than the limit within the window. Refused ones are not
 * noted, so that waiting as long as told always helps. Redis' clock decides. Answers the time that was noted, or minus the wait.
 */
const TAKE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
if redis.call('LLEN', KEYS[1]) >= limit then
  local free = tonumber(redis.call('LINDEX', KEYS[1], -limit)) + window
  if free > now then return now - free end
end
redis.call('RPUSH', KEYS[1], string.format('%.0f', now))
redis.call('LTRIM', KEYS[1], -limit, -1)
redis.call('PEXPIRE', KEYS[1], window)
return now`

type Outcome = { waitMs: number; giveBack(): Promise<unknown> | undefined }

/** Counts attempts in Redis, for all instances together; in this instance's memory while Redis is away. */
export function createAttempts({ redis, prefix, remembered, now }: AttemptsOptions): Attempts {
  const memory = createMemory(remembered, now)

  async function takeOne(bound: Bound): Promise<Outcome> {
    const key = `${prefix}attempts:${bound.key}`
    const stamp = await redis?.run((client) => client.eval(TAKE, 1, key, bound.limit, bound.windowMs))
    if (typeof stamp === 'number' && stamp < 0) return { waitMs: -stamp, giveBack: () => undefined }
    // Noted here as well: when Redis goes away, this instance goes on from what it has seen.
    const alone = memory.take(bound)
    if (typeof stamp !== 'number') return alone
    return {
      waitMs: 0,
      giveBack() {
        alone.giveBack()
        return redis?.run((client) => client.lrem(key, -1, String(stamp)))
      }
    }
  }

  return {
    async take(bounds) {
      const all = await Promise.all(bounds.map(takeOne))
      const waitMs = Math.max(0, ...all.map((one) => one.waitMs))
      const giveBack = async () => {
        await Promise.all(all.map((one) => one.giveBack()))
      }
      if (waitMs > 0) await giveBack()
      return { waitMs, giveBack }
    }
  }
}

function createMemory(remembered: number, now: () => number): { take(bound: Bound): Outcome } {
  const byKey = new Map<string, number[]>()
  return {
    take({ key, limit, windowMs }) {
      const time = now()
      const recent = (byKey.get(key) ?? []).filter((at) => at + windowMs > time)
      const oldest = recent.at(-limit)
      const waitMs = oldest === undefined ? 0 : oldest + windowMs - time
      if (waitMs === 0) recent.push(time)
      // The one that was used longest ago is the first to be forgotten.
      byKey.delete(key)
      byKey.set(key, recent)
      if (byKey.size > remembered) byKey.delete(byKey.keys().next().value as string)
      return {
        waitMs,
        giveBack() {
          const at = waitMs === 0 ? recent.lastIndexOf(time) : -1
          if (at >= 0) recent.splice(at, 1)
          return undefined
        }
      }
    }
  }
}
