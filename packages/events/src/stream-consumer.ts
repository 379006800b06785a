import { type JetStreamManager, type JsMsg, jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Store } from '@skerry/store'
import { applyEvent } from './apply.ts'
import { watchConnection } from './connection.ts'
import type { Subscription } from './consumer.ts'
import { ACK_WAIT_MS, type Beginning, noteProgress, prepareDurable, StreamChanged } from './durable.ts'
import { createKeyedQueue } from './keyed-queue.ts'
import type { EventMetrics, Log } from './metrics.ts'
import { createControl } from './operator/control.ts'
import { replayKey } from './operator/replay.ts'
import { orderKeyReader } from './order-key.ts'
import { createPlaces } from './places.ts'
import { ensureDeadLetters } from './streams.ts'
import { untilAborted } from './until-aborted.ts'

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
  handlerLimitMs?: number
  /** Calls a listener when operators have asked for something; returns what ends that. Without it they wait for the next look. */
  onLook?: (listener: () => void) => () => void
}

/** Messages delivered and not yet worked off; the bound on what is held in memory. */
const MAX_HELD = 512
/** Messages that wait behind one of their order key that fails; further ones are put off, so that others find room. */
const MAX_BEHIND = 64
/** How often a consumer is measured, and looks for what operators have asked, should their wake-up be lost. */
const LOOK_MS = 5_000
/**
 * How long a pull lasts. Less than two thirds of a lease: what an owner that is stopped, or cut off without a word, had asked for is over when
 * its successor begins. A pull that lasts longer would take an event from the successor, which, when none follows that shows the gap, would
 * come again only after ACK_WAIT_MS.
 */
const PULL_MS = 5_000
/** How long the server's word that it has an acknowledgement is waited for. */
const ACK_TIMEOUT_MS = 5_000

/**
 * One stretch of consuming a stream. It begins at the acknowledged floor: what an earlier owner had been given and not acknowledged is
 * delivered again, before anything newer, or a key's order would break. A gap in the delivery sequence means that a delivery was
 * lost on the way, so the stretch ends and the next one begins at the floor.
 */
export async function consumeStream(options: StreamConsumerOptions): Promise<void> {
  const { nc, stream, durable, signal, log, metrics } = options
  const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 3_000 })
  await ensureDeadLetters(jsm, options.service)
  const beginning = await prepareDurable(jsm, options)
  const held = new Map<number, JsMsg>()
  const queue = createKeyedQueue(MAX_HELD)
  const keyOf = orderKeyReader(options.subscriptions.map((s) => s.event))
  const places = createPlaces(options.concurrency)
  const failing = new Set<string>()
  // Their messages are let go without an acknowledgement: when the key is through with those it has, a new stretch asks for them.
  const putOff = new Set<string>()
  const { replay } = beginning
  const failed = new AbortController()
  const ends = AbortSignal.any([signal, failed.signal])
  const apply = applyEvent({ ...options, signal: ends }, places, (sequence) =>
    replay !== undefined && sequence >= replay.from && sequence <= replay.until ? replayKey(durable, replay) : durable
  )
  const unlessEnding = untilAborted(ends)

  async function work(message: JsMsg, orderKey: string): Promise<void> {
    try {
      if (ends.aborted) return
      await apply(message, () => failing.add(orderKey))
      failing.delete(orderKey)
      await unlessEnding(message.ackAck({ timeout: ACK_TIMEOUT_MS })).catch((error: unknown) =>
        log.debug(
          { err: error, consumer: durable },
          'acknowledgement may be lost: the inbox will deduplicate the redelivery'
        )
      )
      if (putOff.has(orderKey) && queue.heldOf(orderKey) === 1)
        failed.abort(new Error('retrying events that were postponed'))
    } catch (error) {
      if (!ends.aborted) failed.abort(error)
    } finally {
      held.delete(message.info.streamSequence)
    }
  }

  const consumer = await jetstream(nc).consumers.get(stream, durable)
  const messages = await consumer.consume({ max_messages: MAX_HELD / 2, expires: PULL_MS, idle_heartbeat: 2_000 })
  const end = () => messages.stop()
  ends.addEventListener('abort', end)
  // A stop that came while this was prepared fires no event any more.
  if (ends.aborted) end()
  // Messages that were under way when the connection broke are lost to this stretch: the next one asks for them again.
  watchConnection(nc, ends, (what) => {
    if (what === 'back') failed.abort(new Error('the connection to NATS was lost and is back'))
  })

  let restarting = false
  const control = createControl(options, {
    ...{ jsm, queue, places, ends, replay },
    restart() {
      restarting = true
      failed.abort(new Error('a replay begins'))
    }
  })
  const stopLooking = options.onLook?.(() => void control.look())

  // What waits behind a failing event of its own key must not come again meanwhile.
  const keepAlive = setInterval(() => {
    for (const message of held.values()) message.working()
  }, ACK_WAIT_MS / 3)
  const reporting = { jsm, options, beginning, failed, control, held: () => held.size }
  const measure = setInterval(() => void report(reporting), LOOK_MS)
  // A replay is followed more closely: whoever asked for it waits.
  const follow = replay === undefined ? undefined : setInterval(() => void report(reporting), LOOK_MS / 10)
  options.working()
  void control.look()
  try {
    let expected = beginning.firstDelivery
    for await (const message of messages) {
      const { deliverySequence, streamSequence } = message.info
      if (deliverySequence !== expected)
        throw new Error(`a delivery was lost: expected ${expected}, got ${deliverySequence}`)
      expected++
      const orderKey = keyOf(message)
      if (failing.has(orderKey) && queue.heldOf(orderKey) > MAX_BEHIND) putOff.add(orderKey)
      if (putOff.has(orderKey)) continue
      held.set(streamSequence, message)
      await queue.add(orderKey, () => work(message, orderKey), ends)
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
    metrics.consumerLag(durable, 0)
  }
}

async function report({
  jsm,
  options,
  beginning,
  failed,
  control,
  held
}: {
  jsm: JetStreamManager
  options: StreamConsumerOptions
  beginning: Beginning
  failed: AbortController
  control: ReturnType<typeof createControl>
  held: () => number
}): Promise<void> {
  try {
    const info = await noteProgress(jsm, options, beginning)
    options.metrics.consumerLag(options.durable, info.num_pending + Math.max(held(), info.num_ack_pending))
    await control.progress(info)
    await control.look()
  } catch (error) {
    if (error instanceof StreamChanged) failed.abort(error)
    else options.log.debug({ err: error }, 'failed to read the lag of a consumer')
  }
}
