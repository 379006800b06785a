import { setTimeout as delay } from 'node:timers/promises'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { wireSubject } from '@skerry/contracts'
import { publish, startRelay } from '@skerry/events'
import { bucketOf, newId, randomBucket, transaction } from '@skerry/store'
import { change, clock, Measured, type Order, PLAIN_STREAM, TEXT, things } from './messages.ts'
import { openPart } from './part.ts'

// Writes, and sees to it that each write's event reaches JetStream: through the outbox and its relay, or by a publish after the write.
const { mode, store, nc, common } = await openPart()
const ids = Array.from({ length: 2_000 }, () => newId(randomBucket()))
const js = jetstream(nc, { timeout: 5_000 })
const subject = wireSubject(Measured)
let next = 0

async function writeOne(): Promise<void> {
  const id = ids[next++ % ids.length]!
  const data = { id, startedAt: clock(), text: TEXT }
  if (mode === 'safe') {
    await transaction(store, {}, async (tx) => {
      await change(store, things, id, bucketOf(id), tx)
      publish(store, tx, Measured, data)
    })
  } else {
    await change(store, things, id, bucketOf(id))
    await js.publish(subject, JSON.stringify(data))
  }
}

async function follow(order: Order): Promise<void> {
  if ('lanes' in order) {
    let left = order.events
    const lane = async () => {
      while (left-- > 0) await writeOne()
    }
    await Promise.all(Array.from({ length: order.lanes }, lane))
    return
  }
  const writes: Promise<void>[] = []
  const begun = clock()
  for (let i = 0; i < order.events; i++) {
    await delay(Math.max(0, begun + i * order.everyMs - clock()))
    writes.push(writeOne())
  }
  await Promise.all(writes)
}

if (mode === 'safe') {
  const relay = startRelay(common)
  while (!relay.owner()) await delay(10)
} else {
  const jsm = await jetstreamManager(nc)
  await jsm.streams.add(PLAIN_STREAM)
}
process.on('message', (order: Order) => void follow(order))
process.send?.('ready')
