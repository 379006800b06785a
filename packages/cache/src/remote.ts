import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import type { RedisLink } from './redis.ts'

/** What the shared tier knows of a key: the tokens of its tags now, and the value if it was stored under those same tokens. */
export type RemoteAnswer = {
  tokens: string
  bytes: Buffer | undefined
  remainingMs: number
  /** The asker holds the lock of this key: no other process loads it now. */
  turn: boolean
}

export type RemoteQuestion = {
  tags: readonly string[]
  /** The longest a value of this key lives. */
  lifeMs: number
  /** A value with more left than this is good enough; otherwise the lock is tried. */
  enoughMs: number
  lock?: Lock | undefined
}

/** Who asks to load alone, and how long Redis remembers that if it is never heard of again. */
export type Lock = { id: string; ms: number }

/** The shared tier. None of its calls throws; while Redis is away reads answer `undefined` and invalidations wait here. */
export type Remote = {
  read(key: string, question: RemoteQuestion): Promise<RemoteAnswer | undefined>
  /** Stores a value, or deletes what is there when it is `undefined`; gives back the lock. */
  write(
    key: string,
    value: { tokens: string; bytes: Buffer | string; lifeMs: number } | undefined,
    lock?: Lock | undefined
  ): Promise<void>
  /** Gives back the lock of a load that came to nothing. */
  release(key: string, lock: Lock): Promise<void>
  /** @param publish whether the other processes are told */
  invalidate(tags: readonly string[], publish: boolean): Promise<void>
  close(): void
}

/** Every value carries it, so that one deletion ends them all. */
export const EVERYTHING = '*'
const HOUR = 3_600_000
/** Invalidations that wait for Redis by name; above this they become one of everything. */
const MAX_PENDING = 10_000
const RETRY_MS = 250

/**
 * Each tag has a random token in Redis; a value is stored with the tokens its tags had *before* it was loaded, and counts only
 * while they are the same. Deleting a token therefore ends every value of the tag, also one whose load began before the deletion
 * and ends after it, in any process. A token that Redis evicted or forgot makes a miss, never a stale hit.
 *
 * The lock carries the tokens, too: who loads under tokens that have ended since holds nobody up.
 *
 * KEYS: value, lock, token of each tag. ARGV: a new token, its life, what is enough, the lock's id or nothing, the lock's life.
 */
const READ = `
local tokens = {}
for i = 3, #KEYS do
  local token = redis.call('GET', KEYS[i])
  if not token then
    token = ARGV[1]
    redis.call('SET', KEYS[i], token, 'PX', ARGV[2])
  end
  tokens[#tokens + 1] = token
end
local joined = table.concat(tokens, ',')
local entry = redis.call('GET', KEYS[1])
local left = 0
local value = false
if entry and string.sub(entry, 1, #joined + 1) == joined .. '\\n' then
  left = redis.call('PTTL', KEYS[1])
  value = string.sub(entry, #joined + 2)
end
local turn = 0
if ARGV[4] ~= '' and left <= tonumber(ARGV[3]) then
  local own = ARGV[4] .. '\\n' .. joined
  local lock = redis.call('GET', KEYS[2])
  if lock ~= own and (not lock or string.sub(lock, -#joined - 1) ~= '\\n' .. joined) then
    redis.call('SET', KEYS[2], own, 'PX', ARGV[5])
    lock = own
  end
  if lock == own then turn = 1 end
end
return { joined, left, value, turn }`

/** KEYS: value, lock. ARGV: what to do, the lock's id, the value, its life. */
const WRITE = `
if ARGV[1] == 'set' then redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4]) end
if ARGV[1] == 'del' then redis.call('DEL', KEYS[1]) end
local lock = ARGV[2] ~= '' and redis.call('GET', KEYS[2])
if lock and string.sub(lock, 1, #ARGV[2] + 1) == ARGV[2] .. '\\n' then redis.call('DEL', KEYS[2]) end
return 1`

type Scripted = Redis & {
  skerryCacheReadBuffer(
    keys: number,
    ...args: (string | number)[]
  ): Promise<[tokens: Buffer, left: number, value: Buffer | null, turn: number]>
  skerryCacheWrite(
    value: string,
    lock: string,
    what: 'set' | 'del' | 'release',
    lockId: string,
    bytes: Buffer | string,
    lifeMs: number
  ): Promise<number>
}

/** @param origin names this process in what it publishes, so that it can skip its own messages */
export function createRemote(link: RedisLink, prefix: string, channel: string, origin: string): Remote {
  link.client.defineCommand('skerryCacheRead', { lua: READ })
  link.client.defineCommand('skerryCacheWrite', { lua: WRITE, numberOfKeys: 2 })
  const pending = new Map<string, { asked: number; publish: boolean }>()
  let asked = 0
  let timer: NodeJS.Timeout | undefined
  const stop = link.onConnect(() => void flush())

  return {
    async read(key, { tags, lifeMs, enoughMs, lock }) {
      // A value that should be gone may still be there: not before Redis has heard of it.
      if (pending.size > 0 && !(await flush())) return undefined
      const keys = [valueKey(key), lockKey(key), tagKey(EVERYTHING), ...tags.map(tagKey)]
      const tokenLife = Math.ceil(Math.max(HOUR, lifeMs * 4))
      const answer = await link.run((client) =>
        (client as Scripted).skerryCacheReadBuffer(
          keys.length,
          ...keys,
          randomUUID(),
          tokenLife,
          enoughMs,
          lock?.id ?? '',
          lock?.ms ?? 0
        )
      )
      if (answer === undefined) return undefined
      const [tokens, remainingMs, bytes, turn] = answer
      return { tokens: tokens.toString('latin1'), remainingMs, bytes: bytes ?? undefined, turn: turn === 1 }
    },
    async write(key, value, lock) {
      if (value === undefined) return act(key, 'del', lock)
      const { tokens, bytes, lifeMs } = value
      const head = `${tokens}\n`
      const entry = typeof bytes === 'string' ? head + bytes : Buffer.concat([Buffer.from(head, 'latin1'), bytes])
      await act(key, 'set', lock, entry, Math.ceil(lifeMs))
    },
    release: (key, lock) => act(key, 'release', lock),
    async invalidate(tags, publish) {
      asked++
      for (const tag of tags) pending.set(tag, { asked, publish: publish || pending.get(tag)?.publish === true })
      if (pending.size > MAX_PENDING) {
        pending.clear()
        pending.set(EVERYTHING, { asked, publish: true })
      }
      await flush()
    },
    close() {
      stop()
      clearTimeout(timer)
    }
  }

  async function act(
    key: string,
    what: 'set' | 'del' | 'release',
    lock: Lock | undefined,
    entry: Buffer | string = '',
    lifeMs = 0
  ): Promise<void> {
    await link.run((client) =>
      (client as Scripted).skerryCacheWrite(valueKey(key), lockKey(key), what, lock?.id ?? '', entry, lifeMs)
    )
  }

  function valueKey(key: string): string {
    return `${prefix}v:${key}`
  }

  function lockKey(key: string): string {
    return `${prefix}l:${key}`
  }

  function tagKey(tag: string): string {
    return `${prefix}t:${tag}`
  }

  /** Tells Redis, and through it the other processes, what is no longer true. Answers whether it has heard. */
  async function flush(): Promise<boolean> {
    const waiting = [...pending]
    if (waiting.length === 0) return true
    const tags = waiting.map(([tag]) => tag)
    const told = waiting.filter(([, { publish }]) => publish).map(([tag]) => tag)
    const done = await link.run(
      async (client) => {
        const deleted = client.del(...tags.map(tagKey))
        const all = told.includes(EVERYTHING)
        if (told.length === 0) await deleted
        else await Promise.all([deleted, client.publish(channel, JSON.stringify({ origin, tags: told, all }))])
        return true
      },
      { urgent: true }
    )
    if (done === undefined) {
      timer ??= setTimeout(() => {
        timer = undefined
        void flush()
      }, RETRY_MS).unref()
      return false
    }
    // One that was asked for again meanwhile stays until that call, too, has been heard.
    for (const [tag, { asked: when }] of waiting) if (pending.get(tag)?.asked === when) pending.delete(tag)
    return true
  }
}
