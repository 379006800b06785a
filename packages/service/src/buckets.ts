import { StorageType } from '@nats-io/jetstream'
import { Kvm, type KvOptions } from '@nats-io/kv'
import { PermissionViolationError } from '@nats-io/transport-node'
import { jetstreamOf, managerOf, type NatsConnection } from './nats.ts'

/** A heartbeat that is this old (milliseconds) is gone, and with it the instance. */
export const HEARTBEAT_TTL_MS = 4_000

/**
 * The two key-value buckets that every app knows. `registry` is in memory: what it holds is said again every second. `identity` is on
 * disk: a revoked session stays revoked when NATS restarts. The markers tell watchers of what has expired.
 */
const BUCKETS: Readonly<Record<'registry' | 'identity', Partial<KvOptions>>> = {
  registry: {
    storage: StorageType.Memory,
    history: 1,
    ttl: HEARTBEAT_TTL_MS,
    markerTTL: 60_000,
    maxValueSize: 64 * 1024
  },
  identity: { storage: StorageType.File, history: 1, markerTTL: 60_000, maxValueSize: 256 * 1024 }
}

/**
 * Makes the buckets that are missing. Where this user may not make them (the gateway), waits until a service has. Throws when they are
 * not there within `timeoutMs` (30 s).
 */
export async function ensureBuckets(nc: NatsConnection, options: { timeoutMs?: number } = {}): Promise<void> {
  const until = performance.now() + (options.timeoutMs ?? 30_000)
  for (const bucket of ['registry', 'identity'] as const) {
    for (;;) {
      const missing = await makeBucket(nc, bucket)
      if (missing === undefined) break
      if (nc.isClosed() || performance.now() > until)
        throw new Error(`the NATS bucket ${bucket} is not there: ${missing.message}`, { cause: missing })
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

async function makeBucket(nc: NatsConnection, bucket: 'registry' | 'identity'): Promise<Error | undefined> {
  try {
    const { streams } = await managerOf(nc)
    const exists = await streams.info(`KV_${bucket}`).then(
      () => true,
      (error: Error) => {
        if (error.message === 'stream not found') return false
        throw error
      }
    )
    if (!exists) await new Kvm(jetstreamOf(nc)).create(bucket, { ...BUCKETS[bucket] })
    return undefined
  } catch (error) {
    if (error instanceof PermissionViolationError) return new Error('nobody has made it yet, and this user may not')
    return error as Error
  }
}
