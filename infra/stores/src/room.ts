import { randomBytes } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const PROBE = Buffer.alloc(65_536)

/**
 * Whether a small file can be written into a folder now. Tried rather than calculated: free space says nothing of quotas, and nothing of a
 * disk that has become read-only.
 */
export async function hasRoom(folder: string): Promise<boolean> {
  const path = join(folder, `.probe-${process.pid}-${randomBytes(4).toString('hex')}`)
  try {
    await writeFile(path, PROBE, { flag: 'wx' })
    return true
  } catch {
    // The reason is told by whoever needed to write.
    return false
  } finally {
    await rm(path, { force: true })
  }
}

/** Opens a process's log to append to. Without room for a new file it runs without a log: that is better than not at all. */
export function openLog(path: string): { stdio: number | 'ignore'; close(): void } {
  try {
    const fd = openSync(path, 'a')
    return { stdio: fd, close: () => closeSync(fd) }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error
    return { stdio: 'ignore', close: () => undefined }
  }
}

/** Says a line when it differs from the last one: a state that lasts is told once. */
export function onlyChanges(say: (line: string) => void): (line: string) => void {
  let last: string | undefined
  return (line) => {
    if (line === last) return
    last = line
    say(line)
  }
}
