import { findApps } from '../apps.ts'
import { writeConfig } from './config.ts'
import { APPS, CONFIG } from './places.ts'

// Runs once before the containers of docker-compose.yml start: secrets are made at the first time and kept after.
await writeConfig(CONFIG, findApps(APPS), { mongoUid: 999 })
process.stdout.write(`configuration is in ${CONFIG}\n`)
