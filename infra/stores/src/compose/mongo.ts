import { MongoServerError } from 'mongodb'
import type { StoreApp } from '../apps.ts'
import { ensureUsers, REPLICA_SET, retry, withClient } from '../mongod.ts'
import type { Secrets } from '../secrets.ts'

/**
 * Makes a mongod that has nothing but its root user the replica set of one, and makes each app's user, which sees its own database only.
 * May be repeated.
 *
 * @param host where apps and mongod itself find it: `mongo:27017`
 */
export async function prepareMongo(host: string, apps: readonly StoreApp[], secrets: Secrets): Promise<void> {
  const databases = Object.fromEntries(apps.flatMap((a) => (a.database === undefined ? [] : [[a.name, a.database]])))
  const root = `mongodb://root:${secrets.mongoRoot}@${host}/?authSource=admin`
  await retry(() =>
    withClient(`${root}&directConnection=true`, async (client) => {
      try {
        const config = { _id: REPLICA_SET, members: [{ _id: 0, host }] }
        await client.db('admin').command({ replSetInitiate: config })
      } catch (error) {
        if (!(error instanceof MongoServerError) || error.codeName !== 'AlreadyInitialized') throw error
      }
    })
  )
  await withClient(`${root}&replicaSet=${REPLICA_SET}`, (client) => ensureUsers(client, { secrets, databases }))
}
