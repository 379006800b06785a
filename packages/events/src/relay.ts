import { setTimeout as delay } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { collectionOf, type Store } from '@skerry/store'
import { runByPartition } from './by-partition.ts'
import { type EventMetrics, type Log, NO_METRICS } from './metrics.ts'
import { outboxStatus } from './operator/outbox-status.ts'
import { command, StatusRequest } from './operator/protocol.ts'
import { startResponder } from './operator/responder.ts'
import { outbox } from './outbox.ts'
import { type Owned, runOwned } from './owner.ts'
import { MOST_PARTITIONS, relayRoleOf } from './partitions.ts'
import { createCarrier } from './relay-stretch.ts'
import { createStreamWatch } from './stream-watch.ts'
import { ensureStreams } from './streams.ts'

export type RelayOptions = {
  store: Store
  nc: NatsConnection
  /** The service whose outbox this is; also the name of its stream. */
  service: string
  instance: string
  log: Log
  metrics?: EventMetrics
  leaseMs?: number
  /** How many partitions the stream is made with, up to 8, the default; one that is there keeps its own (docs/events-partitions.md). */
  partitions?: number
  /** How often the stream is compared with what is remembered of it, 5 s. */
  checkMs?: number
}

const DEPTH_LIMIT = 100_000
const CHECK_EVERY_MS = 5_000

/**
 * Carries events from the outbox to the service's stream, in commit order within a key, each until JetStream has acknowledged it. The instances of
 * a service share the stream's partitions, and one of them looks after the stream itself. See docs/events.md for the guarantees and the
 * failure cases.
 */
export function startRelay(options: RelayOptions): Owned {
  const { store, nc, service, instance, log } = options
  const metrics = options.metrics ?? NO_METRICS
  const records = collectionOf(store.db, outbox)
  const common = { store, instance, log, ...(options.leaseMs === undefined ? {} : { leaseMs: options.leaseMs }) }
  const manager = () => jetstreamManager(nc, { checkAPI: false, timeout: 3_000 })
  const watch = createStreamWatch({ store, nc, service, log, everyMs: options.checkMs ?? CHECK_EVERY_MS })
  const carrier = createCarrier({ store, nc, service, instance, log, metrics, watch })

  const keeper = runOwned({ ...common, name: `relay:${service}`, work: keep })
  const parts = runByPartition({
    ...{ manager, log, stream: service, work: 'relay' },
    start: (partition, repartitioned) =>
      runOwned({
        ...common,
        name: relayRoleOf(service, partition),
        ...(partition.of === 1 ? {} : { share: { what: `relay:${service}`, part: partition.index, of: partition.of } }),
        work: (signal, working) => carrier.carry({ partition, signal, working, repartitioned })
      })
  })

  /** Makes the stream, and makes good what it has lost; resolves when it is to do so again. */
  async function keep(signal: AbortSignal, working: () => void): Promise<void> {
    const made = await ensureStreams(store, await manager(), service, options.partitions ?? MOST_PARTITIONS)
    const { damage, again } = made
    if (again > 0)
      log.warn({ service, damage, count: again }, 'stream damaged: republishing its events from the outbox')
    working()
    await new Promise<void>((resolve) => {
      const ignore = watch.on(({ damage }) => {
        if (damage !== undefined) end()
      })
      function end(): void {
        ignore()
        signal.removeEventListener('abort', end)
        resolve()
      }
      signal.addEventListener('abort', end)
      if (signal.aborted) end()
    })
  }

  const responder = startResponder(nc, {
    ...{ service, topic: 'relay', log },
    commands: { status: command(StatusRequest, () => outboxStatus(store, service)) }
  })
  const measuring = new AbortController()
  async function measure(): Promise<void> {
    while (!measuring.signal.aborted) {
      try {
        metrics.outboxDepth(
          await records.countDocuments(
            { pending: true },
            { limit: DEPTH_LIMIT, comment: 'relay-pending', hint: { pending: 1, seq: 1 } }
          )
        )
      } catch (error) {
        log.debug({ err: error }, 'failed to read the depth of the outbox')
      }
      await delay(5_000, undefined, { signal: measuring.signal, ref: false }).catch(() => 'stopping')
    }
  }
  const measured = measure()

  return {
    attached: () => keeper.attached() && parts.attached(),
    owner: () => parts.owner(),
    async stop() {
      responder.stop()
      measuring.abort()
      await measured
      await Promise.all([keeper.stop(), parts.stop()])
      await carrier.closed()
      watch.stop()
    }
  }
}
