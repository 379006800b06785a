import { Kvm, type KvWatchEntry } from '@nats-io/kv'
import type { RouteContract } from '@skerry/contracts'
import { ensureBuckets, HEARTBEAT_TTL_MS } from './buckets.ts'
import { assertInstance, type Instance, readInstance } from './instance.ts'
import { watchBucket } from './kv-watch.ts'
import type { Logger } from './log.ts'
import { jetstreamOf, type NatsConnection, onReconnect } from './nats.ts'

const HEARTBEAT_MS = 1_000
/** Bytes an instance may say of itself: well below what the bucket takes (64 KiB), since every second brings as much. */
const ANNOUNCEMENT_BYTES = 48 * 1024

/**
 * Announces this instance until `drain` or `close`, which take it back at once. A heartbeat that cannot be sent is tried again a second
 * later for ever; a bucket that was lost with the memory of NATS is made again. Resolves when the first one has arrived. Throws when it
 * does not fit InstanceSchema or takes more than 48 KiB.
 */
export async function announce(
  nc: NatsConnection,
  self: Instance,
  options: { log?: Logger | undefined } = {}
): Promise<{ drain(): Promise<void>; close(): Promise<void> }> {
  assertInstance(self)
  const value = JSON.stringify(self)
  const bytes = Buffer.byteLength(value)
  if (bytes > ANNOUNCEMENT_BYTES) {
    throw new Error(
      `cannot announce this instance: the rules of its ${self.routes?.length ?? 0} routes make ${bytes} bytes, and ${ANNOUNCEMENT_BYTES} is the most`
    )
  }
  const kv = await new Kvm(jetstreamOf(nc)).open('registry')
  const key = `${self.service}.${self.instance}`
  let stopped = false
  // Of the last heartbeat; undefined when it may or may not have arrived.
  let revision: number | undefined
  let wake: () => void = () => undefined
  const stopListening = onReconnect(nc, () => wake())

  const beat = async () => {
    try {
      revision = await kv.put(key, value, { timeout: 900 })
      return true
    } catch (error) {
      revision = undefined
      options.log?.debug({ err: error }, 'failed to send the heartbeat')
      if (!stopped && !nc.isClosed())
        await ensureBuckets(nc, { timeoutMs: 0 }).catch((e) =>
          options.log?.debug({ err: e }, 'the heartbeat bucket is not available either')
        )
      return false
    }
  }
  const run = async () => {
    while (!stopped && !nc.isClosed()) {
      await beat()
      if (stopped) break
      await new Promise<void>((resolve) => {
        wake = resolve
        setTimeout(resolve, HEARTBEAT_MS).unref()
      })
    }
  }
  while (!(await beat()) && !nc.isClosed()) await new Promise((resolve) => setTimeout(resolve, 50))
  const running = run()
  const drain = async () => {
    if (stopped) return
    stopped = true
    stopListening()
    wake()
    // After the last heartbeat, or it would bring the key back.
    await running
    if (nc.isClosed()) return
    // Only what is ours: under the same name another process may have taken over.
    await kv
      .purge(key, revision === undefined ? {} : { previousSeq: revision })
      .catch((error) =>
        options.log?.debug({ err: error }, 'heartbeat not deleted: it belongs to another instance, or it will expire')
      )
  }
  return { drain, close: drain }
}

/** How long the last instances of a service stay whose heartbeats ended without a word. */
const LINGER_MS = 30_000
/** NATS was away when nothing could be heard for so long; a watch that is begun afresh takes less. */
const AWAY_MS = 2_000
/** While others are heard at least so often, who is not heard is silent. */
const QUIET_MS = 2_500

/**
 * Follows who is there. Where all instances of a service fall silent without having left (a machine that is busy delays heartbeats beyond their
 * time), they stay for another 30 s: most of them still answer, and whoever asks them finds out. `onChange` gets all live instances, ordered
 * by service and instance, when the first table is known and whenever it changes; heartbeats that repeat change nothing. While NATS is away
 * the last table stands, with those that had fallen silent before. When it is back, what does not announce itself again within `graceMs` has
 * fallen silent; so has at any time who is not heard for so long while others are.
 */
export async function watchRegistry(
  nc: NatsConnection,
  onChange: (instances: Instance[]) => void,
  options: { graceMs?: number; lingerMs?: number; log?: Logger | undefined } = {}
): Promise<{ close(): Promise<void> }> {
  const lingerMs = options.lingerMs ?? LINGER_MS
  const graceMs = options.graceMs ?? HEARTBEAT_TTL_MS + 2_000
  const table = new Map<string, { text: string; instance: Instance }>()
  /** Those that fell silent, by key. */
  const silent = new Map<string, { text: string; instance: Instance; timer: NodeJS.Timeout }>()
  let unconfirmed = new Set<string>()
  let loaded = false
  let grace: NodeJS.Timeout | undefined
  /** Since when nothing can be heard; undefined while it can. And when that was last over, after NATS had been away. */
  let deafSince: number | undefined = performance.now()
  let hearsSince = Number.NEGATIVE_INFINITY
  /** When anybody was last heard, and who was not in this round. */
  let heardAt = Number.NEGATIVE_INFINITY
  let unheard = new Set<string>()

  let told: string | undefined
  const tell = () => {
    if (!loaded) return
    const here = new Set([...table.values()].map(({ instance }) => instance.service))
    const last = [...silent].filter(([, { instance }]) => !here.has(instance.service))
    const all = new Map<string, { text: string; instance: Instance }>([...table, ...last])
    const keys = [...all.keys()].sort()
    // Who falls silent and stays is no change.
    const text = keys.map((key) => `${key} ${all.get(key)!.text}`).join('\n')
    if (text === told) return
    told = text
    onChange(keys.map((key) => all.get(key)!.instance))
  }
  const forget = (key: string): boolean => {
    clearTimeout(silent.get(key)?.timer)
    return silent.delete(key)
  }
  /** Its heartbeats ended. Answers whether it was there. */
  const fellSilent = (key: string): boolean => {
    const known = table.get(key)
    if (known === undefined) return false
    table.delete(key)
    forget(key)
    silent.set(key, { ...known, timer: setTimeout(() => void lingered(key), lingerMs).unref() })
    return true
  }
  const lingered = async (key: string) => {
    const one = silent.get(key)
    const answers = await isThere(nc)
    if (one === undefined || silent.get(key) !== one) return
    // It cannot have come back while NATS was away.
    if (!answers || deafSince !== undefined || performance.now() - hearsSince < graceMs)
      one.timer = setTimeout(() => void lingered(key), graceMs).unref()
    else if (forget(key)) tell()
  }
  const heard = () => {
    const now = performance.now()
    if (now - heardAt > QUIET_MS) unheard = new Set(table.keys())
    heardAt = now
  }
  // What is purged from the bucket leaves no word of its end.
  const rounds = setInterval(() => {
    const gone = performance.now() - heardAt > QUIET_MS ? [] : [...unheard].filter(fellSilent)
    unheard = new Set(table.keys())
    if (gone.length > 0) tell()
  }, graceMs).unref()
  const put = (key: string, text: string) => {
    unconfirmed.delete(key)
    unheard.delete(key)
    if (table.get(key)?.text === text) return
    forget(key)
    const instance = read(key, text)
    if (instance === undefined) return
    table.set(key, { text, instance })
    tell()
  }
  const read = (key: string, text: string): Instance | undefined => {
    try {
      const value: unknown = JSON.parse(text)
      // NATS lets a user write only below its own name; the value may not say otherwise.
      const found = readInstance(value)
      if (found !== undefined && key === `${found.instance.service}.${found.instance.instance}`) {
        const { instance, dropped } = found
        if (dropped.length > 0) options.log?.warn({ key, dropped }, 'invalid members of a heartbeat ignored')
        return instance
      }
    } catch (error) {
      options.log?.debug({ err: error, key }, 'heartbeat is not JSON')
    }
    options.log?.warn({ key }, 'invalid heartbeat ignored')
    return undefined
  }
  const watch = await watchBucket(nc, {
    bucket: 'registry',
    log: options.log,
    silenceMs: HEARTBEAT_TTL_MS + 2_000,
    onBegin: () => {
      clearTimeout(grace)
      unconfirmed = new Set(table.keys())
    },
    onEntry: (entry) => {
      heard()
      if (entry.operation === 'PUT') put(entry.key, entry.string())
      else if (isExpiry(entry) ? fellSilent(entry.key) : table.delete(entry.key) || forget(entry.key)) tell()
    },
    onComplete: () => {
      if (!loaded) {
        loaded = true
        tell()
      }
      const now = performance.now()
      if (deafSince !== undefined && now - deafSince > AWAY_MS) hearsSince = now
      deafSince = undefined
      clearTimeout(grace)
      grace = setTimeout(() => {
        const gone = [...unconfirmed].filter(fellSilent)
        if (gone.length > 0) tell()
      }, graceMs)
      grace.unref()
    },
    onEnd: () => {
      deafSince ??= performance.now()
    }
  })
  return {
    async close() {
      clearTimeout(grace)
      clearInterval(rounds)
      for (const key of [...silent.keys()]) forget(key)
      await watch.close()
    }
  }
}

/** Whether NATS answers now. */
async function isThere(nc: NatsConnection): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>()
  const timer = setTimeout(() => resolve(false), AWAY_MS).unref()
  const answers = nc.rtt().then(
    () => true,
    () => false
  )
  const found = await Promise.race([answers, late])
  clearTimeout(timer)
  return found
}

/** Whether a key has gone because its time was over, and not because somebody took it away; the client says PURGE for both. */
function isExpiry(entry: KvWatchEntry): boolean {
  const { sm } = entry as { sm?: { headers?: { get(name: string): string } } }
  return sm?.headers?.get('Nats-Marker-Reason') === 'MaxAge'
}

/** The route prefixes of contracts: their first two segments, and whole paths outside of a version (`/.well-known/jwks.json`). */
export function prefixesOf(routes: Iterable<RouteContract> | Readonly<Record<string, RouteContract>>): string[] {
  const list = Symbol.iterator in routes ? [...routes] : Object.values(routes)
  const prefixes = list.map(({ path }) => (/^\/v\d+\//.test(path) ? path.split('/', 3).join('/') : path))
  return [...new Set(prefixes)].sort()
}
