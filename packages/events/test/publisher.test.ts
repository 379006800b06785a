import type { JetStreamClient } from '@nats-io/jetstream'
import { bucketOf, newId, randomBucket } from '@skerry/store'
import { Timestamp } from 'mongodb'
import t from 'tap'
import type { OutboxDocument } from '../src/outbox.ts'
import { createPublisher } from '../src/publisher.ts'

const record = (key: string): OutboxDocument => ({
  ...{ _id: newId(bucketOf(key)), bucket: bucketOf(key), seq: new Timestamp({ t: 0, i: 0 }), at: new Date() },
  ...{ subject: 'content.test.counted.v1', entity: key, orderKey: key, payload: '{}', pending: true }
})

/** A publisher to a server that answers when it is told to. */
function open(replicated = false) {
  const sent: { id: string; answer(outcome: Error | number): void }[] = []
  const marked: string[] = []
  const refusals: unknown[] = []
  const ends = new AbortController()
  const js = {
    publish: (_subject: string, _payload: string, { msgID }: { msgID: string }) =>
      new Promise((resolve, reject) => {
        sent.push({
          id: msgID,
          answer: (outcome) => (typeof outcome === 'number' ? resolve({ seq: outcome }) : reject(outcome))
        })
      })
  } as unknown as JetStreamClient
  const publisher = createPublisher({
    ...{ js, service: 'content', partition: { index: 5, of: 8, token: '.5' }, refill: undefined, replicated },
    fence: { expect: { lastSubjectSequence: 0, lastSubjectSequenceSubject: '' }, release: async () => undefined },
    marks: { add: ({ _id }) => void marked.push(_id), flush: async () => undefined, close: async () => undefined },
    ...{ signal: ends.signal, abandon: ends.signal, refused: (error) => void refusals.push(error) },
    log: { debug() {}, info() {}, warn() {}, error() {} }
  })
  return { publisher, sent, marked, refusals, ends }
}

t.test('many are on their way at once, and one that finds no room is not taken', async (t) => {
  const { publisher, sent, marked, ends } = open()
  const records = Array.from({ length: 33 }, () => record(newId(randomBucket())))
  for (const one of records.slice(0, 32)) t.ok(await publisher.take(one, 0))
  t.notOk(await publisher.take(records[32]!, 0))
  t.notOk(await publisher.take(records[32]!, 5))
  const waiting = publisher.take(records[32]!, 60_000)
  t.equal(sent.length, 32)
  t.notOk(publisher.isThrough())
  sent[3]!.answer(1)
  t.ok(await waiting, 'there is room when one has its acknowledgement')
  t.same(marked, [records[3]!._id])
  t.ok(await publisher.take(records[3]!, 0), 'one that was taken is passed over')
  for (const { answer } of sent) answer(2)
  await publisher.idle()
  t.equal(sent.length, 33)
  t.ok(publisher.isThrough())
  ends.abort()
})

t.test('one at a time to a stream that has replicas', async (t) => {
  const { publisher, sent } = open(true)
  const records = [1, 2].map(() => record(newId(randomBucket())))
  for (const one of records) await publisher.take(one, 0)
  await new Promise((resolve) => setImmediate(resolve))
  t.same(
    sent.map(({ id }) => id),
    [records[0]!._id]
  )
  sent[0]!.answer(1)
  await new Promise((resolve) => setImmediate(resolve))
  t.same(sent.length, 2)
  sent[1]!.answer(2)
  await publisher.idle()
})

t.test('what is given up without an answer leaves a doubt', async (t) => {
  const { publisher, sent, marked, ends } = open()
  await publisher.take(record(newId(randomBucket())), 0)
  t.equal(sent.length, 1)
  ends.abort(new Error('ending'))
  await publisher.idle()
  t.notOk(publisher.isThrough())
  t.same(marked, [])
  t.ok(await publisher.take(record(newId(randomBucket())), 0), 'nobody waits for what has ended')
  t.equal(sent.length, 1)
})
