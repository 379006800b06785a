import type { Application, Outcome } from './application.ts'
import { applyOnce, applyTogether } from './apply-once.ts'
import type { ConsumingOptions } from './stretch-options.ts'

/** Events that share a transaction, at most. */
const MOST = 32
/** Transactions at once: few, so that events that come meanwhile share the next, and seldom meet in a document. */
const LANES = 2
/** The same while a full one waits: enough to keep a process busy where each answer takes a millisecond. */
const LANES_FULL = 8
/** A transaction that takes longer makes the next ones smaller. In milliseconds. */
const LONG_MS = 500
/** How long events wait for the handlers of others, at most: for one that is slow, or a conflict that outlasts. In milliseconds. */
const BOUND_MS = 1_000

type Waiting = { application: Application; signal: AbortSignal; settle(outcome: Outcome | Promise<Outcome>): void }

/**
 * Applies events of different order keys, together where they come faster than transactions end: those that wait when one has ended share
 * the next. What goes wrong in a shared one is not told: each of its events is to be applied by itself then, so that the error, and the
 * attempt, is the right one's. What was alone rejects as `applyOnce` does. What waits when its signal aborts is not begun.
 */
export function createBatches(
  options: ConsumingOptions
): (application: Application, signal: AbortSignal) => Promise<Outcome> {
  const waiting: Waiting[] = []
  let running = 0
  /** How many may share the next transaction: fewer after one that took long, or on a busy machine all would be begun here and done alone. */
  let most = MOST

  function begin(): void {
    while (waiting.length > 0) {
      const lanes = waiting.length >= MOST ? LANES_FULL : LANES
      if (running >= Math.min(lanes, options.concurrency)) return
      const batch = waiting.splice(0, most)
      running++
      void apply(batch).finally(() => {
        running--
        begin()
      })
    }
  }

  /** Resolves when the lane is free: one that is stuck does not keep it. */
  async function apply(all: readonly Waiting[]): Promise<void> {
    for (const one of all) if (one.signal.aborted) one.settle(undefined)
    const batch = all.filter((one) => !one.signal.aborted)
    const [first] = batch
    if (first === undefined) return
    if (batch.length === 1) {
      const outcome = applyOnce(options, first.application)
      first.settle(outcome)
      await within(BOUND_MS, () => outcome)
      return
    }
    const applications = batch.map((one) => one.application)
    const begun = performance.now()
    const outcome = await within(BOUND_MS, (over, committing) => applyTogether(options, applications, over, committing))
    if (performance.now() - begun > LONG_MS) most = Math.max(1, Math.floor(batch.length / 2))
    else if (batch.length === most) most = Math.min(MOST, most + 1)
    for (const one of batch) one.settle(outcome)
  }

  return (application, signal) =>
    new Promise((settle) => {
      waiting.push({ application, signal, settle })
      begin()
    })
}

/**
 * What comes of work, undefined if it fails or takes longer: `over` aborts then. Once it says that it is committing its end is waited for,
 * which the store bounds.
 */
function within(
  ms: number,
  work: (over: AbortSignal, committing: (now: boolean) => void) => Promise<Outcome>
): Promise<Outcome> {
  return new Promise((resolve) => {
    const over = new AbortController()
    let commits = false
    const timer = setTimeout(() => {
      over.abort(new Error('events that share a transaction took too long'))
      if (!commits) resolve(undefined)
    }, ms)
    work(over.signal, (now) => {
      commits = now
    })
      .then(resolve, () => resolve(undefined))
      .finally(() => clearTimeout(timer))
  })
}
