import { fstatSync, writeSync } from 'node:fs'

const STDOUT = 1
const isFile = fstatSync(STDOUT, { throwIfNoEntry: false })?.isFile() ?? false

/**
 * Writes a line to the standard output. One that does not fit on the disk any more (`npm start > log`) is left out: it must not end what it
 * tells of, and a stream that has failed once would write nothing ever after.
 */
export function say(line: string): void {
  if (!isFile) {
    process.stdout.write(`${line}\n`)
    return
  }
  try {
    writeSync(STDOUT, `${line}\n`)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error
  }
}
