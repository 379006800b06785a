import { JetStreamApiError, type JetStreamManager } from '@nats-io/jetstream'
import {
  type CollectionDefinition,
  collectionOf,
  generationName,
  leaveRoles,
  plainName,
  renewRoles,
  type Store
} from '@skerry/store'
import { consumerStates } from '../consumer-states.ts'
import { durableOf, partitionsOf, roleOf } from '../partitions.ts'
import { fedGenerations, forgetRetired, type ModelState } from './state.ts'

const HOLD_MS = 30_000
const NOT_FOUND = [10014, 10059]

type Model = {
  store: Store
  jsm: JetStreamManager
  instance: string
  name: string
  streams: readonly string[]
  collections: readonly CollectionDefinition[]
}

/**
 * Drops a retired generation: its durables, what is kept of them, its collections. First it takes the roles of that generation's
 * consumer, so that no instance fills it any more. False when another instance still has one: then it is for a later time.
 */
export async function dropGeneration(model: Model, generation: number): Promise<boolean> {
  const { store, jsm, instance, name, streams, collections } = model
  const consumer = generationName(name, generation)
  const infos = await Promise.all(streams.map((stream) => jsm.streams.info(stream)))
  const parts = infos.flatMap(({ config }) =>
    partitionsOf(config).map((partition) => ({
      stream: config.name,
      partition,
      durable: durableOf(consumer, partition)
    }))
  )
  const wants = parts.map(({ stream, partition }) => roleOf(stream, consumer, partition))
  const member = `drop:${instance}`
  try {
    const { mine } = await renewRoles(store, { member, wants, ttlMs: HOLD_MS })
    if (mine.size < wants.length) return false
    for (const { stream, durable } of parts) {
      await jsm.consumers.delete(stream, durable).catch((error: unknown) => {
        if (!(error instanceof JetStreamApiError) || !NOT_FOUND.includes(error.code)) throw error
      })
      await collectionOf(store.db, consumerStates).deleteOne({ _id: `${stream}:${durable}` })
    }
    for (const { name: declared } of collections) await store.db.dropCollection(generationName(declared, generation))
    await forgetRetired(store, name, generation)
    return true
  } finally {
    await leaveRoles(store, member)
  }
}

/**
 * Drops collections of generations that are neither fed nor to be dropped: somebody who was paused past the lease has made them again. The
 * first generation's are left: every start makes them, empty.
 */
export async function sweep(
  store: Store,
  state: ModelState,
  collections: readonly CollectionDefinition[]
): Promise<string[]> {
  const declared = new Set(collections.map((c) => c.name))
  const known = [...fedGenerations(state), ...state.retired]
  const there = await store.db.listCollections({}, { nameOnly: true }).toArray()
  const stray = there
    .map(({ name }) => ({ name, generation: Number(/--r(\d+)$/.exec(name)?.[1] ?? 1) }))
    // A later number is one that was begun after this state was read.
    .filter(({ name, generation }) => declared.has(plainName(name)) && generation > 1 && generation <= state.last)
    .filter(({ generation }) => !known.includes(generation))
  for (const { name } of stray) await store.db.dropCollection(name)
  return stray.map(({ name }) => name)
}
