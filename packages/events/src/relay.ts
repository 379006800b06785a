import { setTimeout as delay } from 'node:timers/promises'
import { type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { collectionOf, type Store } from '@skerry/store'
import type { ChangeStream, ChangeStreamInsertDocument, Timestamp } from 'mongodb'
import { watchConnection } from './connection.ts'
import { type EventMetrics, type Log, NO_METRICS } from './metrics.ts'
import { outboxStatus } from './operator/outbox-status.ts'
import { command, StatusRequest } from './operator/protocol.ts'
import { startResponder } from './operator/responder.ts'
import { type OutboxDocument, outbox } from './outbox.ts'
import { type Owned, runOwned } from './owner.ts'
import { MOST_PARTITIONS } from './partitions.ts'
import { createPublisher, type Publisher } from './publisher.ts'
import { ensureStreams, findDamage } from './streams.ts'

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

const SCAN_BATCH = 500
const DEPTH_LIMIT = 100_000
const CHECK_EVERY_MS = 5_000
const DAMAGED = new Error('the stream was damaged')

/**
 * Carries events from the outbox to the service's stream: one relay a service at a time (a lease), in commit order within a key, each
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
      const broken = new AbortController()
      const ended = new AbortController()
      const back = new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve(), { signal: ended.signal })
        watchConnection(nc, ended.signal, (what) => {
          if (what === 'lost') broken.abort(new Error('the connection to NATS was lost'))
          else resolve()
        })
      })
      try {
        await carry(jsm, signal, broken, working)
        // The next stretch begins with a look at the stream, which needs NATS.
        if (!signal.aborted && broken.signal.reason !== DAMAGED) await back
        if (!signal.aborted) throw broken.signal.reason
      } finally {
        ended.abort()
      }
    }
  })

  /** Resolves when the relay is to end, or when the connection or the stream is no more what it was: `broken` says why. */
  async function carry(
    jsm: JetStreamManager,
    signal: AbortSignal,
    broken: AbortController,
    working: () => void
  ): Promise<void> {
    const ends = AbortSignal.any([signal, broken.signal])
    const { damage, again, created, refill, partitions } = await ensureStreams(
      store,
      jsm,
      service,
      options.partitions ?? MOST_PARTITIONS
    )
    if (again > 0)
      log.warn({ service, damage, count: again }, 'stream damaged: republishing its events from the outbox')
    const js = jetstream(nc, { timeout: 5_000 })
    const publisher = createPublisher({
      ...{ js, store, service, created, partitions, refill },
      ...{ signal: ends, log, metrics }
    })
    const checking = setInterval(() => void check(jsm, broken), options.checkMs ?? CHECK_EVERY_MS)
    try {
      await follow(publisher, ends, working)
    } catch (error) {
      if (!ends.aborted) throw error
    } finally {
      clearInterval(checking)
      if (!ends.aborted) broken.abort(new Error('the stretch ended'))
      await publisher.close()
    }
  }

  /** One look at the stream while it is published to: a purge or a loss breaks no connection. */
  async function check(jsm: JetStreamManager, broken: AbortController): Promise<void> {
    try {
      const damage = await findDamage(store, jsm, service)
      if (damage === undefined) return
      log.warn({ service, damage }, 'the stream was damaged')
      broken.abort(DAMAGED)
    } catch (error) {
      log.debug({ err: error }, 'failed to check the stream')
    }
  }

  /** Publishes all that is pending, then what is committed from now on. */
  async function follow(publisher: Publisher, ends: AbortSignal, working: () => void): Promise<void> {
    const from = await operationTime(store)
    const changes = records.watch([{ $match: { operationType: 'insert' } }], {
      startAtOperationTime: from,
      maxAwaitTimeMS: 1_000
    }) as ChangeStream<OutboxDocument, ChangeStreamInsertDocument<OutboxDocument>>
    const end = () =>
      void changes.close().catch((error: unknown) => log.warn({ err: error }, 'failed to close a change stream'))
    ends.addEventListener('abort', end)
    try {
      await publishPending(publisher, from, ends)
      working()
      while (!ends.aborted) {
        // tryNext waits for maxAwaitTimeMS at most, so that an end is never far.
        const change = await changes.tryNext()
        if (change !== null) await publisher.submit(change.fullDocument)
      }
    } finally {
      ends.removeEventListener('abort', end)
      await changes.close()
    }
  }

  /**
   * What was committed while no relay ran, or could not be published before the last one ended. Nothing newer than the change stream's
   * beginning: the scan takes time, and could see an event and have passed the place of an earlier one that committed meanwhile. And nothing
   * less: a majority may have the newest a moment later, and the change stream would not bring it.
   */
  async function publishPending(publisher: Publisher, until: Timestamp, ends: AbortSignal): Promise<void> {
    const session = store.client.startSession({ causalConsistency: true })
    // Reads with it wait until a majority has what was written by then.
    session.advanceOperationTime(until)
    try {
      for await (const record of records.find(
        { pending: true, seq: { $lte: until } },
        { sort: { seq: 1 }, batchSize: SCAN_BATCH, comment: 'relay-pending', session }
      )) {
        if (ends.aborted) return
        await publisher.submit(record)
      }
    } finally {
      await session.endSession()
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
        log.debug({ err: error }, 'failed to read the depth of the outbox')
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
