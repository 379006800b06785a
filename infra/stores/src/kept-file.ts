import { rename, rm, writeFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

const AGAIN_MS = 1_000

export type KeptFile = {
  /** What the file is to hold. Resolves when it does, or when writing it has failed and was put off. Never rejects. */
  set(text: string): Promise<void>
  /** Resolves when nothing is being written any more; what was put off is given up. */
  end(): Promise<void>
}

/**
 * A small file that is kept true: written whole or not at all. Where that fails, as on a full disk, it is told once, and tried again every
 * second with what the file is to hold by then; and told when it has been written.
 */
export function keepFile(path: string, say: (line: string) => void, againMs = AGAIN_MS): KeptFile {
  const ended = new AbortController()
  let wanted = ''
  let written: string | undefined
  let failing = false
  let writing = Promise.resolve()
  let waiting: Promise<void> | undefined

  async function write(): Promise<void> {
    const text = wanted
    if (ended.signal.aborted || text === written) return
    const temporary = `${path}.${process.pid}`
    try {
      await writeFile(temporary, text)
      await rename(temporary, path)
      written = text
      if (failing) say(`${path} is written again`)
      failing = false
    } catch (error) {
      if (!failing) say(`${path} cannot be written (${(error as Error).message}); it is tried again until it can`)
      failing = true
      await rm(temporary, { force: true }).catch(() => 'the disk takes nothing, not even that')
      waiting ??= again()
    }
  }

  async function again(): Promise<void> {
    await delay(againMs, undefined, { ref: false, signal: ended.signal }).catch(() => 'ended')
    waiting = undefined
    writing = writing.then(write)
  }

  return {
    set(text) {
      wanted = text
      writing = writing.then(write)
      return writing
    },
    async end() {
      ended.abort()
      await waiting
      await writing
    }
  }
}
