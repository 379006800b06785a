import { eventCollections } from '@skerry/events'
import { newId, openStore, randomBucket, type Store, type Tx, transaction } from '@skerry/store'
import { useStores } from '@skerry/testing'
import { conduitCollections } from '../../src/data/collections.ts'

type Tap = { teardown(work: () => Promise<void>): unknown }

/** A database of conduit's whose queries are watched: one without its shard key or an index fails the tests. */
export async function openModel(t: Tap): Promise<Store> {
  return (await openWatched(t)).store
}

/** The same, and a look at all that is in it: each document as text behind the name of its collection, past the watch. */
export async function openWatched(t: Tap): Promise<{ store: Store; all(): Promise<string[]> }> {
  const stores = await useStores(t)
  const { MONGO_URL, MONGO_DATABASE } = stores.envFor('conduit') as { MONGO_URL: string; MONGO_DATABASE: string }
  const store = await openStore({
    url: MONGO_URL,
    database: MONGO_DATABASE,
    collections: [...conduitCollections, ...eventCollections],
    checkQueries: true
  })
  const reader = await openStore({ url: MONGO_URL, database: MONGO_DATABASE, collections: [] })
  t.teardown(async () => {
    await reader.close()
    await store.close()
  })
  const all = async () => {
    const texts: string[] = []
    for (const { name } of await reader.db.listCollections({}, { nameOnly: true }).toArray())
      for (const found of await reader.db.collection(name).find().toArray())
        texts.push(`${name} ${JSON.stringify(found)}`)
    return texts
  }
  return { store, all }
}

/** One database as several instances have it, each by connections of its own. */
export async function openInstances(t: Tap, count: number): Promise<Store[]> {
  const stores = await useStores(t)
  const database = stores.database('conduit')
  const collections = [...conduitCollections, ...eventCollections]
  const opened: Store[] = []
  t.teardown(async () => {
    for (const store of opened) await store.close()
  })
  for (let i = 0; i < count; i++)
    opened.push(await openStore({ url: stores.mongoUrl, database, collections, checkQueries: true }))
  return opened
}

/** The bounds that config would give. */
export const LIMITS = {
  TOKEN_TTL_S: 3600,
  PAGE_MAX: 100,
  OFFSET_MAX: 10_000,
  COUNT_MAX: 10_000,
  FEED_AUTHORS: 1_000,
  FAVORITES_LISTED: 5_000,
  TAGS_FROM: 1_000,
  TAGS_LISTED: 50,
  COMMENTS_LISTED: 500
}

export const newUser = (): string => newId(randomBucket())

export const inTx = <T>(store: Store, work: (tx: Tx) => Promise<T>): Promise<T> => transaction(store, {}, work)

/** All orders of a few things. */
export function orders<T>(things: readonly T[]): T[][] {
  if (things.length < 2) return [[...things]]
  return things.flatMap((first, i) => orders(things.toSpliced(i, 1)).map((rest) => [first, ...rest]))
}
