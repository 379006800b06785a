import type { ChildProcess } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from '@skerry/service'

/** A worker that has said that it is ready. */
export type Member = {
  readonly worker: ChildProcess
  readonly url: string
  readonly ops: string
  readonly since: number
  retiring: boolean
}

/** What workers tell their primary: a spare, that its code is loaded; any, that it takes connections, or only that it lives. */
export type Message = { type: 'spare' } | { type: 'beat' } | { type: 'ready'; url: string; ops: string }
/** What a spare is told when it is to become a worker. */
export const GO = 'go'

export type PoolOptions = {
  workers: number
  /** Keeps one more process, which has loaded its code and waits to take the place of a worker that dies. */
  spare: boolean
  fork(spare: boolean): ChildProcess
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
/** The longest after one that had got ready: new ones do, so that clients need not wait longer than for that. */
const SOON_MS = 1_000
/** Who lived for so long did not die of its start. */
const STEADY_MS = 30_000

/**
 * Keeps a number of worker processes alive. One that dies is replaced by the spare at once, where there is one, and otherwise by a new one after
 * a delay that grows while they go on dying, to 1 s, and to 10 s while they do not get ready; so is the spare.
 */
export function createPool(options: PoolOptions): Pool {
  const { log, workers } = options
  const members = new Set<Member>()
  const processes = new Set<ChildProcess>()
  let spare: { readonly worker: ChildProcess; loaded: boolean } | undefined
  let spareDelayMs = FIRST_DELAY_MS
  let spareAt = 0
  /** Wakes who waits for a spare. */
  let spareComes = () => {}
  let launching = 0
  let delayMs = FIRST_DELAY_MS
  let filling = false
  let started = false
  let rotating: Promise<void> | undefined
  let wanted = false
  const stopping = new AbortController()
  const serving = () => [...members].filter(({ retiring }) => !retiring).length

  function fork(asSpare: boolean): ChildProcess {
    const worker = options.fork(asSpare)
    processes.add(worker)
    worker.once('exit', () => processes.delete(worker))
    // It is told to a process that has just ended: 'exit' says so.
    worker.on('error', (error) => log.warn({ worker: worker.pid, reason: error.message }, 'worker cannot be reached'))
    return worker
  }

  /** Resolves when a worker is ready: a new one, or the spare that becomes one. */
  function launch(worker = fork(false)): Promise<Member> {
    const { promise, resolve, reject } = Promise.withResolvers<Member>()
    let member: Member | undefined
    launching++
    const late = setTimeout(() => {
      log.error({ worker: worker.pid, readyMs: options.readyMs }, 'worker was not ready in time: killing it')
      worker.kill('SIGKILL')
    }, options.readyMs)
    const settled = () => {
      clearTimeout(late)
      launching--
    }
    worker.on('message', (message: Message) => {
      if (message.type !== 'ready' || member !== undefined) return
      settled()
      member = { worker, url: message.url, ops: message.ops, since: performance.now(), retiring: false }
      members.add(member)
      resolve(member)
    })
    worker.once('exit', (code, killedBy) => {
      const how = killedBy ?? `exit code ${code}`
      if (member === undefined) {
        settled()
        reject(new Error(`worker ${worker.pid} did not get ready (${how})`))
      } else {
        members.delete(member)
        if (member.retiring) return
        delayMs = performance.now() - member.since > STEADY_MS ? FIRST_DELAY_MS : Math.min(delayMs, SOON_MS)
        log.error({ worker: worker.pid, how, delayMs }, 'worker exited unexpectedly: starting a replacement')
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
      let taken = takeSpare()
      if (taken === undefined) {
        const waited = delayMs
        delayMs = Math.min(LONGEST_DELAY_MS, delayMs * 2)
        if (!(await pauseForSpare(waited)) || serving() + launching >= workers) break
        taken = takeSpare()
      }
      await launch(taken).catch((error) =>
        log.error({ reason: (error as Error).message }, 'failed to replace a worker, retrying')
      )
    }
    filling = false
    void keepSpare()
  }

  /** False when there is nothing more to wait for. */
  function pause(ms: number): Promise<boolean> {
    return delay(ms, true, { signal: stopping.signal }).catch(() => false)
  }

  /** The same, but no longer than until there is a spare to take; one that is loading is awaited instead: it has begun before another would. */
  async function pauseForSpare(ms: number): Promise<boolean> {
    const over = new AbortController()
    spareComes = () => over.abort()
    const { signal } = over
    await delay(spare === undefined ? ms : options.readyMs, undefined, {
      signal: AbortSignal.any([signal, stopping.signal])
    }).catch(() => 'there is one, or all is over')
    spareComes = () => {}
    return !stopping.signal.aborted
  }

  function takeSpare(): ChildProcess | undefined {
    if (spare?.loaded !== true) return undefined
    const { worker } = spare
    spare = undefined
    worker.send(GO)
    return worker
  }

  /** Makes a spare where there is none; with pauses between them that grow while they are taken, or end, one soon after the other. */
  async function keepSpare(): Promise<void> {
    if (!options.spare) return
    const now = performance.now()
    if (now - spareAt > STEADY_MS) spareDelayMs = FIRST_DELAY_MS
    if (!(await pause(spareDelayMs)) || spare !== undefined || rotating !== undefined) return
    spareDelayMs = Math.min(LONGEST_DELAY_MS, spareDelayMs * 2)
    spareAt = performance.now()
    const made = { worker: fork(true), loaded: false }
    spare = made
    made.worker.on('message', ({ type }: Message) => {
      if (type !== 'spare') return
      made.loaded = true
      spareDelayMs = Math.min(spareDelayMs, SOON_MS)
      spareComes()
    })
    made.worker.once('exit', () => {
      if (spare !== made) return
      spare = undefined
      // Who waits for it has to do without.
      spareComes()
      void keepSpare()
    })
  }

  async function retire(member: Member): Promise<void> {
    member.retiring = true
    await end(member.worker)
  }

  async function end(worker: ChildProcess): Promise<void> {
    if (!processes.has(worker)) return
    const exited = new Promise((resolve) => worker.once('exit', resolve))
    worker.kill('SIGTERM')
    const late = setTimeout(() => {
      log.error({ worker: worker.pid, stopMs: options.stopMs }, 'worker did not stop in time: killing it')
      worker.kill('SIGKILL')
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
        log.info({ worker: fresh.worker.pid, instead: old.worker.pid }, 'worker replaced')
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
      // What it has loaded is what is to be replaced.
      spare?.worker.kill('SIGKILL')
      await round()
    }
    rotating = undefined
    void keepSpare()
  }

  return {
    async start() {
      const ready = await Promise.all(Array.from({ length: workers }, () => launch()))
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
      spare?.worker.kill('SIGKILL')
      await Promise.all(Array.from(processes, end))
    }
  }
}
