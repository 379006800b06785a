// The contracts are emitted beside the SDK, so that the published package stands alone: this points their imports there, and gives
// the imports in declarations, which tsc leaves as they are, the ending of what was emitted.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const dist = process.argv[2] ?? join(import.meta.dirname, '..', 'dist')

for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue
  const file = join(entry.parentPath, entry.name)
  const text = readFileSync(file, 'utf8')
    .replace(/(["'])@skerry\/contracts\1/g, "'../../contracts/src/index.js'")
    .replace(/(["'])(\.\.?\/[^"']+)\.ts\1/g, "'$2.js'")
  writeFileSync(file, text)
}
