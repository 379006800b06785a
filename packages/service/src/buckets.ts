import { StorageType } from '@nats-io/jetstream'
import { Kvm, type KvOptions } from '@nats-io/kv'
import { PermissionViolationError } from '@nats-io/transport-node'
import { jetstreamOf, managerOf, type NatsConnection } from './nats.ts'

/** A heartbeat that is this old (milliseconds) is gone, and with it the instance. */
export const HEARTBEAT_TTL_MS = 4_000

export type BucketName = 'registry' | 'identity' | 'traffic' | 'participants'

/**
 * The key-value buckets. Every app knows two: `registry` is in memory, what it holds is said again every second; `identity` is on disk, a
 * revoked session stays revoked when NATS restarts. The markers tell watchers of what has expired. `traffic` is the gateways': how
 * requests are spread over versions, by service. `participants`: which services erasures and exports wait for.
 */
const BUCKETS: Readonly<Record<BucketName, Partial<KvOptions>>> = {
  registry: {
    storage: StorageType.Memory,
    history: 1,
    ttl: HEARTBEAT_TTL_MS,
    markerTTL: 60_000,
    maxValueSize: 64 * 1024
  },
  identity: { storage: StorageType.File, history: 1, markerTTL: 60_000, maxValueSize: 256 * 1024 },
  traffic: { storage: StorageType.File, history: 1, maxValueSize: 16 * 1024 },
  participants: { storage: StorageType.File, history: 1, maxValueSize: 1024 }
}

/**
 * Makes the buckets that are missing, those of every app unless others are named. Where this user may not make them, waits until somebody
 * has. Throws when they are not there within `timeoutMs` (30 s).
 */
export async function ensureBuckets(
  nc: NatsConnection,
  options: { buckets?: readonly BucketName[]; timeoutMs?: number } = {}
): Promise<void> {
  const until = performance.now() + (options.timeoutMs ?? 30_000)
  for (const bucket of options.buckets ?? (['registry', 'identity'] as const)) {
    for (;;) {
      const missing = await makeBucket(nc, bucket)
      if (missing === undefined) break
      if (nc.isClosed() || performance.now() > until)
        throw new Error(`the NATS bucket ${bucket} is not there: ${missing.message}`, { cause: missing })
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}

async function makeBucket(nc: NatsConnection, bucket: BucketName): Promise<Error | undefined> {
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
