import { collectionOf, readRoles, type Store } from '@skerry/store'
import { outbox } from '../outbox.ts'
import type { OutboxStatus } from './protocol.ts'

/** Pending events are counted no further. */
const COUNTED = 100_000

/** How many events of a service wait for JetStream, since when the oldest does, and which instances relay them. */
export async function outboxStatus(store: Store, service: string): Promise<OutboxStatus> {
  const records = collectionOf(store.db, outbox)
  const pending = { pending: true } as const
  const hint = { pending: 1, seq: 1 } as const
  const [count, oldest, { owners }] = await Promise.all([
    records.countDocuments(pending, { limit: COUNTED, comment: 'relay-pending', hint }),
    records.findOne(pending, { sort: { seq: 1 }, projection: { at: 1 }, comment: 'relay-pending', hint }),
    readRoles(store)
  ])
  const relays = [...owners].flatMap(([role, owner]) => (role.startsWith(`relay:${service}:`) ? [owner] : []))
  const owner = relays.length === 0 ? null : [...new Set(relays)].sort().join(',')
  return { pending: count, oldest: oldest?.at.toISOString() ?? null, owner }
}
