import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { findProcesses } from '../test-run/processes.ts'

/** The servers whose disk is made slow, by the name of their program. */
const STORES = /^(\S*\/)?(mongod|nats-server|valkey-server|redis-server|redis)(\s|$)/
/** Each fsync returns so much later, in microseconds. */
const DELAY_US = 20_000
const LOOK_MS = 200

/** Why strace cannot delay the calls of other processes here, with the way to get it; undefined when it can. */
export async function missingStrace(): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)('strace', ['--version'])
    const [, major = '0', minor = '0'] = /version (\d+)\.(\d+)/.exec(stdout) ?? []
    return Number(major) > 4 || (Number(major) === 4 && Number(minor) >= 22)
      ? undefined
      : `strace is ${major}.${minor}, and 4.22 is needed to delay calls`
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return 'there is no strace: apt-get install strace'
  }
}

export type SlowFsync = {
  /** Whose calls are delayed now. */
  readonly pids: ReadonlySet<number>
  /** What strace said when it could not be attached. */
  readonly faults: readonly string[]
  stop(): Promise<void>
}

/**
 * Delays fsync and fdatasync of all stores that carry a mark, those that tests start for themselves included: new ones are looked for until
 * it is stopped.
 */
export function slowFsync(mark: string, stores = STORES): SlowFsync {
  const traced = new Map<number, ChildProcess>()
  const pids = new Set<number>()
  const faults: string[] = []
  let stopping = false

  function attach(pid: number): void {
    const calls = 'fsync,fdatasync'
    const inject = `inject=${calls}:delay_exit=${DELAY_US}`
    const options = ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${calls}`, '-e', inject, '-e', 'signal=none']
    const child = spawn('strace', [...options, '-p', String(pid)], { stdio: ['ignore', 'ignore', 'pipe'] })
    traced.set(pid, child)
    pids.add(pid)
    let said = ''
    child.stderr?.on('data', (chunk: Buffer) => {
      said += chunk
    })
    child.once('error', (error) => faults.push(error.message))
    child.once('close', (code) => {
      pids.delete(pid)
      // A store that ends, ends its strace; one that was never attached says why.
      if (code !== 0 && !stopping && /attach|ptrace|permitted/i.test(said)) faults.push(said.trim())
    })
  }

  const looking = (async () => {
    while (!stopping) {
      for (const { pid, command } of await findProcesses(mark))
        if (stores.test(command) && !traced.has(pid)) attach(pid)
      await delay(LOOK_MS)
    }
  })()

  return {
    pids,
    faults,
    async stop() {
      stopping = true
      await looking
      await Promise.all(
        [...traced.values()].map(async (child) => {
          if (child.exitCode !== null || child.signalCode !== null) return
          const exited = once(child, 'exit')
          child.kill('SIGTERM')
          await exited
        })
      )
    }
  }
}
