import { startStores } from '../../src/index.ts'
import { APPS, BIN } from './home.ts'

// Starts stores and tells their pids, for a test that kills this process. Untied: as where the system has no setpriv.
const [home = '', ...flags] = process.argv.slice(2)
if (flags.includes('untied')) process.env.PATH = '/nowhere'
const stores = await startStores({ home, binDir: BIN, apps: APPS, say: () => undefined })
process.send?.(stores.parts.map((p) => p.server.pid()))
