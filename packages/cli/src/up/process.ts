import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type App, onlyChanges, openLog, StartError } from '@skerry/stores'

export type Ready = { pid: number; url: string; ops: string }

export type AppProcess = {
  readonly app: App
  readonly instance: string
  /** Resolves with the first time it was ready; rejects when it did not get there in three tries. */
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
/** A store that is slow to answer while everything starts is no reason to give up; a configuration that is wrong is so each time. */
const FIRST_TRIES = 3
const HEALTHY_MS = 30_000
const FIRST_DELAY_MS = 200
const LONGEST_DELAY_MS = 10_000

/**
 * Starts an instance of an app and starts it again, after a growing delay, whenever it dies before it is stopped. That it died and that it is
 * back is told; what it does in between only when it is something else than before.
 */
export function startProcess(options: ProcessOptions): AppProcess {
  const { app, instance, home } = options
  const label = `${app.name} ${instance}`
  const logPath = join(home, 'logs', `${app.name}-${instance}.log`)
  let child: ChildProcess | undefined
  let stopping = false
  let delayMs = FIRST_DELAY_MS
  let again: NodeJS.Timeout | undefined
  const first = Promise.withResolvers<Ready & { ms: number }>()
  let wasReady = false
  let tries = 0
  const say = onlyChanges(options.say)

  function launch(): void {
    const startedAt = Date.now()
    tries++
    const log = openLog(logPath)
    // Its own process group: Ctrl-C in a terminal reaches only the CLI, which stops things in order.
    const started = spawn(process.execPath, ['src/main.ts'], {
      cwd: app.folder,
      env: options.env,
      stdio: ['ignore', log.stdio, log.stdio, 'ipc'],
      detached: true
    })
    log.close()
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
    // A process that could not be made tells that, and nothing of an end.
    started.on('error', (error) => {
      if (started.pid === undefined) void ended(error.message)
    })
    started.on('exit', (code, signal) => void ended(signal ?? `exit code ${code}`))

    async function ended(how: string): Promise<void> {
      clearTimeout(late)
      options.onDown()
      if (stopping) return
      if (!wasReady && tries < FIRST_TRIES) {
        say(`${label} did not start (${how}); it is tried again. See ${logPath}`)
        again = setTimeout(launch, delayMs)
        delayMs *= 2
        return
      }
      if (!wasReady) {
        first.reject(
          new StartError(`${label} did not start (${how}). The end of ${logPath}:\n${await lastLines(logPath)}`)
        )
        return
      }
      if (readyAt > 0 && Date.now() - readyAt > HEALTHY_MS) delayMs = FIRST_DELAY_MS
      say(
        readyAt > 0
          ? `${label} died (${how}); starting again in ${delayMs} ms`
          : `${label} did not come back (${how}); it is tried again, at the latest every ${LONGEST_DELAY_MS / 1000} s. See ${logPath}`
      )
      again = setTimeout(launch, delayMs)
      delayMs = Math.min(LONGEST_DELAY_MS, delayMs * 2)
    }
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
