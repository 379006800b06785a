import type { ConsumerInfo, JetStreamManager, StreamInfo } from '@nats-io/jetstream'
import { collectionOf, type Store } from '@skerry/store'
import { consumerStates, type Replay } from '../consumer-states.ts'
import { durableOf, type Partition } from '../partitions.ts'
import { finishOperation, finishPart, pendingOperations } from './operations.ts'

/** Under which name the inbox knows what a replay applies. */
export const replayKey = (consumer: string, replay: Replay) => `${consumer}~${replay.operation}`

type Consumer = { store: Store; jsm: JetStreamManager; consumer: string; partition: Partition; stream: StreamInfo }

const keyOf = (stream: string, consumer: string, partition: Partition) => ({
  _id: `${stream}:${durableOf(consumer, partition)}`
})

/**
 * The replay that this stretch is to work on: one that was begun, else the oldest that was asked for, which then begins. A replay of a
 * stream that was replaced meanwhile ends here, since its sequences are another stream's.
 */
export async function currentReplay({ store, consumer, partition, stream }: Consumer): Promise<Replay | undefined> {
  const states = collectionOf(store.db, consumerStates)
  const name = stream.config.name
  const key = keyOf(name, consumer, partition)
  const state = await states.findOne(key)
  if (state?.replay !== undefined) {
    if (state.created === stream.created) return state.replay
    await endReplay({ store, consumer, partition }, name, state.replay, {
      state: 'failed',
      outcome: 'the stream was replaced during the replay'
    })
  }
  const pending = await pendingOperations(store, consumer)
  const asked = pending.find(
    (o) => o.kind === 'replay' && o.request.stream === name && !o.parts?.includes(partition.index)
  )
  if (asked === undefined) return undefined
  const replay: Replay = {
    operation: asked._id,
    from: asked.request.from as number,
    until: stream.state.last_seq,
    rewound: false
  }
  await states.updateOne(
    key,
    { $set: { created: stream.created, replay }, $setOnInsert: { floor: 0 } },
    { upsert: true }
  )
  return replay
}

/**
 * Has JetStream deliver from the replay's first sequence, once; later stretches begin at the acknowledged floor, as always.
 *
 * @param floor where the durable stands: it is not set forward over what it has not had
 */
export async function rewind(
  { store, jsm, consumer, partition, stream }: Consumer,
  replay: Replay,
  floor: number
): Promise<ConsumerInfo> {
  const name = stream.config.name
  const from = Math.min(replay.from, floor + 1)
  const info = await jsm.consumers.reset(name, durableOf(consumer, partition), from)
  await collectionOf(store.db, consumerStates).updateOne(keyOf(name, consumer, partition), {
    $set: { 'replay.rewound': true, floor: from - 1 }
  })
  replay.rewound = true
  return info
}

/** Whether all of a replay's range has been acknowledged. */
export function isReplayed(replay: Replay, info: ConsumerInfo): boolean {
  return info.ack_floor.stream_seq >= replay.until || info.num_pending + info.num_ack_pending === 0
}

/** Ends the replay of a partition; the operation is done when it was done in all of them, and has failed when it failed in one. */
export async function endReplay(
  { store, consumer, partition }: Pick<Consumer, 'store' | 'consumer' | 'partition'>,
  stream: string,
  replay: Replay,
  end: { state: 'done' | 'failed'; outcome: string }
): Promise<void> {
  // First the operation: an end in between finds the replay again, and ends it again.
  if (end.state === 'failed') await finishOperation(store, replay.operation, end)
  else await finishPart(store, replay.operation, partition, end.outcome)
  await collectionOf(store.db, consumerStates).updateOne(
    { ...keyOf(stream, consumer, partition), 'replay.operation': replay.operation },
    { $unset: { replay: 1 } }
  )
}
