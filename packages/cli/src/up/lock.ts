import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StartError } from '@skerry/stores'

/**
 * Makes this process the only one that runs a home. A lock of a process that is gone is taken over.
 *
 * @returns gives the lock back
 */
export async function lockHome(home: string): Promise<() => Promise<void>> {
  const path = join(home, 'lock')
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      await writeFile(path, String(process.pid), { flag: 'wx' })
      return () => rm(path, { force: true })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
        throw new StartError(`${path} cannot be written: ${(error as Error).message}`)
    }
    const pid = await lockOwner(home)
    if (pid !== undefined) {
      const gateway = await readFile(join(home, 'run.json'), 'utf8').then(
        (text): string => JSON.parse(text).gateway,
        () => 'not ready yet'
      )
      throw new StartError(
        `already running in ${home} as process ${pid} (gateway: ${gateway}). Stop it with Ctrl-C there or \`./skerry stop\`.`
      )
    }
    await rm(path, { force: true })
  }
  throw new StartError(`${path} keeps being taken by other processes: is another skerry starting?`)
}

/** The pid of the skerry that runs a home, if one does. A pid that now belongs to something else doesn't count. */
export async function lockOwner(home: string): Promise<number | undefined> {
  const pid = Number(await readFile(join(home, 'lock'), 'utf8').catch(() => ''))
  if (!(pid > 0) || pid === process.pid) return undefined
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return /packages\/cli|main\.ts/.test(command) ? pid : undefined
}
