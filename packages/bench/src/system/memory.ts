import { readFile } from 'node:fs/promises'

/** Memory of processes in MB: the share of each, so that pages several of them use are counted once (Pss). */
export async function memoryOf(pids: readonly number[]): Promise<number> {
  let bytes = 0
  for (const pid of pids) {
    const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8')
    bytes += Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1]) * 1_024
  }
  return bytes / 1e6
}
