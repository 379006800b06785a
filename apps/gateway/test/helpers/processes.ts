import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { ALLOCATOR } from '@skerry/service/allocator'
import { childEnv } from '@skerry/testing'
import type { Test } from 'tap'

export type AppProcess = {
  child: ChildProcess
  url: string
  ops: string
  output(): string
  exited: Promise<number | null>
}

/** Starts an app as the CLI does, with a channel, and waits until it says that it is ready. */
export async function startProcess(t: Test, file: string, env: Record<string, string>): Promise<AppProcess> {
  const child = fork(join(import.meta.dirname, file), [], {
    // A busy machine makes its event loop late, and it would refuse requests: what tests of load alone are about.
    env: { ...childEnv(), ...ALLOCATOR, HOST: '127.0.0.1', PRESSURE_TARGET_MS: '60000', ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    // tap loads its own hooks into this process; the app must not have them.
    execArgv: []
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      output += chunk
    })
  }
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const first = await Promise.race([once(child, 'message'), exited])
  if (!Array.isArray(first)) throw new Error(`${file} ended with ${first}: ${output}`)
  const { url, ops } = first[0] as { url: string; ops: string }
  return { child, url, ops, output: () => output, exited }
}
