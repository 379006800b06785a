import { bucketOf, collectionOf, newId, randomBucket } from '@skerry/store'
import { useStores, waitFor } from '@skerry/testing'
import { Timestamp } from 'mongodb'
import t from 'tap'
import { startRelay } from '../src/index.ts'
import { outbox } from '../src/outbox.ts'
import { openService } from './fixtures/service.ts'

const stores = await useStores(t)

/** One start is lucky now and then. */
const STARTS = 5
const WRITERS = 8

t.test(
  'what commits while a relay starts is published by it, also what a majority has only a moment later',
  async (t) => {
    const { store, common } = await openService(t, stores, 'starting')
    const records = collectionOf(store.db, outbox)
    const pending = () => records.countDocuments({ pending: true }, { comment: 'relay-pending' })
    const id = newId(randomBucket())
    const record = {
      bucket: bucketOf(id),
      entity: id,
      subject: 'content.test.counted.v1',
      payload: '{}',
      pending: true
    } as const
    for (let start = 0; start < STARTS; start++) {
      let writing = true
      // Nobody waits for a majority to have these, so that its view is behind the newest.
      const writers = Array.from({ length: WRITERS }, async () => {
        while (writing) {
          const stamps = { _id: newId(bucketOf(id)), seq: new Timestamp({ t: 0, i: 0 }), at: new Date() }
          await records.insertOne({ ...record, ...stamps }, { writeConcern: { w: 1, j: false } })
        }
      })
      const relay = startRelay(common)
      await waitFor(() => relay.owner())
      writing = false
      await Promise.all(writers)
      await waitFor(async () => (await pending()) === 0, { timeoutMs: 30_000, message: 'all are published' })
      await relay.stop()
    }
  }
)
