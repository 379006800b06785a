import { defineCollection } from '@skerry/store'

/** A replay of a partition of a consumer's stream, kept beside its floor until it has ended. */
export type Replay = {
  /** The operation's id. */
  operation: string
  from: number
  /** The last sequence of the stream when the replay began. */
  until: number
  /** JetStream was told to deliver from `from`. Before that a start tells it again. */
  rewound: boolean
}

/**
 * How far each consumer has come, should its durable be lost while its stream is not; the last refill it has begun again from; and what it
 * is replaying.
 */
type ConsumerState = {
  /** `<stream>:<durable>` */
  _id: string
  created: string
  floor: number
  refill?: string
  replay?: Replay
}

export const consumerStates = defineCollection<ConsumerState>({ name: 'consumers', shardKey: null, indexes: [] })
