import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { StartError } from './faults.ts'
import { keepFile } from './kept-file.ts'
import { isFree } from './ports.ts'
import { hasRoom, onlyChanges, openLog } from './room.ts'
import { tether } from './tether.ts'

export type ServerSpec = {
  name: string
  binary: string
  args: string[]
  port: number
  home: string
  /** Resolves when the server answers; called again and again until the bound. */
  ready(): Promise<void>
  /** What a server that runs says it cannot write any more, when only a restart on a disk with room mends that. Asked every second. */
  stuck?(): Promise<string | undefined>
}

/** A store's process, restarted when it dies until it is stopped. */
export type Server = {
  readonly name: string
  readonly port: number
  /** Undefined while it does not run, and for a store that runs elsewhere. */
  pid(): number | undefined
  /** SIGTERM, and SIGKILL after the bound. */
  stop(): Promise<void>
  kill(signal: NodeJS.Signals): void
}

export type ServerEvents = {
  /** Told when a server has died, why it is still away when that changes, and when it is back. */
  onChange?(name: string, what: string): void
  /** Ends a start that is under way. */
  signal?: AbortSignal
}

const READY_MS = 30_000
const STOP_MS = 15_000
const HEALTHY_MS = 30_000
const FIRST_DELAY_MS = 200
const LONGEST_DELAY_MS = 10_000
const WATCH_MS = 1_000

/**
 * Starts a server and keeps it running: one that dies, or can't write any more, is started again on the same port after a growing delay, for
 * lack of room not before there is some. The process dies with this one where the system offers that; its pid is noted so that a later start
 * finds an orphan.
 */
export async function startServer(spec: ServerSpec, events: ServerEvents = {}): Promise<Server> {
  if (!(await isFree(spec.port))) throw new StartError(`${spec.name}: port ${spec.port} is in use`)
  let child: ChildProcess | undefined
  let stopping = false
  let ready = false
  let delayMs = FIRST_DELAY_MS
  let restart: NodeJS.Timeout | undefined
  const tell = onlyChanges((what) => {
    if (!stopping) events.onChange?.(spec.name, what)
  })
  const pidFile = keepFile(join(spec.home, `${spec.name}.pid`), tell)

  /** Resolves when it answers. One that does not is ended before this rejects. */
  async function launch(): Promise<void> {
    const startedAt = Date.now()
    const log = openLog(join(spec.home, 'logs', `${spec.name}.log`))
    const [command, ...args] = [...tether(), spec.binary, ...spec.args] as [string, ...string[]]
    // Its own process group: Ctrl-C in a terminal reaches only the CLI, which stops things in order.
    const started = spawn(command, args, { stdio: ['ignore', log.stdio, log.stdio], detached: true })
    log.close()
    child = started
    ready = false
    let failed: Error | undefined
    started.once('error', (error) => {
      failed = error
    })
    started.once('exit', (code, signal) => {
      const how = signal ?? `exit code ${code}`
      failed = new Error(`it ended with ${how}`)
      if (!ready) return
      ready = false
      if (Date.now() - startedAt > HEALTHY_MS) delayMs = FIRST_DELAY_MS
      tell(`died (${how}); starting again in ${delayMs} ms`)
      startAgain()
    })
    if (started.pid !== undefined) await pidFile.set(String(started.pid))
    try {
      await untilReady(() => failed)
    } catch (error) {
      await terminate(started, 'SIGKILL')
      throw error
    }
    ready = true
    if (spec.stuck !== undefined) void watch(started, spec.stuck)
  }

  function startAgain(): void {
    if (stopping) return
    restart = setTimeout(() => void relaunch(), delayMs)
    delayMs = Math.min(LONGEST_DELAY_MS, delayMs * 2)
  }

  async function relaunch(): Promise<void> {
    const room = await hasRoom(spec.home)
    if (stopping) return
    try {
      if (!room) throw new Error(`nothing can be written in ${spec.home}; it is started again once there is room`)
      await launch()
      tell('is back')
    } catch (error) {
      tell(`did not come back: ${(error as Error).message}`)
      startAgain()
    }
  }

  /** Ends a server that cannot write, once the disk takes something again; that it has ended starts it again. */
  async function watch(started: ChildProcess, stuck: () => Promise<string | undefined>): Promise<void> {
    while (ready && child === started && !stopping) {
      await delay(WATCH_MS, undefined, { ref: false })
      const what = await stuck().catch(() => undefined) // one that does not answer is seen by those who need it, or dies
      if (what === undefined || !ready || stopping) continue
      tell(`cannot write (${what}); it is started again once there is room`)
      if (!(await hasRoom(spec.home)) || !ready || stopping) continue
      ready = false
      await terminate(started)
      startAgain()
    }
  }

  async function untilReady(failure: () => Error | undefined): Promise<void> {
    const until = Date.now() + READY_MS
    for (;;) {
      const failed = failure()
      if (stopping) return
      events.signal?.throwIfAborted()
      if (failed !== undefined)
        throw new StartError(`${spec.name} did not start: ${failed.message}${await lastLine(spec)}`)
      try {
        await spec.ready()
        if (failure() === undefined) return
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
    if (child !== undefined) await terminate(child)
    await pidFile.end()
  }

  try {
    await launch()
  } catch (error) {
    await end()
    throw error
  }

  return {
    name: spec.name,
    port: spec.port,
    pid: () => (child !== undefined && runs(child) ? child.pid : undefined),
    stop: end,
    kill: (signal) => void child?.kill(signal)
  }
}

function runs(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null
}

/** Ends a process and waits until it has ended: SIGKILL after the bound. */
async function terminate(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (!runs(child)) return
  const exited = once(child, 'exit')
  child.kill(signal)
  const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await exited
  clearTimeout(late)
}

/** The last line of a server's log that tells of a fault, as a clause for a message. */
async function lastLine(spec: ServerSpec): Promise<string> {
  const text = await readFile(join(spec.home, 'logs', `${spec.name}.log`), 'utf8').catch(() => '')
  const lines = text.trim().split('\n')
  const line = lines.findLast((l) => /error|fatal|fail|denied|No space/i.test(l)) ?? lines.at(-1)
  return line ? ` (its log says: ${line.slice(0, 300)})` : ''
}
