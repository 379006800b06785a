import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { keepFile } from '@skerry/stores'

export type RunEntry = { name: string; instance: string; pid: number; url: string; ops: string | null }

/**
 * `run.json`: where everything is, kept true while parts come and go. Written whole or not at all; one that a killed run left is removed. A
 * disk that takes nothing is told once, and the file is written as soon as it does: it never ends what it tells of.
 */
export async function createRunFile(home: string, say: (line: string) => void) {
  const path = join(home, 'run.json')
  await rm(path, { force: true })
  const entries = new Map<string, RunEntry>()
  let gateway = ''
  const file = keepFile(path, say)
  const write = () => file.set(`${JSON.stringify({ gateway, processes: [...entries.values()] }, null, 2)}\n`)

  return {
    set(entry: RunEntry): Promise<void> {
      entries.set(`${entry.name} ${entry.instance}`, entry)
      if (entry.name === 'gateway') gateway = entry.url
      return write()
    },
    remove(name: string, instance: string): Promise<void> {
      entries.delete(`${name} ${instance}`)
      return write()
    },
    async end(): Promise<void> {
      await file.end()
      await rm(path, { force: true })
    }
  }
}

export type RunFile = Awaited<ReturnType<typeof createRunFile>>
