import { mkdtemp, statfs } from 'node:fs/promises'
import { freemem, tmpdir } from 'node:os'
import { join } from 'node:path'

const RAM_DISK = '/dev/shm'
/** What stores of a whole test run may need, with room. */
const NEEDED_ON_DISK = 2e9
const NEEDED_IN_MEMORY = 4e9

/**
 * Makes a folder for the data of a test's stores: on the RAM disk where the machine has one with room, since stores sync each write, and a disk
 * that others keep busy holds that up for seconds. What dies by `kill -9` loses nothing on either.
 *
 * @param room how many bytes there must be; given by tests of this alone
 */
export async function makeDataFolder(
  prefix: string,
  room: { disk: number; memory: number } = { disk: NEEDED_ON_DISK, memory: NEEDED_IN_MEMORY }
): Promise<string> {
  if (freemem() >= room.memory && (await freeOn(RAM_DISK)) >= room.disk) {
    try {
      return await mkdtemp(join(RAM_DISK, prefix))
    } catch (error) {
      if (!['EACCES', 'EROFS', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }
  return mkdtemp(join(tmpdir(), prefix))
}

async function freeOn(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
    throw error
  }
}
