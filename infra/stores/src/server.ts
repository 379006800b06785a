import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { StartError } from './faults.ts'
import { isFree } from './ports.ts'

export type ServerSpec = {
  name: string
  binary: string
  args: string[]
  port: number
  home: string
  /** Resolves when the server answers; called again and again until the bound. */
  ready(): Promise<void>
}

/** A store's process, restarted when it dies until it is stopped. */
export type Server = {
  readonly name: string
  readonly port: number
  pid(): number | undefined
  /** SIGTERM, and SIGKILL after the bound. */
  stop(): Promise<void>
  kill(signal: NodeJS.Signals): void
}

export type ServerEvents = {
  /** Told when a server has died and when it is back. */
  onChange?(name: string, what: string): void
}

const READY_MS = 30_000
const STOP_MS = 15_000

/**
 * Starts a server and keeps it running: one that dies is started again on the same port after a growing delay.
 * The process dies with this one where the system offers that; its pid is noted so that a later start finds an orphan.
 */
export async function startServer(spec: ServerSpec, events: ServerEvents = {}): Promise<Server> {
  if (!(await isFree(spec.port))) throw new StartError(`${spec.name}: port ${spec.port} is taken`)
  let child: ChildProcess
  let stopping = false
  let delayMs = 200
  let restart: NodeJS.Timeout | undefined

  async function launch(): Promise<void> {
    const startedAt = Date.now()
    const log = openSync(join(spec.home, 'logs', `${spec.name}.log`), 'a')
    // Its own process group: Ctrl-C in a terminal reaches only the CLI, which stops things in order.
    child = spawn(spec.binary, spec.args, { stdio: ['ignore', log, log], detached: true })
    closeSync(log)
    let failed: Error | undefined
    child.once('error', (error) => {
      failed = error
    })
    child.once('exit', (code, signal) => {
      if (stopping) return
      failed = new Error(`it ended with ${signal ?? `exit code ${code}`}`)
      if (!running) return
      if (Date.now() - startedAt > 30_000) delayMs = 200
      events.onChange?.(spec.name, `died (${signal ?? `exit code ${code}`}); starting again in ${delayMs} ms`)
      restart = setTimeout(() => void relaunch(), delayMs)
      delayMs = Math.min(10_000, delayMs * 2)
    })
    if (child.pid !== undefined) await writeFile(join(spec.home, `${spec.name}.pid`), String(child.pid))
    await untilReady(() => failed)
  }

  async function relaunch(): Promise<void> {
    try {
      await launch()
      events.onChange?.(spec.name, 'is back')
    } catch (error) {
      events.onChange?.(spec.name, `did not come back: ${(error as Error).message}`)
    }
  }

  async function untilReady(failure: () => Error | undefined): Promise<void> {
    const until = Date.now() + READY_MS
    for (;;) {
      const failed = failure()
      if (failed !== undefined)
        throw new StartError(`${spec.name} did not start: ${failed.message}${await lastLines(spec)}`)
      try {
        return await spec.ready()
      } catch (error) {
        if (stopping) return
        if (Date.now() > until) {
          throw new StartError(
            `${spec.name} did not answer within ${READY_MS / 1000} s: ${(error as Error).message}${await lastLines(spec)}`
          )
        }
        await delay(25)
      }
    }
  }

  let running = false
  try {
    await launch()
  } catch (error) {
    await end()
    throw error
  }
  running = true

  async function end(): Promise<void> {
    stopping = true
    clearTimeout(restart)
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await exited
    clearTimeout(late)
  }

  return {
    name: spec.name,
    port: spec.port,
    pid: () => child.pid,
    stop: end,
    kill: (signal) => void child.kill(signal)
  }
}

/** Ends a server that an earlier run left behind: only when the noted pid still runs with this home in its command line. */
export async function endOrphan(name: string, home: string, say: (line: string) => void): Promise<void> {
  const pid = Number(await readFile(join(home, `${name}.pid`), 'utf8').catch(() => '0'))
  if (!(pid > 0)) return
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  if (!command.includes(home)) return
  say(`${name}: ending process ${pid}, left by an earlier run`)
  process.kill(pid, 'SIGTERM')
  const until = Date.now() + STOP_MS
  while (
    await readFile(`/proc/${pid}/cmdline`, 'utf8').then(
      (c) => c !== '',
      () => false
    )
  ) {
    if (Date.now() > until) process.kill(pid, 'SIGKILL')
    await delay(50)
  }
}

async function lastLines(spec: ServerSpec): Promise<string> {
  const text = await readFile(join(spec.home, 'logs', `${spec.name}.log`), 'utf8').catch(() => '')
  const line = text
    .trim()
    .split('\n')
    .findLast((l) => /error|fatal|fail|denied|No space/i.test(l))
  return line === undefined ? '' : ` (its log says: ${line.slice(0, 300)})`
}
