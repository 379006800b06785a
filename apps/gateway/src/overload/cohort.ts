import type { Outcome } from './outcome.ts'

/** Latencies below are taken for this, ms: a logarithm must not make them the most important ones. */
const SHORTEST_MS = 0.1
/** The service's part of a latency is no less than this: how late the gateway itself was is known only roughly. */
const LEAST_PART = 0.25
/** The part of a cohort that is not waited for: the very slowest. */
const SLOWEST = 0.05

/** All requests that came in during one span of time, and how long they took. Times in ms. */
export class Cohort {
  /** Requests that came in since the start. */
  entered = 0
  start = Number.NEGATIVE_INFINITY
  count = 0
  dropped = 0
  private end = Number.POSITIVE_INFINITY
  private size = 0
  private ignored = 0
  private sum = 0
  private squares = 0

  /** Whether it still takes requests. */
  get open(): boolean {
    return this.end === Number.POSITIVE_INFINITY
  }

  /** Mean logarithm of latency; NaN without samples. */
  get mean(): number {
    return this.sum / this.count
  }

  /** Standard deviation of the logarithms. */
  get spread(): number {
    return Math.sqrt(Math.max(0, this.squares / this.count - this.mean ** 2))
  }

  begin(now: number): void {
    this.start = now
    this.end = Number.POSITIVE_INFINITY
    this.entered = 0
    this.count = 0
    this.dropped = 0
    this.ignored = 0
    this.sum = 0
    this.squares = 0
  }

  /** Takes no more requests. */
  close(now: number): void {
    this.end = now
    this.size = this.entered
  }

  /** A request has ended, which counts if it came in during the span. Of its latency `lateMs` were not the service's. */
  left(latencyMs: number, lateMs: number, outcome: Outcome, now: number): void {
    const came = now - latencyMs
    if (came < this.start || came > this.end) return
    if (outcome === 'ignored') this.ignored++
    else if (outcome === 'dropped') this.dropped++
    else {
      const logarithm = Math.log(Math.max(latencyMs - lateMs, latencyMs * LEAST_PART, SHORTEST_MS))
      this.sum += logarithm
      this.squares += logarithm * logarithm
      this.count++
    }
  }

  /** Whether nearly all that came in have ended, or `patienceMs` has passed since it closed. */
  complete(now: number, patienceMs: number): boolean {
    const missing = this.size - this.count - this.dropped - this.ignored
    return missing <= Math.max(1, this.size * SLOWEST) || now - this.end > patienceMs
  }
}
