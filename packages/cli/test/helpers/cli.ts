import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { binCache } from '@skerry/testing'
import { REPOSITORY } from '../../src/repository.ts'

export type Ended = { code: number | null; out: string; errors: string }

/** Starts the CLI as a user would, on a home of the test's. */
export function startCli(args: string[], env: Record<string, string>, entry = 'src/main.ts'): ChildProcess {
  const { MONGO_URL, NATS_URL, REDIS_URL, ...inherited } = process.env
  // tap puts its own loader into NODE_OPTIONS of every child; a user's CLI has none.
  return spawn('env', ['-u', 'NODE_OPTIONS', process.execPath, join(REPOSITORY, 'packages/cli', entry), ...args], {
    cwd: REPOSITORY,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...inherited, SKERRY_BIN: binCache(), PORT: '0', ...env }
  })
}

/** Runs the CLI to its end. */
export async function runCli(args: string[], env: Record<string, string>): Promise<Ended> {
  const child = startCli(args, env)
  const ended: Ended = { code: null, out: '', errors: '' }
  child.stdout?.on('data', (chunk: Buffer) => {
    ended.out += chunk
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    ended.errors += chunk
  })
  const [code] = await once(child, 'close')
  return { ...ended, code }
}

/** Whether a process runs; one that has ended but was not waited for does not. */
export async function runs(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return stat !== '' && !/\) Z /.test(stat)
}
