import { type EventContract, wireSubject } from '@skerry/contracts'
import { collectionOf, type Store } from '@skerry/store'
import { outbox } from '../outbox.ts'

/** Records looked at by one command. */
const WINDOW = 2_000

/**
 * Deletes from the outbox what says something of somebody: records of these events whose payload has one of `texts` (ids, as a rule) in it.
 * One pass over all that the outbox keeps, in order of `seq`, in bounded steps. Name only events that a later one undoes (`created`, `updated`):
 * a stream that is filled again from the outbox then lacks both what was and nothing else.
 *
 * @returns how many went
 */
export async function eraseEvents(
  store: Store,
  events: readonly EventContract[],
  texts: readonly string[]
): Promise<number> {
  const records = collectionOf(store.db, outbox)
  const subjects = new Set(events.map(wireSubject))
  let gone = 0
  const found = records.find(
    {},
    {
      sort: { seq: 1 },
      hint: { seq: 1 },
      batchSize: WINDOW,
      projection: { bucket: 1, subject: 1, payload: 1 },
      comment: 'outbox-erase'
    }
  )
  let batch: { _id: string; bucket: number }[] = []
  const flush = async () => {
    if (batch.length === 0) return
    const { deletedCount } = await records.deleteMany(
      { bucket: { $in: [...new Set(batch.map((r) => r.bucket))] }, _id: { $in: batch.map((r) => r._id) } },
      { hint: { _id: 1 } }
    )
    gone += deletedCount
    batch = []
  }
  for await (const { _id, bucket, subject, payload } of found) {
    if (!subjects.has(subject) || !texts.some((text) => payload.includes(text))) continue
    batch.push({ _id, bucket })
    if (batch.length === WINDOW) await flush()
  }
  await flush()
  return gone
}
