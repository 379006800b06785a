import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

/** A process as the system lists it. */
export type Process = { pid: number; command: string }

const MARK = 'SKERRY_TEST_MARK'

/**
 * The environment that marks a process and all that it starts. Stores and systems are process groups of their own, so that a group alone
 * does not find them. A mark within another (a test that runs tests) is found by both.
 */
export function newMark(within = process.env[MARK]): { mark: string; env: Record<string, string> } {
  const mark = `${within === undefined || within === '' ? '' : `${within}/`}${randomBytes(6).toString('hex')}`
  return { mark, env: { [MARK]: mark } }
}

/**
 * What runs with a mark, or in the process group or session of `leader`. Empty where the system has no /proc.
 */
export async function findProcesses(mark: string, leader?: number): Promise<Process[]> {
  const found: Process[] = []
  const entries = await readdir('/proc').catch(() => [])
  for (const entry of entries) {
    const pid = Number(entry)
    if (!Number.isInteger(pid) || pid === process.pid) continue
    try {
      const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
      const [state, , group, session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      if (state === 'Z' || state === 'X') continue
      const ofLeader = leader !== undefined && (Number(group) === leader || Number(session) === leader)
      if (!ofLeader && !hasMark(await readFile(`/proc/${pid}/environ`, 'latin1'), mark)) continue
      const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ').trim()
      found.push({ pid, command: command === '' ? stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')) : command })
    } catch (error) {
      // It ended in between, or is another user's.
      if (!['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    }
  }
  return found
}

function hasMark(environment: string, mark: string): boolean {
  return environment.split('\0').some((line) => line === `${MARK}=${mark}` || line.startsWith(`${MARK}=${mark}/`))
}

/** Waits until nothing of a mark runs any more; what still does when the bound is over. */
export async function untilGone(mark: string, leader: number | undefined, boundMs: number): Promise<Process[]> {
  const until = Date.now() + boundMs
  for (;;) {
    const left = await findProcesses(mark, leader)
    if (left.length === 0 || Date.now() > until) return left
    await delay(50)
  }
}

/** Sends a signal to a process, or to a group where `pid` is negative; one that has ended already is no fault. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
