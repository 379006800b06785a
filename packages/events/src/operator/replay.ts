import type { ConsumerInfo, JetStreamManager, StreamInfo } from '@nats-io/jetstream'
import { collectionOf, type Store } from '@skerry/store'
import { consumerStates } from '../consumer-states.ts'
import { finishOperation, pendingOperations } from './operations.ts'

/** A replay of a consumer on a stream, kept beside its floor until it has ended. */
export type Replay = {
  /** The operation's id. */
  operation: string
  from: number
  /** The last sequence of the stream when the replay began. */
  until: number
  /** JetStream was told to deliver from `from`. Before that a start tells it again. */
  rewound: boolean
}

/** Under which name the inbox knows what a replay applies. */
export const replayKey = (durable: string, replay: Replay) => `${durable}~${replay.operation}`

type Consumer = { store: Store; jsm: JetStreamManager; durable: string; stream: StreamInfo }

/**
 * The replay that this stretch is to work on: one that was begun, else the oldest that was asked for, which then begins. A replay of a
 * stream that was replaced meanwhile ends here, since its sequences are another stream's.
 */
export async function currentReplay({ store, durable, stream }: Consumer): Promise<Replay | undefined> {
  const states = collectionOf(store.db, consumerStates)
  const name = stream.config.name
  const _id = `${name}:${durable}`
  const state = await states.findOne({ _id })
  if (state?.replay !== undefined) {
    if (state.created === stream.created) return state.replay
    await endReplay(store, durable, name, state.replay, {
      state: 'failed',
      outcome: 'the stream was replaced during the replay'
    })
  }
  const pending = await pendingOperations(store, durable)
  const asked = pending.find((o) => o.kind === 'replay' && o.request.stream === name)
  if (asked === undefined) return undefined
  const replay: Replay = {
    operation: asked._id,
    from: asked.request.from as number,
    until: stream.state.last_seq,
    rewound: false
  }
  await states.updateOne(
    { _id },
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
  { store, jsm, durable, stream }: Consumer,
  replay: Replay,
  floor: number
): Promise<ConsumerInfo> {
  const name = stream.config.name
  const from = Math.min(replay.from, floor + 1)
  const info = await jsm.consumers.reset(name, durable, from)
  await collectionOf(store.db, consumerStates).updateOne(
    { _id: `${name}:${durable}` },
    { $set: { 'replay.rewound': true, floor: from - 1 } }
  )
  replay.rewound = true
  return info
}

/** Whether all of a replay's range has been acknowledged. */
export function isReplayed(replay: Replay, info: ConsumerInfo): boolean {
  return info.ack_floor.stream_seq >= replay.until || info.num_pending + info.num_ack_pending === 0
}

export async function endReplay(
  store: Store,
  durable: string,
  stream: string,
  replay: Replay,
  end: { state: 'done' | 'failed'; outcome: string }
): Promise<void> {
  // First the operation: an end in between finds the replay again, and ends it again.
  await finishOperation(store, replay.operation, end)
  await collectionOf(store.db, consumerStates).updateOne(
    { _id: `${stream}:${durable}`, 'replay.operation': replay.operation },
    { $unset: { replay: 1 } }
  )
}
