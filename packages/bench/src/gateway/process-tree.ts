import { readdir, readFile } from 'node:fs/promises'

/** What `/proc/PID/stat` tells of a process: its parent, and ticks of CPU in user and system mode. */
export type Stat = { parent: number; ticks: number }

/** What a process and all that it started have used so far: CPU in seconds, memory now in bytes. */
export type Usage = { cpuSeconds: number; rssBytes: number }

/** Linux tells CPU time in hundredths of a second, whatever its kernel counts in. */
const TICKS_PER_SECOND = 100

/** Reads one line of `/proc/PID/stat` (proc(5)); the name in it may have spaces and brackets of its own. */
export function parseStat(line: string): Stat {
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
  const stat = { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }
  if (!Number.isInteger(stat.parent) || !Number.isInteger(stat.ticks)) throw new Error(`not a stat line: ${line}`)
  return stat
}

/** The resident bytes that `/proc/PID/status` tells. */
export function parseRss(status: string): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1_024
}

/** A process and its descendants, from who is whose parent. */
export function treeOf(root: number, parents: ReadonlyMap<number, number>): number[] {
  const tree = [root]
  for (const member of tree) {
    for (const [pid, parent] of parents) if (parent === member) tree.push(pid)
  }
  return tree
}

/** CPU and memory of a process and its descendants. Throws when the process itself is gone. */
export async function usageOf(root: number): Promise<Usage> {
  const stats = new Map<number, Stat>()
  for (const name of await readdir('/proc')) {
    const stat = /^\d+$/.test(name) ? await readOrGone(`/proc/${name}/stat`) : undefined
    if (stat !== undefined) stats.set(Number(name), parseStat(stat))
  }
  if (!stats.has(root)) throw new Error(`process ${root} is gone`)
  const parents = new Map(Array.from(stats, ([pid, { parent }]) => [pid, parent]))
  const usage = { cpuSeconds: 0, rssBytes: 0 }
  for (const pid of treeOf(root, parents)) {
    usage.cpuSeconds += (stats.get(pid)?.ticks ?? 0) / TICKS_PER_SECOND
    usage.rssBytes += parseRss((await readOrGone(`/proc/${pid}/status`)) ?? '')
  }
  return usage
}

/** Other processes end while the list is read. */
async function readOrGone(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}
