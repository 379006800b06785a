import { defineCollection } from '@skerry/store'
import type { Replay } from './operator/replay.ts'

type ConsumerState = { _id: string; created: string; floor: number; replay?: Replay }

/** How far each consumer has come, should its durable be lost while its stream is not; and what it is replaying. */
export const consumerStates = defineCollection<ConsumerState>({ name: 'consumers', shardKey: null, indexes: [] })
