import { copyFileSync, readdirSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'

const LIMIT_BYTES = 20_000_000
const EVERY_MS = 30_000

/**
 * Keeps every log of a home below about 20 MB: one that has grown larger is kept once more as `<name>.log.1` and begun afresh. Looks now
 * and every 30 s. Writers append, so they go on at the beginning of the emptied file.
 *
 * @returns ends it
 */
export function boundLogs(home: string, limit = LIMIT_BYTES): () => void {
  const folder = join(home, 'logs')
  const look = () => {
    for (const name of readdirSync(folder)) {
      const path = join(folder, name)
      if (!name.endsWith('.log') || statSync(path).size <= limit) continue
      copyFileSync(path, `${path}.1`)
      truncateSync(path)
    }
  }
  look()
  const timer = setInterval(look, EVERY_MS)
  timer.unref()
  return () => clearInterval(timer)
}
