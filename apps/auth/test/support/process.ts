import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Test } from 'tap'

export type Ready = { type: string; url: string; ops: string }

const CHEAP = new URL('cheap-hashes-preload.ts', import.meta.url)

/** Starts the app as its own process, with cheap hashes; it is killed at the end of the test at the latest. */
export function startProcess(t: Test, env: Record<string, string>): ChildProcess {
  const child = fork(join(import.meta.dirname, '../../src/main.ts'), {
    env: { ...process.env, LOG_LEVEL: 'error', DRAIN_MS: '50', IDLE_KEPT_MS: '0', ...env },
    execArgv: ['--import', CHEAP.href],
    silent: true
  })
  t.teardown(() => {
    child.kill('SIGKILL')
  })
  return child
}

/** Resolves with where the app listens. */
export async function ready(child: ChildProcess): Promise<Ready> {
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += chunk))
  const [first] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [Ready | number | null]
  if (first === null || typeof first === 'number') throw new Error(`ended before it was ready: ${first}\n${output}`)
  return first
}

/** Resolves with the exit code and all that the app has printed. */
export async function ended(child: ChildProcess): Promise<{ code: number | null; output: string }> {
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, output }
}
