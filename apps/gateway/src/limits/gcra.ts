import type { LimitPolicy } from './limit-policies.ts'

/** How a limit stands. Times in ms. */
export type Standing = {
  /** How many requests were granted; 0 means none. */
  granted: number
  /** How many more would be allowed now. */
  remaining: number
  /** Until the whole burst is allowed again. */
  resetMs: number
  /** When granted is 0: until one is allowed. */
  retryMs: number
}

/**
 * The generic cell rate algorithm (ITU-T I.371): one number a subject, the theoretical arrival time `tat`, which each request moves
 * on by one interval. `want` requests are granted as far as they fit, so that a batch can be leased.
 */
export function gcra(
  policy: Pick<LimitPolicy, 'burst' | 'intervalMs'>,
  tat: number,
  now: number,
  want: number
): Standing & { tat: number } {
  const { intervalMs, burst } = policy
  const from = Math.max(tat, now)
  const room = Math.floor((now + burst * intervalMs - from) / intervalMs + 1e-9)
  if (room < 1)
    return {
      granted: 0,
      remaining: 0,
      resetMs: from - now,
      retryMs: from + intervalMs - burst * intervalMs - now,
      tat: from
    }
  const granted = Math.min(want, room)
  const next = from + granted * intervalMs
  return { granted, remaining: room - granted, resetMs: next - now, retryMs: 0, tat: next }
}

/**
 * The same in Redis, by its own clock (microseconds), in one script so that any number of gateways count as one.
 * KEYS[1] the subject; ARGV interval µs, burst, want. Answers granted, remaining, reset ms, retry ms.
 */
export const GCRA_SCRIPT = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local interval = tonumber(ARGV[1])
local depth = interval * tonumber(ARGV[2])
local from = tonumber(redis.call('GET', KEYS[1]) or '0')
if from < now then from = now end
local room = math.floor((now + depth - from) / interval)
if room < 1 then
  return { 0, 0, math.ceil((from - now) / 1000), math.ceil((from + interval - depth - now) / 1000) }
end
local granted = math.min(tonumber(ARGV[3]), room)
local next = from + granted * interval
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000) + 1)
return { granted, room - granted, math.ceil((next - now) / 1000), 0 }`
