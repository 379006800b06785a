import { setTimeout as delay } from 'node:timers/promises'
import { type JetStreamClient, type JetStreamManager, jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { collectionOf, type Store } from '@skerry/store'
import type { ChangeStream, ChangeStreamInsertDocument, Timestamp } from 'mongodb'
import { watchConnection } from './connection.ts'
import { type Fence, takeFence } from './fence.ts'
import type { EventMetrics, Log } from './metrics.ts'
import { type OutboxDocument, outbox } from './outbox.ts'
import { bucketsOf, type Partition, partitionOfBucket } from './partitions.ts'
import { createPublisher, type Publisher, WINDOW } from './publisher.ts'
import { createRelayMarks, type RelayMarks } from './relay-marks.ts'
import type { StreamWatch } from './stream-watch.ts'
import { inspectStream, type KnownStream, operationTime } from './streams.ts'
import { untilAborted } from './until-aborted.ts'

export type CarrierOptions = {
  store: Store
  nc: NatsConnection
  service: string
  instance: string
  log: Log
  metrics: EventMetrics
  watch: StreamWatch
}

/** What an instance has to do in one partition. */
export type Errand = {
  partition: Partition
  /** Lasts as long as the role. */
  signal: AbortSignal
  /** All that was pending is on its way. */
  working(): void
  /** The stream has other partitions. */
  repartitioned(): void
}

/** Carries records to the partitions that an instance has, all of them from one change stream. */
export type Carrier = {
  /** Resolves when the role has ended and nothing is on its way any more; rejects when the errand is to begin again. */
  carry(errand: Errand): Promise<void>
  /** Resolves when what the last stretch had open is closed. */
  closed(): Promise<void>
}

type Part = Errand & {
  /** Of its stretch, its role, and a fault of its own. */
  ends: AbortSignal
  failed: AbortController
  /** Gives up what is on its way. */
  abandon: AbortController
  /** Resolves when it has its fence, or has none. */
  begun: PromiseWithResolvers<void>
  publisher: Publisher | undefined
  fence: Fence | undefined
  /** What the change stream has brought while what was pending before it is read. */
  held: OutboxDocument[] | undefined
  /** A change stream is open for it. */
  served: boolean
  /** Something was passed over: it is pending, and is read again once what is on its way has ended. */
  missed: boolean
}

type Changes = ChangeStream<OutboxDocument, ChangeStreamInsertDocument<OutboxDocument>>
type Stretch = { readonly over: boolean; closed: Promise<void>; carry(errand: Errand): Promise<void> }

const SCAN_BATCH = 500
/** How often a stream that is not whole is looked at: soon at first. */
const SOON_MS = 20
const LATER_MS = 500
/** How long a partition that takes no more keeps the others waiting before it is passed over. */
const PATIENCE_MS = 250
/** How long the acknowledgements of what is on its way are waited for when a role is given up. */
const LAST_ANSWERS_MS = 1_000

/** One stretch at a time, which lasts as long as the connection does, the stream is what it was, and somebody needs it. */
export function createCarrier(options: CarrierOptions): Carrier {
  let current: Stretch | undefined
  return {
    async carry(errand) {
      if (current === undefined || current.over) current = openStretch(options, current?.closed)
      await current.carry(errand)
    },
    async closed() {
      await current?.closed
    }
  }
}

function openStretch(options: CarrierOptions, before: Promise<void> | undefined): Stretch {
  const { store, nc, service, instance, log, metrics, watch } = options
  const records = collectionOf(store.db, outbox)
  const broken = new AbortController()
  const ends = broken.signal
  const parts = new Map<number, Part>()
  const closed = Promise.withResolvers<void>()
  const back = Promise.withResolvers<void>()
  let lost = false
  let members = 0
  let joining: Part[] = []
  let marks: RelayMarks | undefined
  /** What is followed now; another one that is open is about to end. */
  let changes: Changes | undefined
  const open = new Set<Changes>()
  let noneOpen: (() => void) | undefined
  let following = Promise.resolve()
  let queued: Promise<void> | undefined
  let stopWatching: (() => void) | undefined

  const disconnected = new AbortController()
  watchConnection(nc, disconnected.signal, (what) => {
    if (what === 'back') return back.resolve()
    lost = true
    broken.abort(new Error('the connection to NATS was lost'))
  })

  type Ready = { jsm: JetStreamManager; js: JetStreamClient; known: KnownStream; marks: RelayMarks }
  const ready = prepare()
  let isReady = false
  ready
    .then(() => {
      isReady = true
    })
    .catch((error: unknown) => broken.abort(error))

  async function prepare(): Promise<Ready> {
    await before
    const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 3_000 })
    const known = await whenWhole(jsm)
    const js = jetstream(nc, { timeout: 5_000 })
    const created = createRelayMarks({ store, service, known, log, metrics })
    marks = created
    stopWatching = watch.on((found) => {
      if (found.damage !== undefined) broken.abort(new Error(`the stream was damaged: ${found.damage}`))
      else if (!isSame(found.known, known)) broken.abort(new Error('the stream was filled again'))
    })
    return { jsm, js, known, marks: created }
  }

  /** Another role looks after the stream: it may be about to make it, or to make it good. */
  async function whenWhole(jsm: JetStreamManager): Promise<KnownStream> {
    for (let waitMs = SOON_MS; ; waitMs = Math.min(waitMs * 2, LATER_MS)) {
      ends.throwIfAborted()
      const { known } = await inspectStream(store, jsm, service)
      if (known !== undefined) return known
      await delay(waitMs, undefined, { signal: ends })
    }
  }

  /**
   * Follows what is committed from now on in the buckets of the partitions that this instance has by now, instead of those that it had. What the
   * change stream before has not brought yet is pending: whoever was served by that reads it by a scan.
   */
  function followMine(): Promise<void> {
    queued ??= following = following.then(async () => {
      const from = await operationTime(store)
      queued = undefined
      if (ends.aborted || parts.size === 0) return
      const before = changes
      const mine = watchOf([...parts.values()], from)
      changes = mine
      for (const part of parts.values()) {
        if (part.served && part.held === undefined && !part.missed) fallBehind(part)
        else part.missed = part.served
        part.served = true
      }
      if (before !== undefined) void closeChanges(before)
      open.add(mine)
      follow(mine).catch((error: unknown) => broken.abort(error))
    })
    return queued
  }

  function watchOf(mine: readonly Part[], startAtOperationTime: Timestamp): Changes {
    const $or = mine.map(({ partition }) => ({ 'fullDocument.bucket': rangeOf(partition) }))
    const all = mine.length === mine[0]!.partition.of
    return records.watch([{ $match: { operationType: 'insert', ...(all ? {} : { $or }) } }], {
      startAtOperationTime,
      maxAwaitTimeMS: 5_000
    }) as Changes
  }

  async function closeChanges(stream: Changes): Promise<void> {
    try {
      await stream.close()
    } catch (error) {
      log.warn({ err: error }, 'failed to close a change stream')
    }
  }

  async function follow(mine: Changes): Promise<void> {
    const { partitions } = (await ready).known
    const end = () => void closeChanges(mine)
    ends.addEventListener('abort', end)
    try {
      while (mine === changes && !ends.aborted) {
        // An end closes it, which ends what tryNext waits for.
        const change = await mine.tryNext()
        if (change === null || mine !== changes) continue
        const part = parts.get(partitionOfBucket(partitions, change.fullDocument.bucket).index)
        if (part?.served) await receive(part, change.fullDocument)
      }
    } catch (error) {
      if (mine === changes) throw error
    } finally {
      ends.removeEventListener('abort', end)
      await closeChanges(mine)
      open.delete(mine)
      if (open.size === 0) noneOpen?.()
    }
  }

  async function receive(part: Part, record: OutboxDocument): Promise<void> {
    if (part.missed) return
    if (part.held === undefined) {
      if (!(await take(part, record))) fallBehind(part)
    } else if (part.held.length < WINDOW / part.partition.of) part.held.push(record)
    else part.missed = true
  }

  async function take(part: Part, record: OutboxDocument): Promise<boolean> {
    return part.ends.aborted || (await part.publisher!.take(record, PATIENCE_MS))
  }

  /** No other partition waits for this one: what it cannot take stays pending, and is read when it can. */
  function fallBehind(part: Part): void {
    part.missed = true
    log.debug({ service, partition: part.partition.index }, 'a partition takes no more: it is passed over')
    part
      .publisher!.idle()
      .then(() => catchUp([part]))
      .catch((error: unknown) => broken.abort(error))
  }

  /**
   * Publishes what is pending, then what the change stream has brought meanwhile. What is taken to be pending is nothing newer than the
   * beginning of that: the scan takes time, and could see an event and have passed the place of an earlier one that committed meanwhile. And
   * nothing less: a majority may have the newest a moment later, and the change stream would not bring it.
   */
  async function catchUp(group: readonly Part[]): Promise<void> {
    const here = group.filter((part) => !part.ends.aborted)
    if (here.length === 0) return
    for (const part of here) {
      part.held = []
      part.missed = false
    }
    await scan(here)
    await Promise.all(here.map(takeHeld))
  }

  async function scan(group: readonly Part[]): Promise<void> {
    const until = await operationTime(store)
    const session = store.client.startSession({ causalConsistency: true })
    // Reads with it wait until a majority has what was written by then.
    session.advanceOperationTime(until)
    const { partitions } = (await ready).known
    const byIndex = new Map(group.map((part) => [part.partition.index, part]))
    const full = new Set<Part>()
    const ranges = group.map(({ partition }) => ({ bucket: rangeOf(partition) }))
    try {
      for await (const record of records.find(
        { pending: true, seq: { $lte: until }, ...(group.length === partitions.length ? {} : { $or: ranges }) },
        { sort: { seq: 1 }, batchSize: SCAN_BATCH, comment: 'relay-pending', session }
      )) {
        if (ends.aborted) return
        const part = byIndex.get(partitionOfBucket(partitions, record.bucket).index)
        if (part === undefined || full.has(part) || (await take(part, record))) continue
        full.add(part)
        if (full.size === group.length) break
      }
    } finally {
      for (const part of full) part.missed = true
      await session.endSession()
    }
  }

  async function takeHeld(part: Part): Promise<void> {
    while (!part.missed && part.held!.length > 0) if (!(await take(part, part.held!.shift()!))) part.missed = true
    part.held = undefined
    if (part.ends.aborted) return
    part.working()
    if (part.missed) fallBehind(part)
  }

  /** Takes the partitions over that came at the same time: one scan is for all of them. */
  async function begin(group: readonly Part[], isFirst: boolean): Promise<void> {
    const { jsm, js, known, marks } = await ready
    if (!isFirst) {
      const now = await inspectStream(store, jsm, service)
      if (now.known === undefined || !isSame(now.known, known)) throw new Error('the stream is not what it was')
    }
    await Promise.all(
      group.map(async (part) => {
        const { partition } = part
        try {
          const here = known.partitions[partition.index]
          if (known.partitions.length !== partition.of || here?.token !== partition.token) {
            part.repartitioned()
            throw new Error('the stream has other partitions')
          }
          if (part.ends.aborted) return
          const fence = await takeFence({ store, jsm, js, service, instance, created: known.created, partition })
          part.fence = fence
          part.publisher = createPublisher({
            ...{ js, service, partition, refill: known.refill, replicated: known.replicated, fence, marks, log },
            ...{ signal: part.ends, abandon: part.abandon.signal },
            refused(error) {
              part.failed.abort(new Error('another one has taken the partition over', { cause: error }))
              // It may be that the mark is gone, with more.
              void watch.look()
            }
          })
          part.held = []
          parts.set(partition.index, part)
        } catch (error) {
          part.failed.abort(error)
        } finally {
          part.begun.resolve()
        }
      })
    )
    await followMine()
    await catchUp(group.filter((part) => parts.get(part.partition.index) === part))
  }

  let groups = 0
  function join(part: Part): void {
    joining.push(part)
    if (joining.length > 1) return
    setImmediate(() => {
      const group = joining
      joining = []
      begin(group, groups++ === 0).catch((error: unknown) => {
        broken.abort(error)
        for (const { begun } of group) begun.resolve()
      })
    })
  }

  /** What was acknowledged is marked, and if nothing can come any more the next owner is told so. */
  async function giveUp(part: Part): Promise<void> {
    if (parts.get(part.partition.index) === part) {
      parts.delete(part.partition.index)
      // What is another's by now is not to be read here.
      if (parts.size > 0) followMine().catch((error: unknown) => broken.abort(error))
    }
    const { publisher, fence } = part
    if (publisher === undefined || fence === undefined) return
    const late = setTimeout(() => part.abandon.abort(new Error('no answer has come')), lost ? 0 : LAST_ANSWERS_MS)
    await publisher.idle()
    clearTimeout(late)
    await marks?.flush()
    if (publisher.isThrough()) await fence.release()
  }

  async function close(): Promise<void> {
    if (!ends.aborted) broken.abort(new Error('nobody relays here'))
    stopWatching?.()
    try {
      await ready.catch(() => 'told already')
      await following
      if (open.size > 0)
        await new Promise<void>((resolve) => {
          noneOpen = resolve
        })
      await marks?.close()
    } finally {
      disconnected.abort()
      closed.resolve()
    }
  }

  return {
    get over() {
      return ends.aborted
    },
    closed: closed.promise,
    async carry(errand) {
      const failed = new AbortController()
      const part: Part = {
        ...{
          ...errand,
          failed,
          abandon: new AbortController(),
          ends: AbortSignal.any([errand.signal, ends, failed.signal])
        },
        ...{
          begun: Promise.withResolvers<void>(),
          publisher: undefined,
          fence: undefined,
          held: undefined,
          missed: false,
          served: false
        }
      }
      members++
      const ended = untilAborted(part.ends)(new Promise<never>(() => undefined))
      join(part)
      try {
        await ended.catch(() => 'it is over')
        // Else it waits for a stream that is whole, and begins with no part that is over by then: nobody waits for that.
        if (isReady) await part.begun.promise
        await giveUp(part).catch((error: unknown) =>
          log.warn({ err: error, service, partition: errand.partition.index }, 'failed to give a partition up in order')
        )
        // The next stretch begins with a look at the stream, which needs NATS.
        if (lost && !errand.signal.aborted) await Promise.race([back.promise, whenAborted(errand.signal)])
      } finally {
        // Nobody waits for that to give a role up.
        if (--members === 0)
          close().catch((error: unknown) => log.warn({ err: error }, 'failed to end relaying in order'))
      }
      if (!errand.signal.aborted) throw failed.signal.aborted ? failed.signal.reason : ends.reason
    }
  }
}

function rangeOf(partition: Partition): { $gte: number; $lte: number } {
  const { first, last } = bucketsOf(partition)
  return { $gte: first, $lte: last }
}

function isSame(a: KnownStream, b: KnownStream): boolean {
  return a.created === b.created && a.filled === b.filled && a.refill === b.refill && a.replicated === b.replicated
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
