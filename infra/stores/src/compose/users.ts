import { join } from 'node:path'
import { MongoServerError } from 'mongodb'
import { ensureUsers, REPLICA_SET, retry, withClient } from '../mongod.ts'
import { loadSecrets } from '../secrets.ts'
import { CONFIG, composeApps } from './apps.ts'
import { composeMongoUrl } from './config.ts'

// Runs once when mongod answers: the replica set of one, and a user for each app that sees its own database only.
const apps = composeApps()
const secrets = await loadSecrets(
  join(CONFIG, 'secrets'),
  apps.map((a) => a.name)
)
const databases = Object.fromEntries(apps.flatMap((a) => (a.database === undefined ? [] : [[a.name, a.database]])))
const direct = `mongodb://root:${secrets.mongoRoot}@mongo:27017/?directConnection=true&authSource=admin`
await retry(() =>
  withClient(direct, async (client) => {
    try {
      const config = { _id: REPLICA_SET, members: [{ _id: 0, host: 'mongo:27017' }] }
      await client.db('admin').command({ replSetInitiate: config })
    } catch (error) {
      if (!(error instanceof MongoServerError) || error.codeName !== 'AlreadyInitialized') throw error
    }
  })
)
await withClient(composeMongoUrl('root', secrets.mongoRoot), (client) => ensureUsers(client, { secrets, databases }))
process.stdout.write(`MongoDB has the users ${Object.keys(databases).join(' ')}\n`)
