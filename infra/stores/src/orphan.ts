import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

const TERM_MS = 15_000

/**
 * Ends a server that an earlier run left behind, so that its data is free again: only when the noted pid still runs with this home in its
 * command line, since pids are used again.
 */
export async function endOrphan(name: string, home: string, say: (line: string) => void): Promise<void> {
  const pid = Number(await readFile(join(home, `${name}.pid`), 'utf8').catch(() => '0'))
  if (!(pid > 0) || !(await isOurs(pid, home))) return
  say(`${name}: ending process ${pid}, left by an earlier run`)
  signal(pid, 'SIGTERM')
  const until = Date.now() + TERM_MS
  while (await isOurs(pid, home)) {
    if (Date.now() > until) signal(pid, 'SIGKILL')
    await delay(20)
  }
}

/** A process that has ended but was not waited for yet has an empty command line: it isn't ours any more. */
async function isOurs(pid: number, home: string): Promise<boolean> {
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return command.split('\0').some((word) => word === home || word.startsWith(`${home}/`))
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    // It ended by itself in between.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
