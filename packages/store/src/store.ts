import { type Db, MongoClient, type MongoClientOptions } from 'mongodb'
import { type CollectionDefinition, ensureCollections } from './collection.ts'
import { type QueryMonitor, watchQueries } from './monitor.ts'

/** An open database of one service. */
export type Store = {
  readonly client: MongoClient
  readonly db: Db
  /** Throws when the primary does not answer within a second: the readiness check. */
  ping(): Promise<void>
  /** Ends the connection. With `checkQueries` it rejects when a query broke the rules, and lists them. */
  close(): Promise<void>
}

export type StoreOptions = {
  /** `mongodb://user:password@host:port/?replicaSet=…` */
  url: string
  database: string
  /** Every collection the service owns: made, indexed and sharded before this resolves. */
  collections: readonly CollectionDefinition[]
  /** Connections at most. */
  poolSize?: number
  /** Tests: fail queries that miss the shard key or an index. */
  checkQueries?: boolean
  appName?: string
}

/** What an acknowledged write means everywhere: journaled by a majority, or an error within the bound. */
export const DURABLE = { w: 'majority', j: true, wtimeoutMS: 5_000 } as const

/** The one set of connection settings: majority and journaled writes, and a bound on every wait. */
export function clientOptions(
  options: Pick<StoreOptions, 'poolSize' | 'checkQueries' | 'appName'>
): MongoClientOptions {
  return {
    appName: options.appName ?? 'skerry',
    maxPoolSize: options.poolSize ?? 50,
    minPoolSize: 2,
    // A pool that grows from cold two by two keeps a burst waiting.
    maxConnecting: 8,
    maxIdleTimeMS: 60_000,
    waitQueueTimeoutMS: 5_000,
    serverSelectionTimeoutMS: 3_000,
    connectTimeoutMS: 2_000,
    // The bound on every operation, since a server that hangs answers nothing. Change streams and scans wait in shorter steps.
    socketTimeoutMS: 10_000,
    writeConcern: DURABLE,
    readConcern: { level: 'majority' },
    retryReads: true,
    retryWrites: true,
    monitorCommands: options.checkQueries ?? false,
    ignoreUndefined: true
  }
}

/** Connects, makes sure of collections and indexes, and resolves with a store that is ready to serve. */
export async function openStore(options: StoreOptions): Promise<Store> {
  const client = new MongoClient(options.url, clientOptions(options))
  let monitor: QueryMonitor | undefined
  try {
    await client.connect()
    const db = client.db(options.database)
    await ensureCollections(db, options.collections)
    if (options.checkQueries) monitor = watchQueries(client, db, options.collections)
    return {
      client,
      db,
      async ping() {
        await db.command({ ping: 1 }, { signal: AbortSignal.timeout(1_000) })
      },
      async close() {
        const violations = (await monitor?.settle()) ?? []
        await client.close()
        if (violations.length > 0)
          throw new Error(`queries that break the rules of the store:\n${violations.join('\n')}`)
      }
    }
  } catch (error) {
    await client.close()
    throw error
  }
}
