import type { ChildProcess } from 'node:child_process'
import type { Logger } from '@skerry/service'
import type { Message } from './pool.ts'
import { type VitalSigns, vitalSignsOf } from './vital-signs.ts'

/** How often a worker says so, at most so many in the time after which it is found to hang. */
const BEATS = 10
/** So many times that time for one that does neither run nor is stopped, as far as can be told. */
const PATIENCE = 3

export type WatchOptions = {
  /** Without a beat for so long a worker is looked at, ms. */
  hangMs: number
  log: Pick<Logger, 'error'>
  onHung(): void
  /** How a process is; what Linux says unless given. */
  look?: (pid: number) => VitalSigns | undefined
}

/** Kills workers that hang. */
export type Watch = {
  /** Watches a process until it ends. */
  add(worker: ChildProcess): void
  /** A beat's time has passed. */
  tick(): void
  close(): void
}

/** How often a worker is to say that it lives, ms. */
export function beatEvery(hangMs: number): number {
  return Math.max(10, Math.floor(hangMs / BEATS))
}

/** `loaded`: its code is; before, it may come round seldom, and only one that is stopped is killed. */
type Watched = { silentMs: number; cpuMs: number | undefined; loaded: boolean }

/**
 * Finds workers whose event loop does not come round, and kills them, so that others take their place: a stopped process and one that hangs
 * keep their share of new connections waiting, and end nothing.
 *
 * A machine that is only busy must not lose its workers by it. So time is counted in this process's own ticks, of which a pause of its own (or
 * of the whole machine) is one, and beats that have come meanwhile are heard before the next. And silence alone is not enough: a process that
 * has no processor or waits for its memory looks the same. What the kernel says of it tells them apart (`verdict`).
 */
export function createWatch({ hangMs, log, onHung, look = vitalSignsOf }: WatchOptions): Watch {
  const watched = new Map<ChildProcess, Watched>()
  const everyMs = beatEvery(hangMs)
  let timer: NodeJS.Timeout | undefined

  function tick(): void {
    for (const [worker, one] of watched) {
      one.silentMs += everyMs
      if (one.silentMs < hangMs / 2) continue
      const signs = look(worker.pid!)
      one.cpuMs ??= signs?.cpuMs
      if (one.silentMs < hangMs) continue
      const ranMs = signs === undefined ? 0 : signs.cpuMs - (one.cpuMs ?? 0)
      const why = verdict(signs?.state, one.silentMs, ranMs, hangMs)
      if (why === undefined || (!one.loaded && signs?.state !== 'T')) continue
      watched.delete(worker)
      log.error({ worker: worker.pid, silentMs: one.silentMs, ranMs, why }, 'worker hangs: killing it')
      onHung()
      worker.kill('SIGKILL')
    }
  }

  return {
    add(worker) {
      watched.set(worker, { silentMs: 0, cpuMs: undefined, loaded: false })
      worker.on('message', ({ type }: Message) => {
        const before = watched.get(worker)
        if (before !== undefined)
          watched.set(worker, { silentMs: 0, cpuMs: undefined, loaded: before.loaded || type !== 'beat' })
      })
      worker.once('exit', () => watched.delete(worker))
      // The next tick after a pause of this process comes behind what was said to it meanwhile.
      timer ??= setInterval(() => setImmediate(tick), everyMs).unref()
    },
    tick,
    close: () => clearInterval(timer)
  }
}

/**
 * Why a silent process is to be killed; undefined: it is not.
 *
 * - stopped (`T`): it does nothing until somebody lets it.
 * - it has had half of the bound of a processor, and not come round: its code goes on for ever. One that is merely late would have come round.
 * - it waits for a processor (`R`), or for a disk or its memory (`D`): the machine is busy. A debugger holds it (`t`): somebody looks at it.
 * - else (`S`, or where nothing can be seen) it is blocked, for which three times the bound is taken.
 */
function verdict(state: string | undefined, silentMs: number, ranMs: number, hangMs: number): string | undefined {
  if (state === 'T') return 'stopped'
  if (ranMs >= hangMs / 2) return 'runs without end'
  if (state === 'R' || state === 'D' || state === 't') return undefined
  return silentMs >= PATIENCE * hangMs ? 'blocked' : undefined
}

/** Has this process, a worker, say to its primary that its event loop comes round. */
export function startBeating(self: NodeJS.Process, everyMs: number): void {
  let waits = false
  const beat = () => {
    // A primary that is stopped reads nothing: it needs to hear but one.
    if (!self.connected || waits) return
    waits = true
    self.send?.({ type: 'beat' } satisfies Message, () => {
      waits = false
    })
  }
  beat()
  setInterval(beat, everyMs).unref()
}
