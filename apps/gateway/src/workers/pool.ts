import type { Worker } from 'node:cluster'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '@skerry/service'

/** A worker that has said that it is ready. */
export type Member = {
  readonly worker: Worker
  readonly url: string
  readonly ops: string
  readonly since: number
  retiring: boolean
}

export type PoolOptions = {
  workers: number
  fork(): Worker
  log: Logger
  /** How long a worker has to get ready, and to end after SIGTERM, before it is killed (milliseconds). */
  readyMs: number
  stopMs: number
}

export type Pool = {
  /** Starts the workers. Resolves when all are ready; throws when one does not get there. */
  start(): Promise<Member>
  /** Those that are ready, and those that are on their way out. */
  members(): readonly Member[]
  /** How many take connections. */
  serving(): number
  /**
   * Replaces the workers one after the other: a new one is ready before the old one is told to end, and the old one has ended before the
   * next begins. What does not get ready ends the round, and the others stay. One more round follows if it was asked for meanwhile.
   */
  rotate(): Promise<void>
  /** Ends all of them. */
  stop(): Promise<void>
}

const FIRST_DELAY_MS = 200
const LONGEST_DELAY_MS = 10_000
/** Who lived for so long did not die of its start. */
const STEADY_MS = 30_000

/** Keeps a number of worker processes alive. One that dies is replaced after a delay that grows while they go on dying. */
export function createPool(options: PoolOptions): Pool {
  const { log, workers } = options
  const members = new Set<Member>()
  const processes = new Set<Worker>()
  let launching = 0
  let delayMs = FIRST_DELAY_MS
  let filling = false
  let started = false
  let rotating: Promise<void> | undefined
  let wanted = false
  const stopping = new AbortController()
  const serving = () => [...members].filter(({ retiring }) => !retiring).length

  /** Resolves when a new worker is ready. */
  function launch(): Promise<Member> {
    const worker = options.fork()
    const { promise, resolve, reject } = Promise.withResolvers<Member>()
    let member: Member | undefined
    processes.add(worker)
    launching++
    const late = setTimeout(() => {
      log.error({ worker: worker.id, readyMs: options.readyMs }, 'worker was not ready in time: killing it')
      signal(worker, 'SIGKILL')
    }, options.readyMs)
    const settled = () => {
      clearTimeout(late)
      launching--
    }
    worker.on('message', (message: { type?: string; url: string; ops: string }) => {
      if (message.type !== 'ready' || member !== undefined) return
      settled()
      member = { worker, url: message.url, ops: message.ops, since: performance.now(), retiring: false }
      members.add(member)
      resolve(member)
    })
    worker.once('exit', (code, killedBy) => {
      processes.delete(worker)
      const how = killedBy ?? `exit code ${code}`
      if (member === undefined) {
        settled()
        reject(new Error(`worker ${worker.id} did not get ready (${how})`))
      } else {
        members.delete(member)
        if (member.retiring) return
        if (performance.now() - member.since > STEADY_MS) delayMs = FIRST_DELAY_MS
        log.error({ worker: worker.id, how, delayMs }, 'worker exited unexpectedly: starting a replacement')
      }
      if (started) void fill()
    })
    return promise
  }

  /** Brings back what is missing. */
  async function fill(): Promise<void> {
    if (filling) return
    filling = true
    while (!stopping.signal.aborted && serving() + launching < workers) {
      const waited = delayMs
      delayMs = Math.min(LONGEST_DELAY_MS, delayMs * 2)
      if (!(await delay(waited, true, { signal: stopping.signal }).catch(() => false))) break
      if (serving() + launching >= workers) break
      await launch().catch((error) =>
        log.error({ reason: (error as Error).message }, 'failed to replace a worker, retrying')
      )
    }
    filling = false
  }

  async function retire(member: Member): Promise<void> {
    member.retiring = true
    await end(member.worker)
  }

  async function end(worker: Worker): Promise<void> {
    if (!processes.has(worker)) return
    const exited = new Promise((resolve) => worker.once('exit', resolve))
    signal(worker, 'SIGTERM')
    const late = setTimeout(() => {
      log.error({ worker: worker.id, stopMs: options.stopMs }, 'worker did not stop in time: killing it')
      signal(worker, 'SIGKILL')
    }, options.stopMs)
    await exited
    clearTimeout(late)
  }

  async function round(): Promise<void> {
    for (const old of [...members]) {
      if (stopping.signal.aborted) return
      if (old.retiring || !members.has(old)) continue
      try {
        const fresh = await launch()
        log.info({ worker: fresh.worker.id, instead: old.worker.id }, 'worker replaced')
      } catch (error) {
        if (!stopping.signal.aborted)
          log.error(
            { reason: (error as Error).message },
            'the new worker did not become ready: the other workers are not replaced'
          )
        return
      }
      if (members.has(old)) await retire(old)
    }
  }

  async function rounds(): Promise<void> {
    while (wanted && !stopping.signal.aborted) {
      wanted = false
      await round()
    }
    rotating = undefined
  }

  return {
    async start() {
      const ready = await Promise.all(Array.from({ length: workers }, launch))
      started = true
      void fill()
      return ready[0]!
    },
    members: () => [...members],
    serving,
    rotate() {
      wanted = true
      rotating ??= rounds()
      return rotating
    },
    async stop() {
      stopping.abort()
      for (const member of members) member.retiring = true
      await Promise.all(Array.from(processes, end))
    }
  }
}

function signal({ process: child }: Worker, name: NodeJS.Signals): void {
  child.kill(name)
}
