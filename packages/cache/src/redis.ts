import { Redis, type RedisOptions } from 'ioredis'
import { createCircuit } from './circuit.ts'
import { assertRedisUrl } from './redis-url.ts'
import { layOutStringMethods } from './string-methods.ts'

layOutStringMethods()

/** What a connection tells its owner; pino's loggers fit. */
export type CacheLog = {
  info(details: object, message: string): void
  warn(details: object, message: string): void
}

/** A Redis that may be away: using it never throws, never queues and costs a bounded time. */
export type RedisLink = {
  /** The raw client, for `defineCommand`. Commands go through `run`. */
  readonly client: Redis
  connected(): boolean
  /**
   * Runs commands. Answers `undefined` when Redis is away, paused after a failure, too slow or refuses; the reason is logged
   * when trouble starts and ends, not at each call. `urgent` asks in spite of the pause (not of a lost connection).
   */
  run<T>(work: (client: Redis) => Promise<T>, options?: { urgent?: boolean }): Promise<T | undefined>
  /** Calls back after every connect, at once when connected. Answers how to stop. */
  onConnect(listener: () => void): () => void
  /** A further connection to the same server, not connected yet, for subscriptions. */
  duplicate(override?: Partial<RedisOptions>): Redis
  close(): Promise<void>
}

export type RedisLinkOptions = {
  /** redis://user:password@host:port/db or rediss:// */
  url: string
  log?: CacheLog
  /** Bound of one command, ms. */
  commandTimeoutMs?: number
  connectTimeoutMs?: number
  /** First and longest pause after a failure, ms. */
  pauseMs?: number
  longestPauseMs?: number
}

/**
 * Connects to Redis in the background and for ever. Neither an outage nor a wrong password ends the process or throws:
 * `run` answers `undefined` meanwhile. Throws only for a URL that is none.
 */
export function openRedis(options: RedisLinkOptions): RedisLink {
  const { url, log, commandTimeoutMs = 100, connectTimeoutMs = 1_000, pauseMs = 250, longestPauseMs = 2_000 } = options
  assertRedisUrl(url)
  const circuit = createCircuit(pauseMs, longestPauseMs)
  const listeners = new Set<() => void>()
  let away = false

  const client = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    // A command that a lost connection took with it stays lost: its caller has long gone on without Redis.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    autoResubscribe: false,
    // Would need INFO, which a narrow ACL need not grant; a Redis that still loads refuses commands, and `run` pauses.
    enableReadyCheck: false,
    disableClientInfo: true,
    commandTimeout: commandTimeoutMs,
    // A peer that vanished without closing is found by its silence.
    socketTimeout: Math.max(2_000, commandTimeoutMs * 10),
    connectTimeout: connectTimeoutMs,
    retryStrategy: (times) => Math.min(1_000, 25 * 2 ** Math.min(times, 10)) * (0.75 + Math.random() / 2)
  })
  client.on('error', lost)
  client.on('ready', () => {
    circuit.reset()
    found()
    for (const listener of listeners) listener()
  })
  client.connect().catch(lost)

  return {
    client,
    connected: () => client.status === 'ready',
    async run(work, { urgent = false } = {}) {
      if (client.status !== 'ready' || !(urgent || circuit.allows())) return undefined
      try {
        const answer = await work(client)
        circuit.succeeded()
        if (away) found()
        return answer
      } catch (error) {
        circuit.failed()
        lost(error as Error)
        return undefined
      }
    },
    onConnect(listener) {
      listeners.add(listener)
      if (client.status === 'ready') listener()
      return () => listeners.delete(listener)
    },
    duplicate(override) {
      const copy = client.duplicate(override)
      copy.on('error', lost)
      return copy
    },
    async close() {
      listeners.clear()
      client.disconnect()
    }
  }

  /** One line when trouble starts: an outage of an hour is not a log of an hour. */
  function lost(error: Error): void {
    if (away) return
    away = true
    log?.warn({ reason: error.message }, 'Redis is unavailable: continuing without it')
  }

  function found(): void {
    if (away) log?.info({}, 'Redis is available again')
    away = false
  }
}
