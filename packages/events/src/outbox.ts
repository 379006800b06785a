import { type DataOf, type EventContract, wireSubject } from '@skerry/contracts'
import { bucketOf, collectionOf, defineCollection, newId, type Store, type Tx } from '@skerry/store'
import { Timestamp } from 'mongodb'
import { validatorOf } from './validate.ts'

/** An event between its commit and the end of its retention. */
export type OutboxDocument = {
  _id: string
  bucket: number
  /** Set by the server when the record is written: the order of commits within an entity (see docs/events.md). */
  seq: Timestamp
  subject: string
  entity: string
  payload: string
  traceparent?: string
  at: Date
  /** Present until JetStream has acknowledged the event. */
  pending?: true
  publishedAt?: Date
}

/** How long published events stay, so that a lost stream can be rebuilt: 7 days, in seconds. */
export const OUTBOX_RETENTION_S = 7 * 24 * 3600

export const outbox = defineCollection<OutboxDocument>({
  name: 'outbox',
  shardKey: { bucket: 1, _id: 1 },
  indexes: [
    { key: { pending: 1, seq: 1 }, options: { partialFilterExpression: { pending: true } } },
    { key: { seq: 1 } },
    { key: { publishedAt: 1, _id: 1 }, options: { sparse: true } }
  ],
  untargeted: {
    'relay-pending': 'The relay reads what is pending on every shard when it starts.',
    'relay-rebuild': 'A lost stream is filled again from every shard.',
    'outbox-erase': 'What says something of an erased user is looked for on every shard.',
    'clean-up': 'One instance looks on every shard for what is old.'
  }
})

/**
 * Records an event in the write's own transaction: if that commits, the event will be published, at least once, in commit order of its
 * entity; if it doesn't, nobody ever sees it. The payload is validated here, so that a wrong one fails the write.
 */
export function publish<E extends EventContract>(store: Store, tx: Tx, event: E, data: DataOf<E>): void {
  const problem = validatorOf(event)(data)
  if (problem !== undefined) throw new Error(`${wireSubject(event)} does not fit its contract: ${problem}`)
  const entity = event.entity(data)
  const bucket = bucketOf(entity)
  tx.beforeCommit(async () => {
    await collectionOf(store.db, outbox).insertOne(
      {
        _id: newId(bucket),
        bucket,
        seq: new Timestamp({ t: 0, i: 0 }),
        subject: wireSubject(event),
        entity,
        payload: JSON.stringify(data),
        ...(tx.traceparent === undefined ? {} : { traceparent: tx.traceparent }),
        at: new Date(),
        pending: true
      },
      { session: tx.session }
    )
  })
}
