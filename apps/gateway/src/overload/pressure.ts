import { type EventLoopUtilization, performance } from 'node:perf_hooks'
import type { Priority } from '@skerry/contracts'

/** How often the loop is looked at, ms. */
export const PRESSURE_SAMPLE_MS = 50
/** Weight of one sample: a single long pause, a collection of garbage, is not pressure. */
const WEIGHT = 0.3
/** A loop that is late while it has time to spare was not given the processor; shedding would not help it. */
const BUSY = 0.8
/** A burst that is over before so many samples in a row were too late is no pressure. */
const GRACE_SAMPLES = 10
/** How far above its target delay counts, in targets. */
const MOST_ABOVE = 3
/** What pressure changes by in one sample for delay of a whole target too much, and for a change of delay by a whole target. */
const INTEGRAL = 0.01
const PROPORTIONAL = 0.05

/** From which pressure to which a priority is shed, from none to all of it; what is critical to no more than a half. */
const RANGES: Readonly<Record<Priority, readonly [from: number, to: number]>> = {
  low: [0, 0.2],
  normal: [0.2, 0.75],
  high: [0.75, 0.95],
  critical: [0.95, 1.05]
}

/**
 * Pressure on this process, 0–1, from how late its event loop is: a proportional-integral controller in its velocity form, so that pressure
 * settles where the delay is what it may be, and from whatever it was it ends only after the delay has been below for a while. Each
 * priority has a range of it, so that no reads are shed before all crawlers are, and no writes before all reads.
 */
export class Pressure {
  level = 0
  /** Smoothed, ms. */
  delayMs = 0
  private readonly targetMs: number
  private readonly random: () => number
  private error = 0
  /** Samples in a row that were above the target. */
  private late = 0

  /** @param random 0–1, decides which requests are shed */
  constructor(targetMs: number, random: () => number) {
    this.targetMs = targetMs
    this.random = random
  }

  /** Takes in how late the loop was (ms) and which part of the time it was busy (0–1). */
  sample(delayMs: number, utilization: number): void {
    const { targetMs } = this
    this.delayMs += (Math.min(delayMs, targetMs * (1 + MOST_ABOVE)) - this.delayMs) * WEIGHT
    const error = utilization < BUSY ? -1 : this.delayMs / targetMs - 1
    this.late = error > 0 ? this.late + 1 : 0
    if (this.level > 0 || this.late > GRACE_SAMPLES) {
      const level = this.level + INTEGRAL * error + PROPORTIONAL * (error - this.error)
      this.level = Math.min(1, Math.max(0, level))
    }
    // From rest only what is too much counts, not how calm it was before.
    this.error = this.level === 0 ? Math.max(0, error) : error
  }

  /** Whether a request is to be refused. Costs nothing while there is no pressure. */
  sheds(priority: Priority): boolean {
    if (this.level === 0) return false
    const [from, to] = RANGES[priority]
    return this.level > from && this.random() * (to - from) < this.level - from
  }
}

/** Samples this process until it is stopped; answers how to stop. */
export function watchLoop(pressure: Pressure): () => void {
  let last = performance.now()
  let before: EventLoopUtilization = performance.eventLoopUtilization()
  const timer = setInterval(() => {
    const now = performance.now()
    const after = performance.eventLoopUtilization()
    pressure.sample(
      Math.max(0, now - last - PRESSURE_SAMPLE_MS),
      performance.eventLoopUtilization(after, before).utilization
    )
    last = now
    before = after
  }, PRESSURE_SAMPLE_MS)
  timer.unref()
  return () => clearInterval(timer)
}
