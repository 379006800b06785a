import type { Application, Applied, Outcomes } from './application.ts'
import { applyOnce, applyRepeatable, applyTogether } from './apply-once.ts'
import type { ConsumingOptions } from './consuming-options.ts'
import { createMarks } from './marks.ts'
import { createPace } from './pace.ts'
import type { Subscription } from './subscription.ts'

/** Events of handlers that take one, which share a transaction, at most. */
const MOST = 32
/** What a handler that takes many gets at most; one event alone may have more bytes. */
export const MANY = { events: 128, bytes: 1_000_000 } as const
/** Transactions at once: few, so that events that come meanwhile share the next, and seldom meet in a document. */
const LANES = 2
/** Batches of a handler that takes many: what comes while one is under way is the next, unless that is slow. */
const LANES_MANY = 1
/** A batch of such a handler that takes longer than this makes room for the next. In milliseconds. */
const SLOW_MS = 50
/** The same while a full one waits: enough to keep a process busy where each answer takes a millisecond. */
const LANES_FULL = 8
/** A batch that takes longer makes the next ones smaller. In milliseconds. */
const LONG_MS = 500
/** The same for a handler that takes many, which has more time: on a slow machine many small batches take longer than few large ones. */
const LONG_MANY_MS = 2_000
/** How long events wait for others in a transaction, at most: for one that is slow, or a conflict that outlasts. In milliseconds. */
const BOUND_MS = 1_000
/** The same for one handler that takes many: it is in the way of its own repeat until it ends, or until mongod ends its transaction. */
const MANY_BOUND_MS = 4_000
/** The same for effects that have no transaction: what has gone so far goes on beside its repeat. */
const REPEATABLE_BOUND_MS = 10_000

const OF_ONE = {
  ...{ most: MOST, lanes: LANES, paceMs: 0, slowMs: BOUND_MS },
  ...{ longMs: LONG_MS, growth: 1 / MOST, boundMs: BOUND_MS }
} as const
const OF_MANY = {
  ...{ most: MANY.events, lanes: LANES_MANY, slowMs: SLOW_MS },
  ...{ longMs: LONG_MANY_MS, growth: 1 / 4 }
} as const

export type Batches = {
  /** Applies events of one order key, in order, together with others that wait. Undefined: each has to be applied by itself. */
  join(applications: readonly Application[], signal: AbortSignal): Promise<Outcomes>
  /**
   * To be waited for before a key's next events are taken for a handler, so that all that comes until then is taken. Undefined: they may be
   * taken at once, as they may be when `signal` aborts.
   */
  turnOf(handle: Subscription['handle'], signal: AbortSignal): Promise<void> | undefined
  /** Nothing more can be taken in before something is done: it is everybody's turn. */
  hurry(): void
  /** How many events of a key a handler takes at once now. */
  mostOf(handle: Subscription['handle']): number
  /** Writes the marks that wait for others: somebody waits for them. */
  flush(): void
}

type Waiting = {
  applications: readonly Application[]
  signal: AbortSignal
  settle(outcomes: Outcomes | Promise<Outcomes>): void
}

type Lanes = {
  /** Events of a batch at most. */
  most: number
  /** Batches at once, while no full one waits. */
  lanes: number
  /** From the beginning of one batch to the turn of those that share the next, at least, while fewer keys wait than a batch may have events. */
  paceMs: number
  /** After this time a batch takes no lane any more; in all there are never more than LANES_FULL. */
  slowMs: number
  /** A batch that takes longer makes the next ones smaller. */
  longMs: number
  /** A full one that does not makes them larger by this part. */
  growth: number
  boundMs: number
  concurrency: number
  /** Applies a single event; what is wrong with it is told. */
  alone(application: Application): Promise<Applied>
  together(
    applications: readonly Application[],
    over: AbortSignal,
    committing: (now: boolean) => void
  ): Promise<readonly Applied[]>
}

/**
 * Applies events together where they come faster than batches end: those that wait when one has ended share the next. Handlers that take one
 * event share a transaction; one that takes many has batches of its own. What goes wrong in a batch is not told: each of its events is to be applied
 * by itself then, so that the error, and the attempt, is the right one's. What was alone rejects as `applyOnce` does. What waits when its signal
 * aborts is not begun.
 */
export function createBatches(options: ConsumingOptions): Batches {
  const { concurrency } = options
  const marks = createMarks(options.store)
  const alone = async (application: Application): Promise<Applied> => ({
    outcome: await applyOnce(options, application)
  })
  const together: Lanes['together'] = (...all) => applyTogether(options, ...all)
  const one = createLanes({ ...OF_ONE, concurrency, alone, together })
  const ofHandlers = new Map<Subscription['handle'], ReturnType<typeof createLanes>>()
  for (const { handle, many, idempotent, paceMs } of options.subscriptions) {
    if (!many || ofHandlers.has(handle)) continue
    const work = idempotent
      ? {
          ...{ concurrency, boundMs: REPEATABLE_BOUND_MS },
          alone: async (application: Application) => (await applyRepeatable(options, [application], marks))[0]!,
          together: (applications: readonly Application[]) => applyRepeatable(options, applications, marks)
        }
      : { concurrency, boundMs: MANY_BOUND_MS, alone, together }
    ofHandlers.set(handle, createLanes({ ...OF_MANY, ...work, paceMs }))
  }
  return {
    join: (applications, signal) =>
      (ofHandlers.get(applications[0]!.subscription.handle) ?? one).join(applications, signal),
    turnOf: (handle, signal) => ofHandlers.get(handle)?.turn(signal),
    hurry() {
      for (const lanes of ofHandlers.values()) lanes.hurry()
    },
    mostOf: (handle) => ofHandlers.get(handle)?.most() ?? 1,
    flush: marks.flush
  }
}

function createLanes({ most: full, lanes, paceMs, slowMs, boundMs, ...rest }: Lanes) {
  const { longMs, growth, concurrency, alone, together } = rest
  const waiting: Waiting[] = []
  let events = 0
  let running = 0
  /** Of those that run, how many take no lane any more. */
  let slow = 0
  /** How many may share the next batch: fewer after one that took long, or on a busy machine all would be begun here and done alone. */
  let most = full
  const pace = createPace(paceMs, () => most)
  let soon = false

  function begin(): void {
    while (waiting.length > 0) {
      const free = events >= full ? LANES_FULL : lanes
      if (running - slow >= free || running >= Math.min(LANES_FULL, concurrency)) return
      pace.begun()
      void run(take())
    }
  }

  /** Those whose turn has come together join one after the other, and share a batch. */
  function beginSoon(): void {
    if (soon) return
    soon = true
    setImmediate(() => {
      soon = false
      begin()
    })
  }

  async function run(batch: readonly Waiting[]): Promise<void> {
    running++
    let isSlow = false
    const timer = setTimeout(() => {
      isSlow = true
      slow++
      begin()
    }, slowMs)
    await apply(batch)
    clearTimeout(timer)
    if (isSlow) slow--
    running--
    begin()
  }

  /** What shares the next batch: whatever a key has is not divided. */
  function take(): Waiting[] {
    let count = 0
    let size = 0
    let bytes = 0
    for (const { applications } of waiting) {
      size += applications.length
      bytes += applications.reduce((sum, one) => sum + one.bytes, 0)
      if (count > 0 && (size > most || bytes > MANY.bytes)) break
      count++
    }
    const batch = waiting.splice(0, count)
    events -= eventsOf(batch)
    return batch
  }

  /** Resolves when the lane is free: one that is stuck does not keep it. */
  async function apply(all: readonly Waiting[]): Promise<void> {
    for (const one of all) if (one.signal.aborted) one.settle(undefined)
    const batch = all.filter((one) => !one.signal.aborted)
    const applications = batch.flatMap((one) => one.applications)
    const [first] = applications
    if (first === undefined) return
    if (applications.length === 1) {
      const outcomes = alone(first).then((applied) => [applied])
      batch[0]!.settle(outcomes)
      await within(boundMs, () => outcomes)
      return
    }
    const begun = performance.now()
    const outcomes = await within(boundMs, (over, committing) => together(applications, over, committing))
    if (performance.now() - begun > longMs) most = Math.max(1, Math.floor(applications.length / 2))
    else if (applications.length >= most) most = Math.min(full, most + Math.ceil(most * growth))
    let from = 0
    for (const one of batch) {
      const until = from + one.applications.length
      one.settle(outcomes?.slice(from, until))
      from = until
    }
  }

  return {
    most: () => most,
    turn: pace.turn,
    hurry: pace.open,
    join: (applications: readonly Application[], signal: AbortSignal) =>
      new Promise<Outcomes>((settle) => {
        waiting.push({ applications, signal, settle })
        events += applications.length
        if (paceMs === 0) begin()
        else beginSoon()
      })
  }
}

function eventsOf(batch: readonly Waiting[]): number {
  return batch.reduce((sum, { applications }) => sum + applications.length, 0)
}

/**
 * What comes of work, undefined if it fails or takes longer: `over` aborts then. Once it says that it is committing its end is waited for,
 * which the store bounds.
 */
function within(
  ms: number,
  work: (over: AbortSignal, committing: (now: boolean) => void) => Promise<Outcomes>
): Promise<Outcomes> {
  return new Promise((resolve) => {
    const over = new AbortController()
    let commits = false
    const timer = setTimeout(() => {
      over.abort(new Error('events that are applied together took too long'))
      if (!commits) resolve(undefined)
    }, ms)
    work(over.signal, (now) => {
      commits = now
    })
      .then(resolve, () => resolve(undefined))
      .finally(() => clearTimeout(timer))
  })
}
