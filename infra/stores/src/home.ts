import { existsSync } from 'node:fs'
import { mkdir, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { StartError } from './faults.ts'

/** Less than this free, in bytes, and the stores would stop in the middle of something. */
const NEEDED_BYTES = 500 * 1024 * 1024

/** Makes the folders of a home and checks that it can be written and has room. Throws one clear line. */
export async function prepareHome(home: string): Promise<void> {
  try {
    for (const folder of ['data', 'logs', 'bin']) await makeFolder(join(home, folder))
    const probe = join(home, `.probe-${process.pid}`)
    await writeFile(probe, Buffer.alloc(65_536))
    await rm(probe)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why =
      code === 'EROFS'
        ? 'the disk is read-only'
        : code === 'ENOSPC'
          ? 'the disk is full'
          : code === 'EACCES'
            ? 'this user may not write there'
            : message
    throw new StartError(`${home} cannot be used: ${why}. Set SKERRY_HOME to another folder.`)
  }
  const { bavail, bsize } = await statfs(home)
  if (bavail * bsize < NEEDED_BYTES) {
    throw new StartError(
      `${home} has ${Math.round((bavail * bsize) / 1e6)} MB free and needs ${Math.round(NEEDED_BYTES / 1e6)}. Set SKERRY_HOME to another disk.`
    )
  }
}

/** Node's own recursive mkdir never ends where a folder can't be made although the one above exists, as below /proc. */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return
    const above = dirname(path)
    if (code !== 'ENOENT' || existsSync(above)) throw error
    await makeFolder(above)
    await makeFolder(path)
  }
}
