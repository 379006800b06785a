import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
  type StreamInfo
} from '@nats-io/jetstream'
import { collectionOf, defineCollection, newId, randomBucket, type Store } from '@skerry/store'
import type { Timestamp } from 'mongodb'
import { outbox } from './outbox.ts'
import { PARTITIONS, type Partition, partitionsOf } from './partitions.ts'

/** What a service remembers of its stream, to notice that it was lost, replaced or cut. */
type StreamState = {
  _id: string
  created: string
  /** The last event that JetStream is known to have, by its place and its id. */
  lastSeq: number
  lastId?: string
  /** Places that held no message any more when the stream was last filled: nothing but damage makes them more. */
  holes?: number
  /** The last filling from the outbox; whatever relayed before it begins again. */
  filled?: string
  /** By partition: the stretch of a relay that may publish, or have something on its way, since it has not ended in order (see fence.ts). */
  relays?: Record<string, string>
}

export const streamStates = defineCollection<StreamState>({ name: 'streams', shardKey: null, indexes: [] })

const NS_PER_MS = 1_000_000
/** How long JetStream refuses a repeated id; the inbox covers what comes later. */
const DUPLICATE_WINDOW_MS = 120_000
/** Records that become pending again in one command, which is bounded in time as all are. */
const REFILL_BATCH = 2_000
export const STREAM_NOT_FOUND = 10059
const REFILLED = 'refilled'

/**
 * On a service's stream, in its configuration: `yes` when it was empty at the service's beginning, else since when it was refilled. A
 * stream without it was made by a release that did not note it.
 */
export const WHOLE = 'skerry-whole'

/** Where a refill of a stream begins; its mark differs for each refill. */
export type Refill = { mark: string; from: number }

/** How a stream is, and the last refill that it tells of. */
export type Look = { info: StreamInfo; refill?: Refill }

/**
 * A stream and the last refill that it tells of: consumers that had come further begin there again, the inbox knows what they had. A refill
 * begins with a message whose subject is its mark, since a service may publish to its stream and not change its configuration.
 */
export async function lookAt(jsm: JetStreamManager, stream: string): Promise<Look> {
  const info = await jsm.streams.info(stream, { subjects_filter: `${stream}.${REFILLED}.*` })
  const marks = Object.keys(info.state.subjects ?? {}).map((subject) => subject.split('.')[2]!)
  const timeOf = (mark: string) => Number.parseInt(mark.split('-')[1]!, 36)
  const mark = marks.sort((a, b) => timeOf(a) - timeOf(b)).at(-1)
  return mark === undefined ? { info } : { info, refill: { mark, from: Number.parseInt(mark, 10) } }
}

/** A stream that was made or mended: what was wrong with it, and how many records became pending again. */
type EnsuredStream = { damage: string | undefined; again: number }

/**
 * Makes a service's own stream and the one of its dead letters. When the event stream was lost, replaced or cut since it was last seen, all
 * that the outbox still keeps becomes pending again, and only then the stream is remembered as it is: an end in between repeats, it
 * doesn't lose. Nothing may be published before this. One instance does it; the others wait until it is done.
 *
 * @param partitions how many a stream is made with; one that is there keeps its own
 */
export async function ensureStreams(
  store: Store,
  jsm: JetStreamManager,
  service: string,
  partitions: number
): Promise<EnsuredStream> {
  const before = await collectionOf(store.db, streamStates).findOne({ _id: service })
  const whole = before === null ? 'yes' : `refilled ${new Date().toISOString()}`
  await ensureStream(jsm, service, `${service}.>`, { [WHOLE]: whole, [PARTITIONS]: String(partitions) })
  await ensureDeadLetters(jsm, service)
  const damage = await findDamage(store, jsm, service)
  if (damage === undefined) return { damage, again: 0 }
  const filled = newId(randomBucket())
  const again = await makePending(store, filled)
  const { info } = await lookAt(jsm, service)
  // A consumer can't be further than an empty stream, and that one knows no id; but it may say of itself that it was always whole.
  if (info.state.last_seq > 0 || (before !== null && info.config.metadata?.[WHOLE] === 'yes'))
    await markRefill(jsm, service, info.state.last_seq + 1)
  // Whoever relayed before may have something on its way yet.
  const relays =
    before === null ? {} : Object.fromEntries(partitionsOf(info.config).map(({ index }) => [index, 'lost']))
  await collectionOf(store.db, streamStates).replaceOne(
    { _id: service },
    { created: info.created, lastSeq: info.state.last_seq, holes: holesOf(info), filled, relays },
    { upsert: true }
  )
  return { damage, again }
}

/** A stream as who relays to it has to know it. */
export type KnownStream = {
  created: string
  partitions: readonly Partition[]
  /** The mark of the last refill. JetStream still knows the ids of messages that it has lost, and would drop them as repeats. */
  refill: string | undefined
  filled: string | undefined
  /** It is kept by several servers. */
  replicated: boolean
}

/** How a stream is that may be published to; otherwise what is wrong with it. */
export async function inspectStream(
  store: Store,
  jsm: JetStreamManager,
  service: string
): Promise<{ damage: string; known?: never } | { damage?: never; known: KnownStream }> {
  // Read first: the stream is then at least as far.
  const before = await collectionOf(store.db, streamStates).findOne({ _id: service })
  if (before === null) return { damage: 'it is new' }
  let look: Look
  try {
    look = await lookAt(jsm, service)
  } catch (error) {
    if (isStreamNotFound(error)) return { damage: 'it is gone' }
    throw error
  }
  const damage = await damageOf(jsm, before, look.info)
  if (damage !== undefined) return { damage }
  const { created, config } = look.info
  return {
    known: {
      created,
      partitions: partitionsOf(config),
      refill: look.refill?.mark,
      filled: before.filled,
      replicated: config.num_replicas > 1
    }
  }
}

async function markRefill(jsm: JetStreamManager, service: string, from: number): Promise<void> {
  const mark = `${from}-${Date.now().toString(36)}`
  const options = { expect: { streamName: service }, timeout: 5_000 }
  await jsm.jetstream().publish(`${service}.${REFILLED}.${mark}`, JSON.stringify({ from }), options)
}

/** Compares a service's stream with what is remembered of it. Resolves with what is wrong, or undefined. */
export async function findDamage(store: Store, jsm: JetStreamManager, service: string): Promise<string | undefined> {
  return (await inspectStream(store, jsm, service)).damage
}

/**
 * It is enough to look at the last event that was acknowledged, whose place holds another one when the stream was cut below it and has grown
 * since, and at the number of places without a message.
 */
async function damageOf(jsm: JetStreamManager, before: StreamState, info: StreamInfo): Promise<string | undefined> {
  if (info.created !== before.created) return 'it was made anew'
  if (info.state.last_seq < before.lastSeq) return `it ends at ${info.state.last_seq}, and ${before.lastSeq} was there`
  if (holesOf(info) > (before.holes ?? 0)) return `it has ${holesOf(info)} holes, and had ${before.holes ?? 0}`
  if (before.lastId === undefined) return undefined
  const last = await jsm.streams.getMessage(before._id, { seq: before.lastSeq })
  if (last === null) return isLimited(info.config) ? undefined : `${before.lastSeq} is gone`
  return last.header.get('ce-id') === before.lastId ? undefined : `another event is at ${before.lastSeq}`
}

/** Whether an error says that a stream is not there. */
export function isStreamNotFound(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === STREAM_NOT_FOUND
}

/** Places without a message. Our streams have no limits; where an operator has set some, what ages out at the front is no damage. */
function holesOf({ state, config }: StreamInfo): number {
  return isLimited(config) ? 0 : state.last_seq - state.messages
}

function isLimited(config: StreamConfig): boolean {
  return [config.max_age, config.max_bytes, config.max_msgs, config.max_msgs_per_subject].some((n) => (n ?? 0) > 0)
}

/**
 * Makes all that was published pending again, and has every record say of which filling it is: a relay that had one acknowledged before the
 * loss, and comes to marking it now, does not find it as it was. What is pending comes first: it may become published meanwhile, and not the other
 * way. Records keep the time when they were first published: what is counted from it must not outlive what the inboxes of consumers
 * remember, which count from the effect.
 */
async function makePending(store: Store, fill: string): Promise<number> {
  const records = collectionOf(store.db, outbox)
  const session = store.client.startSession({ causalConsistency: true })
  session.advanceOperationTime(await operationTime(store))
  let again = 0
  try {
    for (const filter of [{ pending: true }, { publishedAt: { $exists: true } }] as const) {
      const found = records.find(filter, {
        ...{ projection: { bucket: 1 }, batchSize: REFILL_BATCH, comment: 'relay-rebuild', session },
        sort: 'pending' in filter ? { seq: 1 } : { publishedAt: 1 }
      })
      try {
        while (await found.hasNext()) {
          const some = found.readBufferedDocuments(REFILL_BATCH)
          const { modifiedCount } = await records.updateMany(
            { bucket: { $in: [...new Set(some.map((r) => r.bucket))] }, _id: { $in: some.map((r) => r._id) } },
            { $set: { pending: true, fill } }
          )
          if ('publishedAt' in filter) again += modifiedCount
        }
      } finally {
        await found.close()
      }
    }
    return again
  } finally {
    await session.endSession()
  }
}

/** The cluster's time now: a change stream from here on, opened before a scan, misses nothing between the two. */
export async function operationTime(store: Store): Promise<Timestamp> {
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

/**
 * Makes the stream of a service's dead letters, unless it is there: then nothing is changed. Who consumes sees to it as well as who publishes,
 * since an event that cannot be applied is tried for ever where its letter cannot be kept. Any number may do so at once.
 */
export async function ensureDeadLetters(jsm: JetStreamManager, service: string): Promise<void> {
  await ensureStream(jsm, `dlq_${service}`, `dlq.${service}.>`)
}

async function ensureStream(
  jsm: JetStreamManager,
  name: string,
  subject: string,
  metadata?: Record<string, string>
): Promise<void> {
  try {
    await jsm.streams.info(name)
  } catch (error) {
    if (!isStreamNotFound(error)) throw error
    await jsm.streams.add({
      name,
      subjects: [subject],
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      duplicate_window: DUPLICATE_WINDOW_MS * NS_PER_MS,
      allow_direct: true,
      ...(metadata === undefined ? {} : { metadata })
    })
  }
}

/** Remembers the last event that a stream has acknowledged, so that a later cut is seen. */
export async function rememberLast(
  store: Store,
  service: string,
  { created, filled }: Pick<KnownStream, 'created'> & { filled?: string | undefined },
  last: { seq: number; id: string }
): Promise<void> {
  await collectionOf(store.db, streamStates).updateOne(
    { _id: service, created, lastSeq: { $lt: last.seq }, ...(filled === undefined ? {} : { filled }) },
    { $set: { lastSeq: last.seq, lastId: last.id } }
  )
}
