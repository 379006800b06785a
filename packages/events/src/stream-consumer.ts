import { setTimeout as delay } from 'node:timers/promises'
import {
  AckPolicy,
  type ConsumerInfo,
  DeliverPolicy,
  JetStreamApiError,
  type JetStreamManager,
  type JsMsg,
  jetstream,
  jetstreamManager,
  type StreamInfo
} from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { wireSubject } from '@skerry/contracts'
import { collectionOf, type Store } from '@skerry/store'
import { applyEvent } from './apply.ts'
import type { Subscription } from './consumer.ts'
import { consumerStates } from './consumer-states.ts'
import { createKeyedQueue } from './keyed-queue.ts'
import type { EventMetrics, Log } from './metrics.ts'
import { createControl } from './operator/control.ts'
import { currentReplay, type Replay, replayKey, rewind } from './operator/replay.ts'

export type StreamConsumerOptions = {
  store: Store
  nc: NatsConnection
  service: string
  stream: string
  durable: string
  subscriptions: readonly Subscription[]
  signal: AbortSignal
  working(): void
  log: Log
  metrics: EventMetrics
  concurrency: number
  backoffMs: readonly number[]
  /** Calls a listener when operators have asked for something; returns what ends that. Without it they wait for the next look. */
  onLook?: (listener: () => void) => () => void
}

const NS_PER_MS = 1_000_000
const ACK_WAIT_MS = 30_000
/** How often a consumer is measured, and looks for what operators have asked, should their wake-up be lost. */
const LOOK_MS = 5_000
/** Messages delivered and not yet acknowledged; the bound on what is held in memory. */
const MAX_HELD = 512
const CONSUMER_NOT_FOUND = 10014
const STREAM_NOT_FOUND = 10059

/**
 * One stretch of consuming a stream. It begins at the acknowledged floor: what an earlier owner had been given and not acknowledged is
 * delivered again, before anything newer, or an entity's order would break. A gap in the delivery sequence means that a delivery was
 * lost on the way, so the stretch ends and the next one begins at the floor.
 */
export async function consumeStream(options: StreamConsumerOptions): Promise<void> {
  const { nc, stream, durable, signal, log, metrics } = options
  const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 3_000 })
  const { info, replay } = await prepare(jsm, options)
  const held = new Map<number, JsMsg>()
  const queue = createKeyedQueue(MAX_HELD, options.concurrency)
  const apply = applyEvent(options, (sequence) =>
    replay !== undefined && sequence >= replay.from && sequence <= replay.until ? replayKey(durable, replay) : durable
  )
  const failed = new AbortController()
  const ends = AbortSignal.any([signal, failed.signal])

  const consumer = await jetstream(nc).consumers.get(stream, durable)
  const messages = await consumer.consume({ max_messages: MAX_HELD / 2, expires: 10_000, idle_heartbeat: 2_000 })
  const end = () => messages.stop()
  ends.addEventListener('abort', end)
  // A stop that came while this was prepared fires no event any more.
  if (ends.aborted) end()
  watchConnection(nc, ends, failed)
  let restarting = false
  const control = createControl(options, {
    ...{ jsm, queue, ends, replay },
    restart() {
      restarting = true
      failed.abort(new Error('a replay begins'))
    }
  })
  const stopLooking = options.onLook?.(() => void control.look())

  // What waits behind a failing event of its own entity must not come again meanwhile.
  const keepAlive = setInterval(() => {
    for (const message of held.values()) message.working()
  }, ACK_WAIT_MS / 3)
  const measure = setInterval(() => void report(jsm, options, held.size, control), LOOK_MS)
  // A replay is followed more closely: whoever asked for it waits.
  const follow =
    replay === undefined ? undefined : setInterval(() => void report(jsm, options, held.size, control), LOOK_MS / 10)
  options.working()
  void control.look()
  try {
    let expected = info.delivered.consumer_seq + 1
    for await (const message of messages) {
      const { deliverySequence, streamSequence } = message.info
      if (deliverySequence !== expected)
        throw new Error(`a delivery was lost: expected ${expected}, got ${deliverySequence}`)
      expected++
      const entity = message.headers?.get('ce-subject') || message.subject
      held.set(streamSequence, message)
      await queue.add(
        entity,
        async () => {
          try {
            if (ends.aborted) return
            await apply(message, ends)
            message.ack()
          } catch (error) {
            if (!ends.aborted) failed.abort(error)
          } finally {
            held.delete(streamSequence)
          }
        },
        ends
      )
      if (ends.aborted) break
    }
    if (restarting) return
    if (failed.signal.aborted) throw failed.signal.reason
    if (!signal.aborted) throw new Error('JetStream ended the deliveries')
  } finally {
    clearInterval(keepAlive)
    clearInterval(measure)
    clearInterval(follow)
    stopLooking?.()
    ends.removeEventListener('abort', end)
    if (!ends.aborted) failed.abort(new Error('the stretch ended'))
    messages.stop()
    await queue.idle()
    await nc
      .flush()
      .catch((error: unknown) => log.debug({ err: error }, 'acknowledgements may be lost; the inbox knows'))
    metrics.consumerLag(durable, 0)
  }
}

/** Makes the durable or brings its filters up to date, and sets it back to its floor, or to where a replay begins. */
async function prepare(
  jsm: JetStreamManager,
  options: StreamConsumerOptions
): Promise<{ info: ConsumerInfo; replay: Replay | undefined }> {
  const { store, stream, durable } = options
  const filter_subjects = [...new Set(options.subscriptions.map((s) => wireSubject(s.event)))].sort()
  const streamInfo = await streamWhenThere(jsm, options)
  const states = collectionOf(store.db, consumerStates)
  const key = `${stream}:${durable}`
  const here = { store, jsm, durable, stream: streamInfo }
  const replay = await currentReplay(here)
  try {
    const info = await jsm.consumers.info(stream, durable)
    const same = JSON.stringify([...(info.config.filter_subjects ?? [])].sort()) === JSON.stringify(filter_subjects)
    if (!same) await jsm.consumers.update(stream, durable, { filter_subjects })
    await states.updateOne(
      { _id: key },
      { $set: { created: streamInfo.created, floor: info.ack_floor.stream_seq } },
      { upsert: true }
    )
    // The numbering begins afresh here. A later info would already count what an earlier owner's open pull was given meanwhile.
    return { info: await (replay === undefined ? jsm.consumers.reset(stream, durable) : rewind(here, replay)), replay }
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || error.code !== CONSUMER_NOT_FOUND) throw error
    const state = await states.findOne({ _id: key })
    const known = state !== null && state.created === streamInfo.created && state.floor > 0
    const start = replay?.rewound ? replay.from : known ? state.floor + 1 : undefined
    const added = await jsm.consumers.add(stream, {
      durable_name: durable,
      filter_subjects,
      ack_policy: AckPolicy.Explicit,
      ack_wait: ACK_WAIT_MS * NS_PER_MS,
      max_ack_pending: MAX_HELD,
      max_deliver: -1,
      ...(start === undefined
        ? { deliver_policy: DeliverPolicy.All }
        : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: start })
    })
    return { info: replay === undefined || replay.rewound ? added : await rewind(here, replay), replay }
  }
}

/** Another service may start later than this one: its stream is waited for. */
async function streamWhenThere(jsm: JetStreamManager, options: StreamConsumerOptions): Promise<StreamInfo> {
  for (let waited = 0; ; waited++) {
    try {
      return await jsm.streams.info(options.stream)
    } catch (error) {
      if (!(error instanceof JetStreamApiError) || error.code !== STREAM_NOT_FOUND) throw error
      if (waited === 40)
        options.log.warn({ stream: options.stream, consumer: options.durable }, 'the stream is not there yet')
      await delay(50, undefined, { signal: options.signal })
    }
  }
}

/** Messages that were under way when the connection broke are lost to this stretch: the next one asks for them again. */
async function watchConnection(nc: NatsConnection, ends: AbortSignal, failed: AbortController): Promise<void> {
  for await (const status of nc.status()) {
    if (ends.aborted) return
    if (status.type === 'reconnect') failed.abort(new Error('the connection to NATS was lost and is back'))
  }
}

async function report(
  jsm: JetStreamManager,
  options: StreamConsumerOptions,
  held: number,
  control: ReturnType<typeof createControl>
): Promise<void> {
  try {
    const info = await jsm.consumers.info(options.stream, options.durable)
    options.metrics.consumerLag(options.durable, info.num_pending + Math.max(held, info.num_ack_pending))
    await collectionOf(options.store.db, consumerStates).updateOne(
      { _id: `${options.stream}:${options.durable}` },
      { $max: { floor: info.ack_floor.stream_seq } }
    )
    await control.progress(info)
    await control.look()
  } catch (error) {
    options.log.debug({ err: error }, 'the lag of a consumer could not be read')
  }
}
