import { defineCollection } from '@skerry/store'
import type { Replay } from './operator/replay.ts'

/**
 * How far each consumer has come, should its durable be lost while its stream is not; the last refill it has begun again from; and what it
 * is replaying.
 */
type ConsumerState = { _id: string; created: string; floor: number; refill?: string; replay?: Replay }

export const consumerStates = defineCollection<ConsumerState>({ name: 'consumers', shardKey: null, indexes: [] })
