import { setTimeout as delay } from 'node:timers/promises'
import { AckPolicy, type JsMsg, jetstream, jetstreamManager } from '@nats-io/jetstream'
import { createKeyedQueue, type EventMetrics, on, startConsumer } from '@skerry/events'
import { bucketOf } from '@skerry/store'
import { change, clock, type Effects, Measured, type MeasuredData, PLAIN_STREAM, seen } from './messages.ts'
import { openPart } from './part.ts'

// Does the effect of each event: in one transaction with the event's id, or as it comes. Tells its parent of what is committed.
const { mode, store, nc, common } = await openPart()
const LANES = 32
const TELL_EVERY_MS = 5

let latencies: number[] = []
setInterval(() => {
  if (latencies.length === 0) return
  process.send?.({ latencies } satisfies Effects)
  latencies = []
}, TELL_EVERY_MS)

if (mode === 'safe') {
  // The time of the write's beginning, of effects whose transaction is not committed yet.
  const begun = new Map<string, number>()
  const handled: EventMetrics['handled'] = (_consumer, _subject, outcome, _lag, id = '') => {
    const startedAt = begun.get(id)
    if (outcome !== 'applied' || startedAt === undefined) throw new Error(`an event was ${outcome}`)
    latencies.push(clock() - startedAt)
    begun.delete(id)
  }
  const consumer = startConsumer({
    ...common,
    purpose: 'bench',
    concurrency: LANES,
    subscriptions: [
      on(Measured, async ({ data, id }, tx) => {
        begun.set(id, data.startedAt)
        await change(store, seen, data.id, bucketOf(data.id), tx)
      })
    ],
    metrics: { outboxDepth() {}, relayed() {}, consumerLag() {}, handled }
  })
  while (!consumer.owner()) await delay(10)
} else {
  const jsm = await jetstreamManager(nc)
  await jsm.streams.add(PLAIN_STREAM)
  await jsm.consumers.add('bench', { durable_name: 'bench', ack_policy: AckPolicy.Explicit })
  const messages = await (await jetstream(nc).consumers.get('bench', 'bench')).consume({ max_messages: 256 })
  const queue = createKeyedQueue(LANES)
  const apply = async (message: JsMsg) => {
    const { id, startedAt } = message.json<MeasuredData>()
    await change(store, seen, id, bucketOf(id))
    message.ack()
    latencies.push(clock() - startedAt)
  }
  void (async () => {
    for await (const message of messages) await queue.add(String(message.seq), () => apply(message))
  })()
}
process.send?.('ready')
