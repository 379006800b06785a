import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type App, StartError } from '@skerry/stores'

export type Ready = { pid: number; url: string; ops: string }

export type AppProcess = {
  readonly app: App
  readonly instance: string
  /** Resolves with the first time it was ready; rejects when it did not get there. */
  readonly ready: Promise<Ready & { ms: number }>
  stop(): Promise<void>
  kill(): void
}

export type ProcessOptions = {
  app: App
  instance: string
  env: Record<string, string>
  home: string
  onReady(ready: Ready): void
  onDown(): void
  say(line: string): void
}

// Dozens of processes that start at once on a machine with other work take minutes; one that is killed for it begins anew.
const READY_MS = 180_000
const STOP_MS = 20_000

/** Starts an instance of an app and starts it again, after a growing delay, whenever it dies before it is stopped. */
export function startProcess(options: ProcessOptions): AppProcess {
  const { app, instance, home, say } = options
  const label = `${app.name} ${instance}`
  const logPath = join(home, 'logs', `${app.name}-${instance}.log`)
  let child: ChildProcess | undefined
  let stopping = false
  let delayMs = 200
  let again: NodeJS.Timeout | undefined
  const first = Promise.withResolvers<Ready & { ms: number }>()
  let wasReady = false

  function launch(): void {
    const startedAt = Date.now()
    const log = openSync(logPath, 'a')
    // Its own process group: Ctrl-C in a terminal reaches only the CLI, which stops things in order.
    const started = spawn(process.execPath, ['src/main.ts'], {
      cwd: app.folder,
      env: options.env,
      stdio: ['ignore', log, log, 'ipc'],
      detached: true
    })
    closeSync(log)
    child = started
    let readyAt = 0
    const late = setTimeout(() => {
      say(`${label} was not ready within ${READY_MS / 1000} s`)
      started.kill('SIGKILL')
    }, READY_MS)
    started.on('message', (message: { type?: string; url: string; ops: string }) => {
      if (message.type !== 'ready' || started.pid === undefined) return
      clearTimeout(late)
      readyAt = Date.now()
      const ready = { pid: started.pid, url: message.url, ops: message.ops }
      if (wasReady) say(`${label} is back as process ${ready.pid}`)
      wasReady = true
      options.onReady(ready)
      first.resolve({ ...ready, ms: readyAt - startedAt })
    })
    started.on('error', (error) => first.reject(new StartError(`${label} could not be started: ${error.message}`)))
    started.on('exit', async (code, signal) => {
      clearTimeout(late)
      options.onDown()
      if (stopping) return
      const how = signal ?? `exit code ${code}`
      if (!wasReady) {
        first.reject(
          new StartError(`${label} did not start (${how}). The end of ${logPath}:\n${await lastLines(logPath)}`)
        )
        return
      }
      if (readyAt > 0 && Date.now() - readyAt > 30_000) delayMs = 200
      say(`${label} died (${how}); starting again in ${delayMs} ms`)
      again = setTimeout(launch, delayMs)
      delayMs = Math.min(10_000, delayMs * 2)
    })
  }

  launch()
  return {
    app,
    instance,
    ready: first.promise,
    async stop() {
      stopping = true
      clearTimeout(again)
      first.promise.catch(() => 'stopped before it was ready')
      const running = child
      if (running?.pid === undefined || running.exitCode !== null || running.signalCode !== null) return
      const exited = once(running, 'exit')
      running.kill('SIGTERM')
      const late = setTimeout(() => {
        say(`${label} did not stop within ${STOP_MS / 1000} s and is killed`)
        running.kill('SIGKILL')
      }, STOP_MS)
      await exited
      clearTimeout(late)
    },
    kill() {
      stopping = true
      clearTimeout(again)
      child?.kill('SIGKILL')
    }
  }
}

async function lastLines(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return text
    .trimEnd()
    .split('\n')
    .slice(-8)
    .map((line) => `  ${line.slice(0, 400)}`)
    .join('\n')
}
