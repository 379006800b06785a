import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import type { RedisLink } from './redis.ts'

/** What the shared tier knows of a key: the tokens of its tags now, and the value if it was stored under those same tokens. */
export type RemoteAnswer = { tokens: string; json: string | undefined; remainingMs: number }

/** The shared tier. None of its calls throws; while Redis is away reads answer `undefined` and invalidations wait here. */
export type Remote = {
  read(key: string, tags: readonly string[], lifeMs: number): Promise<RemoteAnswer | undefined>
  write(key: string, tokens: string, json: string, lifeMs: number): Promise<void>
  invalidate(tags: readonly string[]): Promise<void>
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
 */
const READ = `
local tokens = {}
for i = 2, #KEYS do
  local token = redis.call('GET', KEYS[i])
  if not token then
    token = ARGV[1]
    redis.call('SET', KEYS[i], token, 'PX', ARGV[2])
  end
  tokens[#tokens + 1] = token
end
local joined = table.concat(tokens, ',')
local entry = redis.call('GET', KEYS[1])
if entry and string.sub(entry, 1, #joined + 1) == joined .. '\\n' then
  return { joined, redis.call('PTTL', KEYS[1]), string.sub(entry, #joined + 2) }
end
return { joined, 0, false }`

type Scripted = Redis & {
  skerryCacheRead(keys: number, ...args: (string | number)[]): Promise<[string, number, string | null]>
}

/** @param origin names this process in what it publishes, so that it can skip its own messages */
export function createRemote(link: RedisLink, prefix: string, channel: string, origin: string): Remote {
  link.client.defineCommand('skerryCacheRead', { lua: READ })
  const pending = new Map<string, number>()
  let asked = 0
  let timer: NodeJS.Timeout | undefined
  const stop = link.onConnect(() => void flush())

  return {
    async read(key, tags, lifeMs) {
      // A value that should be gone may still be there: not before Redis has heard of it.
      if (pending.size > 0 && !(await flush())) return undefined
      const keys = [`${prefix}v:${key}`, tagKey(EVERYTHING), ...tags.map(tagKey)]
      const answer = await link.run((client) =>
        (client as Scripted).skerryCacheRead(keys.length, ...keys, randomUUID(), Math.max(HOUR, lifeMs * 4))
      )
      if (answer === undefined) return undefined
      const [tokens, remainingMs, json] = answer
      return { tokens, remainingMs, json: json ?? undefined }
    },
    async write(key, tokens, json, lifeMs) {
      await link.run((client) => client.set(`${prefix}v:${key}`, `${tokens}\n${json}`, 'PX', Math.ceil(lifeMs)))
    },
    async invalidate(tags) {
      asked++
      for (const tag of tags) pending.set(tag, asked)
      if (pending.size > MAX_PENDING) {
        pending.clear()
        pending.set(EVERYTHING, asked)
      }
      await flush()
    },
    close() {
      stop()
      clearTimeout(timer)
    }
  }

  function tagKey(tag: string): string {
    return `${prefix}t:${tag}`
  }

  /** Tells Redis, and through it the other processes, what is no longer true. Answers whether it has heard. */
  async function flush(): Promise<boolean> {
    const waiting = [...pending]
    if (waiting.length === 0) return true
    const tags = waiting.map(([tag]) => tag)
    const done = await link.run(
      async (client) => {
        await Promise.all([
          client.del(...tags.map(tagKey)),
          client.publish(channel, JSON.stringify({ origin, tags, all: tags.includes(EVERYTHING) }))
        ])
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
    for (const [tag, when] of waiting) if (pending.get(tag) === when) pending.delete(tag)
    return true
  }
}
