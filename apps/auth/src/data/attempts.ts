import type { RedisLink } from '@skerry/cache'

/** Counts the attempts at an account's password. */
export type Attempts = {
  /** Takes one attempt of `account`; answers 0, or the milliseconds until the next one is free. Never throws. */
  take(account: string): Promise<number>
}

export type AttemptsOptions = {
  redis: RedisLink | undefined
  /** What all keys begin with: `auth:`. */
  prefix: string
  /** Attempts in any window. */
  limit: number
  windowMs: number
  /** Accounts remembered by this instance while Redis is away. */
  remembered: number
  now(): number
}

/**
 * A list of the times of the last attempts: one more is allowed when there are fewer than the limit within the window. Refused ones are not
 * noted, so that waiting as long as told always helps. Redis' clock decides.
 */
const TAKE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
if redis.call('LLEN', KEYS[1]) >= limit then
  local free = tonumber(redis.call('LINDEX', KEYS[1], -limit)) + window
  if free > now then return free - now end
end
redis.call('RPUSH', KEYS[1], string.format('%.0f', now))
redis.call('LTRIM', KEYS[1], -limit, -1)
redis.call('PEXPIRE', KEYS[1], window)
return 0`

/** Counts attempts in Redis, for all instances together; in this instance's memory while Redis is away. Never throws. */
export function createAttempts(options: AttemptsOptions): Attempts {
  const { redis, prefix, limit, windowMs } = options
  const memory = createMemory(options)
  return {
    async take(account) {
      const wait = await redis?.run((client) => client.eval(TAKE, 1, `${prefix}attempts:${account}`, limit, windowMs))
      // Noted here as well: when Redis goes away, this instance goes on from what it has seen.
      const alone = wait === 0 || wait === undefined ? memory(account) : 0
      return typeof wait === 'number' ? wait : alone
    }
  }
}

function createMemory({ limit, windowMs, remembered, now }: AttemptsOptions): (account: string) => number {
  const byAccount = new Map<string, number[]>()
  return (account) => {
    const time = now()
    const recent = (byAccount.get(account) ?? []).filter((at) => at + windowMs > time)
    const oldest = recent[0]
    const wait = recent.length >= limit && oldest !== undefined ? oldest + windowMs - time : 0
    if (wait === 0) recent.push(time)
    // The one that was used longest ago is the first to be forgotten.
    byAccount.delete(account)
    byAccount.set(account, recent)
    if (byAccount.size > remembered) byAccount.delete(byAccount.keys().next().value as string)
    return wait
  }
}
