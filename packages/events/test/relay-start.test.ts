import { type JetStreamManager, jetstream } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { bucketOf, collectionOf, newId, randomBucket } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import { Timestamp } from 'mongodb'
import t from 'tap'
import { fromHeaders } from '../src/headers.ts'
import { startRelay } from '../src/index.ts'
import { outbox } from '../src/outbox.ts'
import { runOwned } from '../src/owner.ts'
import { ensureStreams, streamStates } from '../src/streams.ts'
import { openService } from './fixtures/service.ts'

const stores = await useStores(t)

/** One start is lucky now and then. */
const STARTS = 5
const WRITERS = 8
const TYPE = 'content.test.counted.v1'
const SUBJECT = `${TYPE}.0`

t.test(
  'what commits while a relay starts is published by it, in order, also what a majority has only a moment later',
  async (t) => {
    const { store, common, nc, jsm } = await openService(t, stores, 'starting')
    const records = collectionOf(store.db, outbox)
    const pending = () => records.countDocuments({ pending: true }, { comment: 'relay-pending' })
    const entities = Array.from({ length: WRITERS }, () => ({
      entity: newId(randomBucket()),
      committed: [] as string[]
    }))
    for (let start = 0; start < STARTS; start++) {
      let writing = true
      // Nobody waits for a majority to have these, so that its view is behind the newest. Each entity has one writer.
      const writers = entities.map(async ({ entity, committed }) => {
        const bucket = bucketOf(entity)
        while (writing) {
          const _id = newId(bucket)
          const stamps = { seq: new Timestamp({ t: 0, i: 0 }), at: new Date() }
          const rest = { orderKey: entity, subject: TYPE, payload: '{}', pending: true } as const
          await records.insertOne({ _id, bucket, entity, ...rest, ...stamps }, { writeConcern: { w: 1, j: false } })
          committed.push(_id)
        }
      })
      const relay = startRelay(common)
      await waitFor(() => relay.owner())
      writing = false
      await Promise.all(writers)
      await waitFor(async () => (await pending()) === 0, { message: 'all are published' })
      await relay.stop()
    }
    const published = await publishedIn(nc, jsm)
    for (const { entity, committed } of entities) t.same(published.get(entity), committed)
  }
)

t.test('a relay that waits until its stream is whole ends when it is told to', async (t) => {
  const { store, common, nc, jsm } = await openService(t, stores, 'stopping')
  await ensureStreams(store, jsm, 'content', 8)
  // Found to be another than it was, and whoever is to make that good does not come to it.
  await collectionOf(store.db, streamStates).updateOne({ _id: 'content' }, { $set: { created: 'then' } })
  const busy = runOwned({
    ...{ store, log: common.log, instance: 'busy', name: 'relay:content' },
    work: (signal, working) =>
      new Promise((resolve) => {
        working()
        signal.addEventListener('abort', () => resolve())
      })
  })
  t.teardown(() => busy.stop())
  await waitFor(() => busy.owner())
  const looks = countLooks(nc)
  const relay = startRelay(common)
  await waitFor(() => looks() > 5, { message: 'it waits for the stream' })
  t.notOk(relay.owner())
  let ended = false
  const ending = relay.stop().then(() => {
    ended = true
  })
  await waitFor(() => ended, { message: 'it ends' }).finally(async () => {
    await collectionOf(store.db, streamStates).deleteOne({ _id: 'content' })
    await ensureStreams(store, jsm, 'content', 8)
    await ending
  })
  t.ok(ended)
})

/** The ids of all events in the stream by their entity, as they stand there. */
async function publishedIn(nc: NatsConnection, jsm: JetStreamManager): Promise<Map<string, string[]>> {
  const byEntity = new Map<string, string[]>()
  const { state } = await jsm.streams.info('content', { subjects_filter: SUBJECT })
  let left = state.subjects?.[SUBJECT] ?? 0
  if (left === 0) return byEntity
  const consumer = await jetstream(nc).consumers.get('content', { filter_subjects: [SUBJECT] })
  for await (const message of await consumer.consume()) {
    const { entity, id } = fromHeaders(message.subject, message.headers) ?? {}
    byEntity.set(String(entity), [...(byEntity.get(String(entity)) ?? []), String(id)])
    if (--left === 0) break
  }
  return byEntity
}

/** How often the stream was looked at. */
function countLooks(nc: NatsConnection): () => number {
  const { protocol } = nc as unknown as { protocol: { publish(subject: string, ...rest: unknown[]): void } }
  const plain = protocol.publish.bind(protocol)
  let looks = 0
  protocol.publish = (subject, ...rest) => {
    if (subject === '$JS.API.STREAM.INFO.content') looks++
    plain(subject, ...rest)
  }
  return () => looks
}
