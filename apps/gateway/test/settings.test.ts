import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { GatewayConfigSchema, SETTINGS } from '../src/config.ts'
import { settingsPage } from '../src/settings-table.ts'

const DOCS = join(import.meta.dirname, '../../../docs')

t.test('the page of settings is what the schema says', async (t) => {
  const page = await readFile(join(DOCS, 'gateway-settings.md'), 'utf8')
  t.equal(page, settingsPage(), 'node --run settings writes it')
  for (const name of Object.keys(GatewayConfigSchema.properties)) t.match(page, `| \`${name}\` |`)
})

t.test('each setting says what it is', (t) => {
  for (const group of Object.values(SETTINGS))
    for (const [name, { description }] of Object.entries(group as Record<string, { description?: string }>))
      t.match(description, /^.{10,}\.$/, name)
  t.end()
})
