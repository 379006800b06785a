import { writeSync } from 'node:fs'

/** Faults of a disk: a later line may fit again. */
const NO_ROOM = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EFBIG'])
/** A pipe whose reader is slow. */
const BUSY = new Set(['EAGAIN', 'EBUSY'])
const BUSY_MS = 5
/** Longer than that and the line is left out: who serves must not wait for who reads along. */
const BUSY_LONGEST_MS = 1_000

export type LogLines = { write(line: string): void }

/**
 * Writes log lines to a file descriptor, at once, so that the last one before a crash is there too. A line that cannot be written is left
 * out, never thrown: a log on a full disk ended the request that wrote it, and then the process. How many were left out, and why, is a
 * line of its own when writing works again. Nobody who reads a pipe any more means that nothing is written any more.
 *
 * @param note makes that line
 * @param write as `fs.writeSync`
 */
export function logLines(
  fd: number,
  note: (lost: number, why: string) => string,
  write: (fd: number, bytes: Buffer, offset: number) => number = writeSync
): LogLines {
  let lost = 0
  let why = ''
  /** A line that was cut off: what follows begins on a new one. */
  let cut = false
  let gone = false

  /** False when it could not be written whole. */
  function put(text: string): boolean {
    const bytes = Buffer.from(cut ? `\n${text}` : text)
    const until = Date.now() + BUSY_LONGEST_MS
    for (let offset = 0; offset < bytes.length; ) {
      try {
        offset += write(fd, bytes, offset)
      } catch (error) {
        const { code = '', message } = error as NodeJS.ErrnoException
        if (BUSY.has(code) && Date.now() < until) {
          Atomics.wait(SLEEP, 0, 0, BUSY_MS)
          continue
        }
        if (code === 'EPIPE') gone = true
        else if (!NO_ROOM.has(code) && !BUSY.has(code)) throw error
        // Of a repaired cut at least the line break got through.
        cut = offset > 0 ? !(cut && offset === 1) : cut
        why = message
        return false
      }
    }
    cut = false
    return true
  }

  return {
    write(line) {
      if (gone) return
      if (lost > 0 && !put(note(lost, why))) lost++
      else {
        lost = 0
        if (!put(line)) lost++
      }
    }
  }
}

const SLEEP = new Int32Array(new SharedArrayBuffer(4))
