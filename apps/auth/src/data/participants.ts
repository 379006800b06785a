import { collectionOf, defineCollection, type Store, type Tx } from '@skerry/store'

type ParticipantDocument = { _id: string; since: Date }

/** The services that take part in erasures and exports, as they have declared: few. Kept here too, for NATS may lose its own list. */
export const participants = defineCollection<ParticipantDocument>({ name: 'participants', shardKey: null, indexes: [] })

export async function addParticipant(store: Store, service: string, since: Date): Promise<void> {
  await collectionOf(store.db, participants).updateOne({ _id: service }, { $setOnInsert: { since } }, { upsert: true })
}

export async function removeParticipant(store: Store, service: string): Promise<void> {
  await collectionOf(store.db, participants).deleteOne({ _id: service })
}

/** All of them, by name. */
export async function findParticipants(store: Store, tx?: Tx): Promise<string[]> {
  const found = await collectionOf(store.db, participants)
    .find({ _id: { $gte: '' } }, { sort: { _id: 1 }, ...(tx === undefined ? {} : { session: tx.session }) })
    .toArray()
  return found.map((participant) => participant._id)
}
