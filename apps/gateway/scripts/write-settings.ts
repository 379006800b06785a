import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { settingsPage } from '../src/settings-table.ts'

const path = join(import.meta.dirname, '../../../docs/gateway-settings.md')
writeFileSync(path, settingsPage())
process.stdout.write(`${path}\n`)
