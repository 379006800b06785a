import {
  AckPolicy,
  type ConsumerInfo,
  DeliverPolicy,
  JetStreamApiError,
  type JetStreamManager
} from '@nats-io/jetstream'
import { wireSubject } from '@skerry/contracts'
import { collectionOf } from '@skerry/store'
import { consumerStates, type Replay } from './consumer-states.ts'
import { currentReplay, rewind } from './operator/replay.ts'
import { durableOf, partitionsOf } from './partitions.ts'
import { isStreamNotFound, type Look, lookAt } from './streams.ts'
import type { StretchOptions } from './stretch-options.ts'

const NS_PER_MS = 1_000_000
export const ACK_WAIT_MS = 30_000
/** Messages delivered and not acknowledged: what is held in memory, and what waits behind an event that fails. */
const MAX_ACK_PENDING = 8_192
const CONSUMER_NOT_FOUND = 10014

/** Where a stretch of consuming begins. */
export type Beginning = {
  /** The running number of the first delivery. */
  firstDelivery: number
  /** The stream as the stretch knows it; another one later means that it was made anew or filled again. */
  stream: string
  /** What is to be replayed first. */
  replay: Replay | undefined
  /** The floor as it was last kept. */
  noted: number
}

const nameOf = ({ consumer, partition }: StretchOptions) => durableOf(consumer, partition)
const keyOf = (options: StretchOptions) => `${options.stream}:${nameOf(options)}`
const identityOf = ({ info, refill }: Look) => `${info.created} ${refill?.mark ?? ''}`

/**
 * Makes the durable or brings it up to date, and sets it back to its floor. Where the stream was filled again below that, it begins at the
 * refill: some of it may never have been delivered, and the inbox knows the rest. A replay that was asked for begins where it says.
 */
export async function prepareDurable(jsm: JetStreamManager, options: StretchOptions): Promise<Beginning> {
  const { store, stream, consumer: name, partition } = options
  const look = await lookAt(jsm, stream).catch((error: unknown) => {
    throw isStreamNotFound(error) ? new StreamChanged('the stream is gone') : error
  })
  const { info, refill } = look
  const now = partitionsOf(info.config)
  if (now.length !== partition.of || now[partition.index]?.token !== partition.token) {
    options.repartitioned()
    throw new StreamChanged('the stream has other partitions')
  }
  const here = { store, jsm, consumer: name, partition, stream: info }
  const replay = await currentReplay(here)
  const states = collectionOf(store.db, consumerStates)
  const state = await states.findOne({ _id: keyOf(options) })
  const before = await infoOf(jsm, stream, nameOf(options))
  const floor = before?.ack_floor.stream_seq ?? (state?.created === info.created ? state.floor : 0)
  const behind = refill !== undefined && refill.mark !== state?.refill && refill.from <= floor
  const from = behind ? refill.from - 1 : floor
  const consumer =
    before === undefined || behind
      ? await makeDurable(jsm, options, before, from)
      : await resetDurable(jsm, options, before)
  await states.updateOne(
    { _id: keyOf(options) },
    { $set: { created: info.created, floor: from, ...(refill === undefined ? {} : { refill: refill.mark }) } },
    { upsert: true }
  )
  const starts = replay === undefined || replay.rewound ? consumer : await rewind(here, replay, from)
  return { firstDelivery: starts.delivered.consumer_seq + 1, stream: identityOf(look), replay, noted: from }
}

/** Throws when the stream is not the one that the stretch began with, which no broken connection tells of. */
export function assertSame(look: Look, beginning: Beginning): void {
  if (identityOf(look) !== beginning.stream) throw new StreamChanged('the stream was made anew or filled again')
}

/** Reads how far the consumer has come in its partition, and has it kept. Rejects when the durable is gone. */
export async function noteProgress(
  jsm: JetStreamManager,
  options: StretchOptions,
  look: Look,
  beginning: Beginning
): Promise<ConsumerInfo> {
  const consumer = await infoOf(jsm, options.stream, nameOf(options))
  if (consumer === undefined) throw new StreamChanged('the durable is gone')
  const floor = consumer.ack_floor.stream_seq
  // A write each, also one that changes nothing, would be most of what an idle service asks of its database.
  if (floor !== beginning.noted) {
    options.stretches.keepFloor(keyOf(options), look.info.created, floor)
    beginning.noted = floor
  }
  return consumer
}

/** The stretch must begin again: what it consumes is no longer what it began with. */
export class StreamChanged extends Error {}

async function infoOf(jsm: JetStreamManager, stream: string, durable: string): Promise<ConsumerInfo | undefined> {
  try {
    return await jsm.consumers.info(stream, durable)
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === CONSUMER_NOT_FOUND) return undefined
    throw isStreamNotFound(error) ? new StreamChanged('the stream is gone') : error
  }
}

function filtersOf(options: StretchOptions): string[] {
  const { token } = options.partition
  return [...new Set(options.subscriptions.map((s) => `${wireSubject(s.event)}${token}`))].sort()
}

async function resetDurable(
  jsm: JetStreamManager,
  options: StretchOptions,
  { config }: ConsumerInfo
): Promise<ConsumerInfo> {
  const { stream } = options
  const durable = nameOf(options)
  const filter_subjects = filtersOf(options)
  const same = JSON.stringify([...(config.filter_subjects ?? [])].sort()) === JSON.stringify(filter_subjects)
  if (!same || config.max_ack_pending !== MAX_ACK_PENDING)
    await jsm.consumers.update(stream, durable, { filter_subjects, max_ack_pending: MAX_ACK_PENDING })
  // The numbering begins afresh here. A later info would already count what an earlier owner's open pull was given meanwhile.
  return await jsm.consumers.reset(stream, durable)
}

/** @param from the last place that need not be delivered; 0 for all */
async function makeDurable(
  jsm: JetStreamManager,
  options: StretchOptions,
  before: ConsumerInfo | undefined,
  from: number
): Promise<ConsumerInfo> {
  const { stream } = options
  const durable = nameOf(options)
  if (before !== undefined) await jsm.consumers.delete(stream, durable)
  return await jsm.consumers.add(stream, {
    durable_name: durable,
    filter_subjects: filtersOf(options),
    ack_policy: AckPolicy.Explicit,
    ack_wait: ACK_WAIT_MS * NS_PER_MS,
    max_ack_pending: MAX_ACK_PENDING,
    max_deliver: -1,
    ...(from > 0
      ? { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: from + 1 }
      : { deliver_policy: DeliverPolicy.All })
  })
}
