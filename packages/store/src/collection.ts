import type { Collection, CreateIndexesOptions, Db, Document, IndexSpecification } from 'mongodb'
import { boundedCollection } from './bounded.ts'

export type IndexDefinition = { key: Record<string, 1 | -1>; options?: CreateIndexesOptions }

/**
 * A collection with all that its queries rely on, declared beside its repository.
 *
 * - `shardKey`: what every query must carry, so that it goes to one shard. `null`: small and unsharded (leases).
 * - `untargeted`: the queries that may go to all shards, each with the reason; such a query names itself in its `comment`.
 */
export type CollectionDefinition<T extends Document = Document> = {
  readonly name: string
  readonly shardKey: Readonly<Record<string, 1 | 'hashed'>> | null
  readonly indexes: readonly IndexDefinition[]
  readonly untargeted?: Readonly<Record<string, string>>
  readonly document?: T
}

/** Declares a collection; `T` is the stored document. */
export function defineCollection<T extends Document>(definition: CollectionDefinition<T>): CollectionDefinition<T> {
  return definition
}

/** The driver's collection of a definition, typed; what runs under a deadline ends with it (`boundedCollection`). */
export function collectionOf<T extends Document>(db: Db, definition: CollectionDefinition<T>): Collection<T> {
  return boundedCollection<T>(db, definition.name)
}

/**
 * Makes collections, indexes and, on a sharded cluster, shard keys. Safe to run at every start and by several instances at once.
 * A first write inside a transaction may not create a collection's indexes, so this runs before anything is served.
 */
export async function ensureCollections(db: Db, definitions: readonly CollectionDefinition[]): Promise<void> {
  const hello = await db.admin().command({ hello: 1 })
  const sharded = hello.msg === 'isdbgrid'
  const existing = new Set((await db.listCollections({}, { nameOnly: true }).toArray()).map((c) => c.name))
  await Promise.all(
    definitions.map(async (definition) => {
      if (!existing.has(definition.name)) await createCollection(db, definition.name)
      const collection = db.collection(definition.name)
      for (const { key, options } of definition.indexes)
        await collection.createIndex(key as IndexSpecification, options ?? {})
      if (!sharded || definition.shardKey === null) return
      const { bucket, ...rest } = definition.shardKey
      // Sharding an already sharded collection with the same key is accepted as done.
      await db.admin().command({
        shardCollection: `${db.databaseName}.${definition.name}`,
        key: bucket === undefined ? rest : { bucket, ...rest }
      })
    })
  )
}

async function createCollection(db: Db, name: string): Promise<void> {
  try {
    await db.createCollection(name)
  } catch (error) {
    // Another instance was quicker.
    if ((error as { codeName?: string }).codeName !== 'NamespaceExists') throw error
  }
}
