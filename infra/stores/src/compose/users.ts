import { join } from 'node:path'
import { findApps } from '../apps.ts'
import { loadSecrets } from '../secrets.ts'
import { prepareMongo } from './mongo.ts'
import { APPS, CONFIG } from './places.ts'

// Runs once when mongod answers, before the apps start.
const apps = findApps(APPS)
const names = apps.map((a) => a.name)
await prepareMongo('mongo:27017', apps, await loadSecrets(join(CONFIG, 'secrets'), names))
process.stdout.write(`MongoDB has the users of ${names.join(' ')}\n`)
