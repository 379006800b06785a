import { type ChildProcess, spawn } from 'node:child_process'
import { delimiter, join } from 'node:path'

/** How a child ended: `code` is 0 only when it ended well. */
export type Ended = { code: number; output: string; seconds: number }

export type Children = {
  /** Runs a tool of the repository to its end; `onLine` is told each line of its standard output as it comes. */
  run(command: string, args: string[], options?: RunOptions): Promise<Ended>
  /** Ends those that run. */
  stop(): void
}

export type RunOptions = { cwd?: string; env?: Record<string, string>; onLine?(line: string): void }

/**
 * The tools of a test run: Node and all others come from the repository's own node_modules, nothing has a terminal or input, and each is a
 * process group of its own, so that ending it ends what it started.
 */
export function createChildren(repo: string): Children {
  const running = new Set<ChildProcess>()
  const path = [join(import.meta.dirname, 'bin'), join(repo, 'node_modules/.bin'), process.env.PATH ?? '']
  const base = {
    ...process.env,
    PATH: path.join(delimiter),
    TURBO_TELEMETRY_DISABLED: '1',
    TURBO_NO_UPDATE_NOTIFIER: '1',
    DO_NOT_TRACK: '1',
    NO_COLOR: '1',
    TAP_REPORTER: 'tap'
  }

  return {
    run(command, args, { cwd = repo, env = {}, onLine } = {}) {
      const startedAt = performance.now()
      const child = spawn(join(repo, 'node_modules/.bin', command), args, {
        cwd,
        env: { ...base, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true
      })
      running.add(child)
      let output = ''
      let rest = ''
      const take = (chunk: string, lines: boolean) => {
        output += chunk
        if (!lines || onLine === undefined) return
        const all = (rest + chunk).split('\n')
        rest = all.pop() ?? ''
        for (const line of all) onLine(line)
      }
      child.stdout?.setEncoding('utf8').on('data', (chunk: string) => take(chunk, true))
      child.stderr?.setEncoding('utf8').on('data', (chunk: string) => take(chunk, false))
      return new Promise((resolve) => {
        const end = (code: number) => {
          running.delete(child)
          if (rest !== '') onLine?.(rest)
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
      for (const { pid } of running) if (pid !== undefined) signalGroup(pid)
    }
  }
}

function signalGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGTERM')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
