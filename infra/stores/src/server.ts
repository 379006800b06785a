import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { StartError } from './faults.ts'
import { isFree } from './ports.ts'
import { tether } from './tether.ts'

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
  /** Undefined for a store that runs elsewhere. */
  pid(): number | undefined
  /** SIGTERM, and SIGKILL after the bound. */
  stop(): Promise<void>
  kill(signal: NodeJS.Signals): void
}

export type ServerEvents = {
  /** Told when a server has died and when it is back. */
  onChange?(name: string, what: string): void
  /** Ends a start that is under way. */
  signal?: AbortSignal
}

const READY_MS = 30_000
const STOP_MS = 15_000
const HEALTHY_MS = 30_000
const FIRST_DELAY_MS = 200
const LONGEST_DELAY_MS = 10_000

/**
 * Starts a server and keeps it running: one that dies is started again on the same port after a growing delay.
 * The process dies with this one where the system offers that; its pid is noted so that a later start finds an orphan.
 */
export async function startServer(spec: ServerSpec, events: ServerEvents = {}): Promise<Server> {
  if (!(await isFree(spec.port))) throw new StartError(`${spec.name}: port ${spec.port} is in use`)
  let child: ChildProcess
  let running = false
  let stopping = false
  let delayMs = FIRST_DELAY_MS
  let restart: NodeJS.Timeout | undefined

  async function launch(): Promise<void> {
    const startedAt = Date.now()
    const log = openSync(join(spec.home, 'logs', `${spec.name}.log`), 'a')
    const [command, ...args] = [...tether(), spec.binary, ...spec.args] as [string, ...string[]]
    // Its own process group: Ctrl-C in a terminal reaches only the CLI, which stops things in order.
    const started = spawn(command, args, { stdio: ['ignore', log, log], detached: true })
    child = started
    closeSync(log)
    let failed: Error | undefined
    started.once('error', (error) => {
      failed = error
    })
    started.once('exit', (code, signal) => {
      failed = new Error(`it ended with ${signal ?? `exit code ${code}`}`)
      if (stopping || !running) return
      if (Date.now() - startedAt > HEALTHY_MS) delayMs = FIRST_DELAY_MS
      events.onChange?.(spec.name, `died (${signal ?? `exit code ${code}`}); starting again in ${delayMs} ms`)
      restart = setTimeout(() => void relaunch(), delayMs)
      delayMs = Math.min(LONGEST_DELAY_MS, delayMs * 2)
    })
    if (started.pid !== undefined) await writeFile(join(spec.home, `${spec.name}.pid`), String(started.pid))
    try {
      await untilReady(() => failed)
    } catch (error) {
      // One that runs but doesn't answer is ended, so that it is started again like one that died.
      started.kill('SIGKILL')
      throw error
    }
  }

  async function relaunch(): Promise<void> {
    try {
      await launch()
      if (!stopping) events.onChange?.(spec.name, 'is back')
    } catch (error) {
      if (!stopping) events.onChange?.(spec.name, `did not come back: ${(error as Error).message}`)
    }
  }

  async function untilReady(failure: () => Error | undefined): Promise<void> {
    const until = Date.now() + READY_MS
    for (;;) {
      const failed = failure()
      if (stopping) return
      if (!running) events.signal?.throwIfAborted()
      if (failed !== undefined)
        throw new StartError(`${spec.name} did not start: ${failed.message}${await lastLine(spec)}`)
      try {
        return await spec.ready()
      } catch (error) {
        if (Date.now() > until) {
          throw new StartError(
            `${spec.name} did not answer within ${READY_MS / 1000} s: ${(error as Error).message}${await lastLine(spec)}`
          )
        }
        await delay(25)
      }
    }
  }

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

  try {
    await launch()
  } catch (error) {
    await end()
    throw error
  }
  running = true

  return {
    name: spec.name,
    port: spec.port,
    pid: () => child.pid,
    stop: end,
    kill: (signal) => void child.kill(signal)
  }
}

/** The last line of a server's log that tells of a fault, as a clause for a message. */
async function lastLine(spec: ServerSpec): Promise<string> {
  const text = await readFile(join(spec.home, 'logs', `${spec.name}.log`), 'utf8').catch(() => '')
  const line = text
    .trim()
    .split('\n')
    .findLast((l) => /error|fatal|fail|denied|No space/i.test(l))
  return line === undefined ? '' : ` (its log says: ${line.slice(0, 300)})`
}
