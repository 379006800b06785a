import { type ConsumerInfo, type JsMsg, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { applyEvent, type Handled } from './apply.ts'
import { watchConnection } from './connection.ts'
import { ACK_WAIT_MS, assertSame, noteProgress, prepareDurable, StreamChanged } from './durable.ts'
import { createKeyedQueue } from './keyed-queue.ts'
import { createControl } from './operator/control.ts'
import { replayKey } from './operator/replay.ts'
import { orderKeyReader } from './order-key.ts'
import { durableOf } from './partitions.ts'
import { createRuns } from './runs.ts'
import { ensureDeadLetters, type Look, lookAt } from './streams.ts'
import type { StretchOptions } from './stretch-options.ts'
import { LOOK_MS } from './stretches.ts'

/** Messages of a stream's partitions that are delivered and not yet worked off: the bound on what is held in memory, shared by them. */
const MAX_HELD = 512
/** What a partition of many may hold nevertheless. */
const LEAST_HELD = 128
/** Messages that wait behind one of their order key that fails, as a part of what is held; further ones are put off, so that others find room. */
const MAX_BEHIND = 1 / 8
/** Looks at the stream after which a durable that has delivered nothing is asked how far it is nevertheless: it may be gone. */
const IDLE_LOOKS = 6
/**
 * How long a pull lasts. Less than two thirds of a lease: what an owner that is stopped, or cut off without a word, had asked for is over when
 * its successor begins. A pull that lasts longer would take an event from the successor, which, when none follows that shows the gap, would
 * come again only after ACK_WAIT_MS.
 */
const PULL_MS = 5_000

/**
 * One stretch of consuming a partition of a stream. It begins at the acknowledged floor: what an earlier owner had been given and not acknowledged is
 * delivered again, before anything newer, or a key's order would break. A gap in the delivery sequence means that a delivery was
 * lost on the way, so the stretch ends and the next one begins at the floor.
 */
export async function consumePartition(options: StretchOptions): Promise<void> {
  const { nc, stream, consumer: name, partition, signal, log, stretches } = options
  const mostHeld = Math.max(LEAST_HELD, MAX_HELD / partition.of)
  const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: 3_000 })
  await ensureDeadLetters(jsm, options.service)
  const beginning = await prepareDurable(jsm, options)
  const held = new Map<number, JsMsg>()
  const queue = createKeyedQueue(mostHeld)
  const keyOf = orderKeyReader(options.subscriptions.map((s) => s.event))
  const failing = new Set<string>()
  // Their messages are let go without an acknowledgement: when the key is through with those it has, a new stretch asks for them.
  const putOff = new Set<string>()
  const { replay } = beginning
  const failed = new AbortController()
  const ends = AbortSignal.any([signal, failed.signal])
  const apply = applyEvent({ ...options, signal: ends }, (sequence) =>
    replay !== undefined && sequence >= replay.from && sequence <= replay.until ? replayKey(name, replay) : name
  )
  const runs = createRuns(options.subscriptions, options.batches)
  /** What has had its effect, and waits for its mark in the inbox. */
  const marking = new Set<Promise<void>>()

  async function work(orderKey: string): Promise<void> {
    try {
      const handle = runs.nextOf(orderKey)
      const turn = handle === undefined ? undefined : options.batches.turnOf(handle, ends)
      if (turn !== undefined) await turn
      await workOff(runs.take(orderKey), orderKey)
      if (putOff.has(orderKey) && queue.heldOf(orderKey) === 1)
        failed.abort(new Error('retrying events that were postponed'))
    } catch (error) {
      if (!ends.aborted) failed.abort(error)
    }
  }

  /**
   * Applies what waits of a key, in order. What cannot be applied at once is halved until it can, down to single events, each of which has its
   * attempts then.
   *
   * @param half this is what was left of more
   */
  async function workOff(run: readonly JsMsg[], orderKey: string, half = false): Promise<void> {
    const [first, ...more] = run
    if (first === undefined || ends.aborted) return
    if (more.length === 0) {
      acknowledge(first, await apply.one(first, () => failing.add(orderKey), half))
      failing.delete(orderKey)
      return
    }
    const applied = await apply.together(run)
    if (applied !== undefined) {
      for (const [i, message] of run.entries()) acknowledge(message, applied[i]!)
      return
    }
    const middle = Math.ceil(run.length / 2)
    await workOff(run.slice(0, middle), orderKey, true)
    await workOff(run.slice(middle), orderKey, true)
  }

  /** Nobody waits for the server's word: the inbox knows what comes again, or its repeat does no harm. */
  function acknowledge(message: JsMsg, { marked }: Handled): void {
    const done = () => {
      held.delete(message.info.streamSequence)
      if (!nc.isClosed()) message.ack()
    }
    if (marked === undefined) {
      done()
      return
    }
    const kept = marked.then(done).catch((error: unknown) => {
      if (!ends.aborted) failed.abort(error)
    })
    marking.add(kept)
    void kept.finally(() => marking.delete(kept))
  }

  const consumer = await jetstream(nc).consumers.get(stream, durableOf(name, partition))
  const messages = await consumer.consume({ max_messages: mostHeld / 2, expires: PULL_MS, idle_heartbeat: 2_000 })
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
    ...{ jsm, queue, ends, replay },
    restart() {
      restarting = true
      failed.abort(new Error('a replay begins'))
    }
  })
  // What waits behind a failing event of its own key must not come again meanwhile.
  const keepAlive = setInterval(() => {
    for (const message of held.values()) message.working()
  }, ACK_WAIT_MS / 3)
  /** How much had been delivered when the durable was last asked, and how many looks ago that was. */
  let asked = { delivered: -1, looks: 0 }
  let delivered = 0

  async function report(look: Look): Promise<void> {
    try {
      assertSame(look, beginning)
      const idle = asked.delivered === delivered && held.size === 0 && replay === undefined
      if (idle && ++asked.looks < IDLE_LOOKS) return
      const now = delivered
      const info = await noteProgress(jsm, options, look, beginning)
      asked = { delivered: isThrough(info) ? now : -1, looks: 0 }
      stretches.late(partition.index, info.num_pending + Math.max(held.size, info.num_ack_pending))
      await control.progress(info)
    } catch (error) {
      if (error instanceof StreamChanged) failed.abort(error)
      else log.debug({ err: error, consumer: name }, 'failed to read the lag of a consumer')
    }
  }
  // A replay is followed more closely: whoever asked for it waits.
  const follow = replay === undefined ? undefined : setInterval(() => void lookNow(), LOOK_MS / 10)
  async function lookNow(): Promise<void> {
    try {
      await report(await lookAt(jsm, stream))
    } catch (error) {
      log.debug({ err: error, consumer: name }, 'failed to look at a stream')
    }
  }
  options.working()
  const leave = stretches.join({ report, take: control.take })
  try {
    let expected = beginning.firstDelivery
    for await (const message of messages) {
      const { deliverySequence, streamSequence } = message.info
      if (deliverySequence !== expected)
        throw new Error(`a delivery was lost: expected ${expected}, got ${deliverySequence}`)
      expected++
      delivered++
      const orderKey = keyOf(message)
      if (failing.has(orderKey) && queue.heldOf(orderKey) > mostHeld * MAX_BEHIND) putOff.add(orderKey)
      if (putOff.has(orderKey)) continue
      held.set(streamSequence, message)
      runs.add(orderKey, message)
      if (queue.size >= mostHeld) options.batches.hurry()
      await queue.add(orderKey, () => work(orderKey), ends)
      if (ends.aborted) break
    }
    if (restarting) return
    if (failed.signal.aborted) throw failed.signal.reason
    if (!signal.aborted) throw new Error('JetStream ended the deliveries')
  } finally {
    clearInterval(keepAlive)
    clearInterval(follow)
    leave()
    ends.removeEventListener('abort', end)
    if (!ends.aborted) failed.abort(new Error('the stretch ended'))
    messages.stop()
    await queue.idle()
    if (marking.size > 0) options.batches.flush()
    await Promise.all(marking)
    stretches.late(partition.index, 0)
  }
}

/** Whether all that a durable has delivered was acknowledged, and nothing waits. */
function isThrough(info: ConsumerInfo): boolean {
  return info.num_pending + info.num_ack_pending === 0
}
