import { readFile } from 'node:fs/promises'

/** Memory of processes in bytes: the share of each, so that pages several of them use are counted once (Pss). */
export async function memoryOf(pids: readonly number[]): Promise<number> {
  const shares = await Promise.all(
    pids.map(async (pid) => {
      const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '')
      return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024
    })
  )
  return shares.reduce((sum, share) => sum + share, 0)
}
