import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

/** Burns a core until it is ended, or whoever started it (its argument) is gone: it asks once in a while. */
const BURN = 'while (process.ppid === Number(process.argv[1])) for (let i = 0; i < 1e8; i++);'

export type Hog = { readonly pids: readonly number[]; stop(): Promise<void> }

/** Starts so many processes that do nothing but keep a core busy. */
export function startHog(processes: number): Hog {
  const children: ChildProcess[] = Array.from({ length: processes }, () =>
    spawn(process.execPath, ['-e', BURN, String(process.pid)], { stdio: 'ignore' })
  )
  return {
    pids: children.flatMap(({ pid }) => pid ?? []),
    async stop() {
      await Promise.all(
        children.map(async (child) => {
          if (child.exitCode !== null || child.signalCode !== null) return
          const exited = once(child, 'exit')
          child.kill('SIGKILL')
          await exited
        })
      )
    }
  }
}
