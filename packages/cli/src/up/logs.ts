import { copyFileSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { onlyChanges } from '@skerry/stores'

const LIMIT_BYTES = 20_000_000
const EVERY_MS = 30_000

/**
 * Keeps every log of a home below about 20 MB: one that has grown larger is kept once more as `<name>.log.1` and begun afresh. Looks now
 * and every 30 s. Writers append, so they go on at the beginning of the emptied file. Where there is no room for the copy it is done without
 * one, since logs that only grow would not leave any; what fails is told once and tried again.
 *
 * @returns ends it
 */
export function boundLogs(home: string, say: (line: string) => void, limit = LIMIT_BYTES): () => void {
  const folder = join(home, 'logs')
  const tell = onlyChanges(say)
  const look = () => {
    try {
      for (const name of readdirSync(folder)) {
        const path = join(folder, name)
        if (name.endsWith('.log') && statSync(path).size > limit) turnOver(path, tell)
      }
    } catch (error) {
      tell(`logs cannot be bounded: ${(error as Error).message}`)
    }
  }
  look()
  const timer = setInterval(look, EVERY_MS)
  timer.unref()
  return () => clearInterval(timer)
}

function turnOver(path: string, tell: (line: string) => void): void {
  const old = `${path}.1`
  try {
    copyFileSync(path, old)
  } catch (error) {
    rmSync(old, { force: true })
    tell(`${path} is begun afresh, and nothing of it is kept: ${(error as Error).message}`)
  }
  truncateSync(path)
}
