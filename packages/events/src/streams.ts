import {
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  RetentionPolicy,
  StorageType
} from '@nats-io/jetstream'
import { collectionOf, defineCollection, type Store } from '@skerry/store'
import { outbox } from './outbox.ts'

type StreamState = { _id: string; created: string; lastSeq: number }

/** What a service remembers of streams, to notice that one was lost or cut. */
export const streamStates = defineCollection<StreamState>({ name: 'streams', shardKey: null, indexes: [] })

const NS_PER_MS = 1_000_000
/** How long JetStream refuses a repeated id; the inbox covers what comes later. */
const DUPLICATE_WINDOW_MS = 120_000
const STREAM_NOT_FOUND = 10059

/**
 * On a service's stream, in its configuration: `yes` when it was empty at the service's beginning, else since when it was refilled. A
 * stream without it was made by a release that did not note it.
 */
export const WHOLE = 'skerry-whole'

/**
 * The subject of a mark in a service's stream, which says that events before it may be missing: it was cut, or restored from an older copy.
 * A mark and no setting, since a service may not change the configuration of a stream that is there; no consumer asks for it.
 */
export const refilledSubject = (service: string) => `${service}.refilled`

/** Subjects of a service's stream and of its dead letters. */
export const streamConfigs = (service: string) => [
  { name: service, subjects: [`${service}.>`] },
  { name: `dlq_${service}`, subjects: [`dlq.${service}.>`] }
]

/**
 * Makes a service's own stream and the one of its dead letters. When the event stream was lost, replaced or cut since it was last seen, all
 * that the outbox still keeps becomes pending again, and only then the new stream is remembered: an end in between repeats, it doesn't lose.
 *
 * @returns how many records became pending again
 */
export async function ensureStreams(store: Store, jsm: JetStreamManager, service: string): Promise<number> {
  const states = collectionOf(store.db, streamStates)
  const before = await states.findOne({ _id: service })
  const refilled = `refilled ${new Date().toISOString()}`
  for (const { name, subjects } of streamConfigs(service))
    await ensureStream(jsm, name, subjects, before === null ? 'yes' : refilled)
  const info = await jsm.streams.info(service)
  const same = before !== null && before.created === info.created && info.state.last_seq >= before.lastSeq
  if (same) return 0
  // Cut, or restored from an older copy: what was lost and is older than the outbox does not come back.
  if (before !== null && info.config.metadata?.[WHOLE] === 'yes')
    await jsm.jetstream().publish(refilledSubject(service), refilled, { msgID: `${service}:${refilled}` })
  const again = await collectionOf(store.db, outbox).updateMany(
    { publishedAt: { $exists: true } },
    { $set: { pending: true }, $unset: { publishedAt: 1 } },
    { comment: 'relay-rebuild' }
  )
  await states.updateOne(
    { _id: service },
    { $set: { created: info.created, lastSeq: info.state.last_seq } },
    { upsert: true }
  )
  return again.modifiedCount
}

async function ensureStream(jsm: JetStreamManager, name: string, subjects: string[], whole: string): Promise<void> {
  try {
    await jsm.streams.info(name)
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || error.code !== STREAM_NOT_FOUND) throw error
    await jsm.streams.add({
      name,
      subjects,
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      duplicate_window: DUPLICATE_WINDOW_MS * NS_PER_MS,
      allow_direct: true,
      metadata: { [WHOLE]: whole }
    })
  }
}

/** Remembers how far the stream had come, so that a later cut is seen. */
export async function rememberSequence(store: Store, service: string, lastSeq: number): Promise<void> {
  await collectionOf(store.db, streamStates).updateOne({ _id: service }, { $max: { lastSeq } })
}
