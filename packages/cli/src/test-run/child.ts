import { type ChildProcess, spawn } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { sendSignal } from './processes.ts'

/** How a child ended: `code` is 0 only when it ended well. */
export type Ended = { code: number; output: string; seconds: number }

export type Children = {
  /** Runs a tool of the repository to its end. */
  run(command: string, args: string[], options?: RunOptions): Promise<Ended>
  /** Ends those that run. */
  stop(): void
}

export type RunOptions = { cwd?: string; env?: Record<string, string> }

/**
 * The tools of a test run: Node and all others come from the repository's own node_modules, nothing has a terminal or input, and each is a
 * process group of its own, so that ending it ends what it started.
 */
export function createChildren(repo: string, bins = join(repo, 'node_modules/.bin')): Children {
  const running = new Set<ChildProcess>()
  const base = {
    ...process.env,
    PATH: [bins, process.env.PATH ?? ''].join(delimiter),
    TURBO_TELEMETRY_DISABLED: '1',
    TURBO_NO_UPDATE_NOTIFIER: '1',
    DO_NOT_TRACK: '1',
    NO_COLOR: '1'
  }

  return {
    run(command, args, { cwd = repo, env = {} } = {}) {
      const startedAt = performance.now()
      const child = spawn(join(bins, command), args, {
        cwd,
        env: { ...base, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true
      })
      running.add(child)
      let output = ''
      for (const stream of [child.stdout, child.stderr])
        stream?.setEncoding('utf8').on('data', (chunk: string) => {
          output += chunk
        })
      return new Promise((resolve) => {
        const end = (code: number) => {
          running.delete(child)
          resolve({ code, output, seconds: (performance.now() - startedAt) / 1000 })
        }
        child.once('error', (error) => {
          output += `${command}: ${error.message}\n`
          end(1)
        })
        child.once('close', (code, signal) => {
          if (signal !== null) output += `${command} was ended by ${signal}\n`
          end(code ?? 1)
        })
      })
    },
    stop() {
      for (const { pid } of running) if (pid !== undefined) sendSignal(-pid, 'SIGTERM')
    }
  }
}
