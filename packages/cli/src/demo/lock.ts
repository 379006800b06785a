import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { StartError } from '@skerry/stores'

/**
 * Takes the lock file for this process, or throws when another live one has it.
 * @returns gives the lock back
 */
export function takeLock(file: string): () => void {
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(file, `${process.pid}\n`, { flag: 'wx' })
      return () => rmSync(file, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      const pid = Number(readFileSync(file, 'utf8'))
      if (isAlive(pid)) throw new StartError(`the demo is being loaded already, by process ${pid} (${file})`)
      rmSync(file, { force: true })
    }
  }
  throw new StartError(`the lock ${file} cannot be acquired`)
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
