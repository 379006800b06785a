import { JetStreamApiError, type JetStreamClient, type JetStreamManager } from '@nats-io/jetstream'
import { collectionOf, newId, randomBucket, readRoles, type Store } from '@skerry/store'
import { type Partition, relayRoleOf } from './partitions.ts'
import { streamStates } from './streams.ts'

/** What a stretch of relaying to a partition publishes with: JetStream refuses what comes after another one has taken it. */
export type Fence = {
  /** What each message of the stretch is to expect: that this is still the partition's last mark. */
  readonly expect: { lastSubjectSequence: number; lastSubjectSequenceSubject: string }
  /** Says that nothing of this stretch is on its way any more: the next one needs no mark. */
  release(): Promise<void>
}

export type FenceOptions = {
  store: Store
  jsm: JetStreamManager
  js: JetStreamClient
  service: string
  instance: string
  /** When the stream was made. */
  created: string
  partition: Partition
}

const WRONG_LAST_SEQUENCE = 10071

/** The fence was not to be had: the role is another's by now, or another one takes the fence at this moment. */
class NotOurs extends Error {}

/** Under which subject the marks of a partition lie in the stream, each the beginning of a stretch that could not rely on the one before. */
export const markSubjectOf = (service: string, { index }: Partition) => `${service}.relay.${index}`

/** Whether JetStream has refused a message since the fence is another's. */
export function isRefused(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE
}

/**
 * Takes a partition over. Where the stretch before it has ended in order nothing of it can come any more, and its mark serves on. Where it has
 * not, its owner may be paused with something on its way: a new mark in the stream makes JetStream refuse that.
 *
 * What is known of the partition is read before the look at who has the role, and changed only where it is still so: whoever had lost the role
 * when its successor took the fence cannot take it back.
 */
export async function takeFence(options: FenceOptions): Promise<Fence> {
  const { store, jsm, js, service, instance, created, partition } = options
  const subject = markSubjectOf(service, partition)
  const states = collectionOf(store.db, streamStates)
  const stretch = newId(randomBucket())
  const here = { _id: service, created }
  const key = `relays.${partition.index}`
  const before = (await states.findOne(here))?.relays?.[partition.index]
  let mark = (await jsm.streams.getMessage(service, { last_by_subj: subject }))?.seq ?? 0
  await assertOurs(options)
  const taken = await states.updateOne({ ...here, [key]: before ?? { $exists: false } }, { $set: { [key]: stretch } })
  if (taken.matchedCount === 0) throw new NotOurs('another one takes the partition over')
  if (before !== undefined) {
    const expect = { streamName: service, lastSubjectSequence: mark }
    mark = (await js.publish(subject, JSON.stringify({ instance, stretch }), { expect, timeout: 5_000 })).seq
  }
  return {
    expect: { lastSubjectSequence: mark, lastSubjectSequenceSubject: subject },
    async release() {
      await states.updateOne({ ...here, [key]: stretch }, { $unset: { [key]: 1 } })
    }
  }
}

async function assertOurs({ store, service, instance, partition }: FenceOptions): Promise<void> {
  const owner = (await readRoles(store)).owners.get(relayRoleOf(service, partition))
  if (owner !== instance)
    throw new NotOurs(`the role is ${owner === undefined ? "nobody's" : `that of ${owner}`} by now`)
}
