import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { childEnv, type TestStores } from '@skerry/testing'
import type { Test } from 'tap'
import { connectNats, ensureBuckets, type Instance, watchRegistry } from '../../src/index.ts'

type Ready = { type: 'ready'; url: string; ops: string }

/** Starts `app.ts` as a process under this one, as the CLI would. It is killed when the test ends. */
export function startApp(t: Test, stores: TestStores, env: Record<string, string> = {}) {
  const child: ChildProcess = fork(join(import.meta.dirname, 'app.ts'), {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...childEnv(), ...stores.envFor('widgets'), DRAIN_MS: '200', IDLE_KEPT_MS: '0', ...env }
  })
  let out = ''
  let err = ''
  child.stdout?.on('data', (chunk) => {
    out += chunk
  })
  child.stderr?.on('data', (chunk) => {
    err += chunk
  })
  const exited = once(child, 'exit').then(([code]) => code as number | null)
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    await exited
  })
  return {
    child,
    exited,
    out: () => out,
    err: () => err,
    lines: () =>
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    ready: () => once(child, 'message').then(([message]) => message as Ready)
  }
}

export type App = ReturnType<typeof startApp>

/** Who is in the registry, kept true. */
export async function watchTable(t: Test, stores: TestStores) {
  const nc = await connectNats({ ...stores.nats, name: 'test' })
  await ensureBuckets(nc)
  let instances: Instance[] = []
  const watch = await watchRegistry(nc, (all) => {
    instances = all
  })
  t.teardown(async () => {
    await watch.close()
    await nc.close()
  })
  return () => instances
}
