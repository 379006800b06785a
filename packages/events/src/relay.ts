import { setTimeout as delay } from 'node:timers/promises'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { collectionOf, type Store } from '@skerry/store'
import type { ChangeStream, ChangeStreamInsertDocument, Timestamp } from 'mongodb'
import { type EventMetrics, type Log, NO_METRICS } from './metrics.ts'
import { outboxStatus } from './operator/outbox-status.ts'
import { command, StatusRequest } from './operator/protocol.ts'
import { startResponder } from './operator/responder.ts'
import { type OutboxDocument, outbox } from './outbox.ts'
import { type Owned, runOwned } from './owner.ts'
import { createPublisher, type Publisher } from './publisher.ts'
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
}

const SCAN_BATCH = 500
const DEPTH_LIMIT = 100_000

/**
 * Carries events from the outbox to the service's stream: one relay a service at a time (a lease), in commit order within an entity, each
 * until JetStream has acknowledged it. See docs/events.md for the guarantees and the failure cases.
 */
export function startRelay(options: RelayOptions): Owned {
  const { store, nc, service, log } = options
  const metrics = options.metrics ?? NO_METRICS
  const records = collectionOf(store.db, outbox)

  const owned = runOwned({
    store,
    name: `relay:${service}`,
    instance: options.instance,
    log,
    ...(options.leaseMs === undefined ? {} : { leaseMs: options.leaseMs }),
    async work(signal, working) {
      const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 3_000 })
      const again = await ensureStreams(store, jsm, service)
      if (again > 0) log.info({ service, count: again }, 'the stream is filled again from the outbox')
      const publisher = createPublisher({ js: jetstream(nc, { timeout: 5_000 }), store, service, signal, log, metrics })
      const changes = records.watch([{ $match: { operationType: 'insert' } }], {
        startAtOperationTime: await operationTime(store),
        maxAwaitTimeMS: 1_000
      }) as ChangeStream<OutboxDocument, ChangeStreamInsertDocument<OutboxDocument>>
      const end = () =>
        void changes.close().catch((error: unknown) => log.warn({ err: error }, 'a change stream did not close'))
      signal.addEventListener('abort', end)
      try {
        await publishPending(publisher)
        working()
        while (!signal.aborted) {
          // tryNext waits for maxAwaitTimeMS at most, so that an end is never far.
          const change = await changes.tryNext()
          if (change !== null) await publisher.submit(change.fullDocument)
        }
      } catch (error) {
        if (!signal.aborted) throw error
      } finally {
        signal.removeEventListener('abort', end)
        await changes.close()
        await publisher.close()
      }
    }
  })

  /** What was committed while no relay ran, or could not be published before the last one ended. */
  async function publishPending(publisher: Publisher): Promise<void> {
    for await (const record of records.find(
      { pending: true },
      { sort: { seq: 1 }, batchSize: SCAN_BATCH, comment: 'relay-pending' }
    )) {
      await publisher.submit(record)
    }
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
        log.debug({ err: error }, 'the depth of the outbox could not be read')
      }
      await delay(5_000, undefined, { signal: measuring.signal, ref: false }).catch(() => 'stopping')
    }
  }
  const measured = measure()

  return {
    ...owned,
    async stop() {
      responder.stop()
      measuring.abort()
      await measured
      await owned.stop()
    }
  }
}

/** The cluster's time now: a change stream from here on, opened before a scan, misses nothing between the two. */
async function operationTime(store: Store): Promise<Timestamp> {
  const session = store.client.startSession()
  try {
    await store.db.command({ ping: 1 }, { session })
    const time = session.operationTime
    if (time === undefined) throw new Error('the database gave no operation time: it is not a replica set')
    return time
  } finally {
    await session.endSession()
  }
}
