import { readFile } from 'node:fs/promises'

/** Memory of processes and of those they have started, in bytes: the share of each, so that pages several of them use are counted once (Pss). */
export async function memoryOf(pids: readonly number[]): Promise<number> {
  const all = new Set<number>()
  const add = async (pid: number): Promise<void> => {
    if (all.has(pid)) return
    all.add(pid)
    await Promise.all((await childrenOf(pid)).map(add))
  }
  await Promise.all(pids.map(add))
  const shares = await Promise.all(
    Array.from(all, async (pid) => {
      const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '')
      return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024
    })
  )
  return shares.reduce((sum, share) => sum + share, 0)
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return text.split(' ').filter(Boolean).map(Number)
}
