import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { StartError } from '@skerry/stores'
import { homeFolder } from '../repository.ts'
import { lockOwner } from './lock.ts'
import type { RunEntry } from './run-file.ts'
import { table } from './table.ts'

/** The run file of a home that runs, or one clear line. */
export async function readRunFile(home: string): Promise<{ gateway: string; processes: RunEntry[] }> {
  const text = (await lockOwner(home)) === undefined ? undefined : await readText(join(home, 'run.json'))
  if (text === undefined) throw new StartError(`nothing runs in ${home}: start it with \`npm start\``)
  return JSON.parse(text)
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Prints what runs and whether it is ready; exit code 1 when something isn't. */
export async function status(): Promise<number> {
  const { gateway, processes } = await readRunFile(homeFolder(process.env))
  const rows = await Promise.all(
    processes.map(async ({ name, instance, pid, url, ops }) => {
      const state = ops === null ? 'up' : await readiness(ops)
      return [`${name} ${instance}`, String(pid), url, ops ?? '', state]
    })
  )
  process.stdout.write(
    `${table([['part', 'pid', 'address', 'operations', 'state'], ...rows])}\n\ngateway: ${gateway}\n`
  )
  return rows.every((row) => row[4] === 'up' || row[4] === 'ready') ? 0 : 1
}

async function readiness(ops: string): Promise<string> {
  try {
    const response = await fetch(`${ops}/readyz`, { signal: AbortSignal.timeout(2_000) })
    return response.ok ? 'ready' : `not ready: ${(await response.text()).slice(0, 200)}`
  } catch (error) {
    return `no answer (${(error as Error).message})`
  }
}

/** Tells the skerry that runs in this home to stop, and waits until it has. */
export async function stop(): Promise<number> {
  const home = homeFolder(process.env)
  const pid = await lockOwner(home)
  if (pid === undefined) throw new StartError(`nothing runs in ${home}`)
  process.kill(pid, 'SIGTERM')
  const until = Date.now() + 60_000
  while ((await lockOwner(home)) === pid) {
    if (Date.now() > until) throw new StartError(`process ${pid} did not stop within 60 s`)
    await delay(50)
  }
  process.stdout.write(`stopped process ${pid}\n`)
  return 0
}
