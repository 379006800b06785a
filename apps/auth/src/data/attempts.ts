import type { RedisLink } from '@skerry/cache'

/**
 * So many failures under a key in any window. `strict`: an attempt counts from when it is begun until it is known to be none, so that many
 * at once are no way around; otherwise only what has failed counts, and right ones at once are never too many.
 */
export type Bound = { key: string; limit: number; windowMs: number; strict: boolean }

/** An attempt that may be made when `waitMs` is 0; else that is how long until one is free again. */
export type Taken = {
  waitMs: number
  /** It has failed: it counts. Never throws. */
  failed(): Promise<void>
  /** It has not: it does not count. Never throws. */
  giveBack(): Promise<void>
}

/** Counts attempts that have failed. */
export type Attempts = {
  /** Asks for one attempt under all of these bounds. Never throws. */
  take(bounds: readonly Bound[]): Promise<Taken>
}

export type AttemptsOptions = {
  redis: RedisLink | undefined
  /** What all keys begin with: `auth:`. */
  prefix: string
  /** Keys remembered by this instance while Redis is away. */
  remembered: number
  now(): number
  /** From 0 to 1; for tests. */
  random?: () => number
}

/**
 * Under a bound that is not strict a crowd is refused for what others did, all until the same moment: they are told to come back within so
 * long after it, ms, or they would all come at once.
 */
const SPREAD_MS = 10_000

/**
 * A list of the times of the last attempts: one more is allowed when there are fewer than the limit within the window. Refused ones are not
 * noted, so that waiting as long as told always helps. Redis' clock decides. Answers the time, or minus the wait. `look` notes nothing,
 * `note` asks nothing.
 */
const COUNT = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local limit, window, how = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
if how ~= 'note' and redis.call('LLEN', KEYS[1]) >= limit then
  local free = tonumber(redis.call('LINDEX', KEYS[1], -limit)) + window
  if free > now then return now - free end
end
if how == 'look' then return now end
redis.call('RPUSH', KEYS[1], string.format('%.0f', now))
redis.call('LTRIM', KEYS[1], -limit, -1)
redis.call('PEXPIRE', KEYS[1], window)
return now`

type How = 'take' | 'look' | 'note'
type One = { waitMs: number; failed(): Promise<unknown> | undefined; giveBack(): Promise<unknown> | undefined }

/** Counts failures in Redis, for all instances together; in this instance's memory while Redis is away. */
export function createAttempts(options: AttemptsOptions): Attempts {
  const { redis, prefix, remembered, now, random = Math.random } = options
  const memory = createMemory(remembered, now)

  async function count(bound: Bound, how: How): Promise<number | undefined> {
    const { key, limit, windowMs } = bound
    const answer = await redis?.run((client) => client.eval(COUNT, 1, `${prefix}attempts:${key}`, limit, windowMs, how))
    return typeof answer === 'number' ? answer : undefined
  }

  const refused = ({ strict }: Bound, waitMs: number): One => ({
    waitMs: strict ? waitMs : waitMs + random() * SPREAD_MS,
    failed: nothing,
    giveBack: nothing
  })

  async function takeOne(bound: Bound): Promise<One> {
    const stamp = await count(bound, bound.strict ? 'take' : 'look')
    if (stamp !== undefined && stamp < 0) return refused(bound, -stamp)
    // Noted here as well: when Redis goes away, this instance goes on from what it has seen.
    const waitMs = memory.wait(bound)
    const alone = bound.strict && waitMs === 0 ? memory.note(bound) : undefined
    if (stamp === undefined && waitMs > 0) return refused(bound, waitMs)
    return {
      waitMs: 0,
      failed() {
        if (bound.strict) return undefined
        memory.note(bound)
        return count(bound, 'note')
      },
      giveBack() {
        if (alone !== undefined) memory.forget(bound, alone)
        if (!bound.strict || stamp === undefined) return undefined
        return redis?.run((client) => client.lrem(`${prefix}attempts:${bound.key}`, -1, String(stamp)))
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
      return {
        waitMs,
        giveBack,
        async failed() {
          await Promise.all(all.map((one) => one.failed()))
        }
      }
    }
  }
}

function nothing(): undefined {}

function createMemory(remembered: number, now: () => number) {
  const byKey = new Map<string, number[]>()
  const recentOf = ({ key, windowMs }: Bound) => (byKey.get(key) ?? []).filter((at) => at + windowMs > now())
  const keep = ({ key, limit }: Bound, times: number[]) => {
    // The one that was used longest ago is the first to be forgotten.
    byKey.delete(key)
    byKey.set(key, times.slice(-limit))
    if (byKey.size > remembered) byKey.delete(byKey.keys().next().value as string)
  }
  return {
    wait(bound: Bound): number {
      const oldest = recentOf(bound).at(-bound.limit)
      return oldest === undefined ? 0 : oldest + bound.windowMs - now()
    },
    /** Answers what takes it back. */
    note(bound: Bound): number {
      const time = now()
      keep(bound, [...recentOf(bound), time])
      return time
    },
    forget(bound: Bound, time: number): void {
      const recent = recentOf(bound)
      const at = recent.lastIndexOf(time)
      if (at >= 0) keep(bound, recent.toSpliced(at, 1))
    }
  }
}
