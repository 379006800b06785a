import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export type RunEntry = { name: string; instance: string; pid: number; url: string; ops: string | null }

/** `run.json`: where everything is, kept true while parts come and go. Written whole or not at all; one that a killed run left is removed. */
export async function createRunFile(home: string) {
  const path = join(home, 'run.json')
  await rm(path, { force: true })
  const entries = new Map<string, RunEntry>()
  let gateway = ''
  let writing = Promise.resolve()

  async function write(): Promise<void> {
    const temporary = `${path}.${process.pid}`
    await writeFile(temporary, `${JSON.stringify({ gateway, processes: [...entries.values()] }, null, 2)}\n`)
    await rename(temporary, path)
  }

  return {
    set(entry: RunEntry): Promise<void> {
      entries.set(`${entry.name} ${entry.instance}`, entry)
      if (entry.name === 'gateway') gateway = entry.url
      writing = writing.then(write)
      return writing
    },
    remove(name: string, instance: string): Promise<void> {
      entries.delete(`${name} ${instance}`)
      writing = writing.then(write)
      return writing
    },
    async end(): Promise<void> {
      await writing
      await rm(path, { force: true })
    }
  }
}

export type RunFile = Awaited<ReturnType<typeof createRunFile>>
