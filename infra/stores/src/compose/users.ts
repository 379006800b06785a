import { join } from 'node:path'
import { loadSecrets } from '../secrets.ts'
import { CONFIG, composeApps } from './apps.ts'
import { prepareMongo } from './mongo.ts'

// Runs once when mongod answers, before the apps start.
const apps = composeApps()
const names = apps.map((a) => a.name)
await prepareMongo('mongo:27017', apps, await loadSecrets(join(CONFIG, 'secrets'), names))
process.stdout.write(`MongoDB has the users of ${names.join(' ')}\n`)
