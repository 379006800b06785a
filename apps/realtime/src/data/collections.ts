import type { CollectionDefinition } from '@skerry/store'
import { erased } from './erased.ts'
import { followers } from './followers.ts'
import { notifications } from './notifications.ts'
import { subscribers } from './subscribers.ts'

/** Everything realtime stores beside its events. */
export const realtimeCollections: readonly CollectionDefinition[] = [erased, followers, subscribers, notifications]
