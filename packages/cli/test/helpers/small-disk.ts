import { execFile } from 'node:child_process'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** A small file system of the test's own, in memory. */
export type SmallDisk = {
  readonly folder: string
  /** Takes all room that is left. */
  fill(): void
  /** Gives it back. */
  free(): void
}

type Tap = { teardown(work: () => Promise<unknown>): unknown }

/** Mounts one, unmounted at the end; or says why there is none: it takes root, and a system with tmpfs. */
export async function smallDisk(t: Tap, megabytes: number): Promise<SmallDisk | { missing: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'skerry-disk-'))
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder])
  } catch (error) {
    await rm(folder, { recursive: true })
    return { missing: `no tmpfs can be mounted: ${(error as Error).message.trim().split('\n').at(-1)}` }
  }
  t.teardown(async () => {
    await run('umount', [folder])
    await rm(folder, { recursive: true })
  })
  const filler = join(folder, 'filler')
  return {
    folder,
    fill() {
      const fd = openSync(filler, 'a')
      try {
        // In ever smaller pieces, to the last page.
        for (const size of [4_194_304, 65_536, 4_096]) fillBy(fd, Buffer.alloc(size))
      } finally {
        closeSync(fd)
      }
    },
    free: () => rmSync(filler, { force: true })
  }
}

function fillBy(fd: number, piece: Buffer): void {
  try {
    for (;;) writeSync(fd, piece)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  }
}
