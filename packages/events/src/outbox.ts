import { type DataOf, type EventContract, orderKeyOf, wireSubject } from '@skerry/contracts'
import { bucketOf, collectionOf, defineCollection, newId, type Store, type Tx } from '@skerry/store'
import { Timestamp } from 'mongodb'
import { validatorOf } from './validate.ts'

/** An event between its commit and the end of its retention. */
export type OutboxDocument = {
  _id: string
  /** Of the key, so that one shard stamps all records of a key. */
  bucket: number
  /** Set by the server when the record is written: the order of commits within a key (see docs/events.md). */
  seq: Timestamp
  subject: string
  entity: string
  /** In whose order it is published; absent from records of a release before order keys, whose bucket is that of the entity. */
  orderKey?: string
  payload: string
  traceparent?: string
  at: Date
  /** Present until JetStream has acknowledged the event. */
  pending?: true
  /** When JetStream first acknowledged it. */
  publishedAt?: Date
  /** The last filling of a lost stream that made it pending: whoever marks it says of which one it knew it. */
  fill?: string
}

/** How long published events stay, so that a lost stream can be rebuilt: 7 days, in seconds. */
export const OUTBOX_RETENTION_S = 7 * 24 * 3600

/** NATS takes a mebibyte with headers (`max_payload`); a dead letter adds some. A larger event could never leave the outbox. */
const MAX_PAYLOAD_BYTES = 1_000_000

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
 * key; if it doesn't, nobody ever sees it. The payload is validated here, so that a wrong one fails the write.
 */
export function publish<E extends EventContract>(store: Store, tx: Tx, event: E, data: DataOf<E>): void {
  record(store, tx, event, data)
}

/**
 * Records one fact in two versions of an event, during the window in which consumers move from the older one to the newer. Their ids say
 * that they are one fact (`factOf`), so a consumer that handles both applies one of them. Throws when they are not two versions of one
 * subject, older first, about the same entity and in the same order.
 */
export function publishBoth<A extends EventContract, B extends EventContract>(
  store: Store,
  tx: Tx,
  [older, olderData]: readonly [event: A, data: DataOf<A>],
  [newer, newerData]: readonly [event: B, data: DataOf<B>]
): void {
  const names = `${wireSubject(older)} and ${wireSubject(newer)}`
  if (older.subject !== newer.subject || older.version >= newer.version)
    throw new Error(`${names} are not an older and a newer version of one event`)
  const entity = older.entity(olderData)
  if (entity !== newer.entity(newerData)) throw new Error(`${names} are not about the same entity`)
  const orderKey = orderKeyOf(older, olderData)
  if (orderKey !== orderKeyOf(newer, newerData)) throw new Error(`${names} are not ordered by the same key`)
  const id = newId(bucketOf(orderKey))
  record(store, tx, older, olderData, id)
  record(store, tx, newer, newerData, `${id}${COPY}${newer.version}`)
}

const COPY = '~'

/** What an event's id says of the fact: versions that `publishBoth` published of one share it. */
export function factOf(eventId: string): string {
  const end = eventId.indexOf(COPY)
  return end === -1 ? eventId : eventId.slice(0, end)
}

/** Why `publish` would refuse a payload; undefined: it would not. */
export function problemOf<E extends EventContract>(event: E, data: DataOf<E>): string | undefined {
  return checked(event, data).problem
}

function checked<E extends EventContract>(event: E, data: DataOf<E>): { problem?: string; payload: string } {
  const misfit = validatorOf(event)(data)
  if (misfit !== undefined)
    return { problem: `${wireSubject(event)} does not fit its contract: ${misfit}`, payload: '' }
  const payload = JSON.stringify(data)
  const bytes = Buffer.byteLength(payload)
  if (bytes <= MAX_PAYLOAD_BYTES) return { payload }
  return { problem: `${wireSubject(event)} has ${bytes} bytes, and ${MAX_PAYLOAD_BYTES} are allowed`, payload }
}

function record<E extends EventContract>(store: Store, tx: Tx, event: E, data: DataOf<E>, id?: string): void {
  const { problem, payload } = checked(event, data)
  if (problem !== undefined) throw new Error(problem)
  const entity = event.entity(data)
  const orderKey = orderKeyOf(event, data)
  const bucket = bucketOf(orderKey)
  tx.beforeCommit(async () => {
    await collectionOf(store.db, outbox).insertOne(
      {
        _id: id ?? newId(bucket),
        bucket,
        seq: new Timestamp({ t: 0, i: 0 }),
        subject: wireSubject(event),
        entity,
        orderKey,
        payload,
        ...(tx.traceparent === undefined ? {} : { traceparent: tx.traceparent }),
        at: new Date(),
        pending: true
      },
      { session: tx.session }
    )
  })
}
