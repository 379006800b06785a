import { defineEvent } from '@skerry/contracts'
import { collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'
import Type from 'typebox'

/** With outbox and inbox, or straight to JetStream and from it. */
export type Mode = 'safe' | 'plain'

/** What a part is told at its start, as JSON in BENCH_PART. */
export type PartOptions = {
  mode: Mode
  mongo: { url: string; database: string }
  nats: { url: string; user: string; password: string }
}

/** To the producer: write so many more events, `lanes` at once, or one every so many milliseconds. */
export type Order = { events: number; lanes: number } | { events: number; everyMs: number }

/** From the consumer: milliseconds from the beginning of each write to the end of its effect. */
export type Effects = { latencies: number[] }

/** The event of the bench, as large as that of a short post. */
export const Measured = defineEvent({
  subject: 'bench.thing.changed',
  version: 1,
  summary: 'Only for the bench.',
  entity: (d) => d.id,
  data: Type.Object({ id: Type.String(), startedAt: Type.Number(), text: Type.String() })
})

export type MeasuredData = { id: string; startedAt: number; text: string }

/** Whoever comes first makes it. */
export const PLAIN_STREAM = { name: 'bench', subjects: ['bench.>'] }

/** About 300 bytes of payload. */
export const TEXT = 'A post of the length that people write on their phones, which is short. '.repeat(3)

type Thing = { _id: string; bucket: number; changes: number }
const shardKey = { bucket: 1, _id: 1 } as const

/** What producers change and what consumers keep of it: one document an entity. */
export const things = defineCollection<Thing>({ name: 'things', shardKey, indexes: [] })
export const seen = defineCollection<Thing>({ name: 'seen', shardKey, indexes: [] })

/** The same change in both modes; with a transaction it is part of it. */
export async function change(store: Store, of: typeof things, id: string, bucket: number, tx?: Tx): Promise<void> {
  const options = tx === undefined ? { upsert: true } : { upsert: true, session: tx.session }
  await collectionOf(store.db, of).updateOne({ bucket, _id: id }, { $inc: { changes: 1 } }, options)
}

/** Milliseconds of one clock for all processes of the machine. */
export const clock = (): number => performance.timeOrigin + performance.now()
