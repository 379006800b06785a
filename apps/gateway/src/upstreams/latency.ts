const STEPS_PER_DOUBLING = 4
const BUCKETS = 80
/** After so many observations all counts are halved, so that the past fades. */
const WINDOW = 2_048
const LOOK_EVERY = 64

/**
 * How long answers took lately, as quantiles: counts in buckets that grow by the fourth root of two from 0.1 ms, so that a quantile is
 * right within 19 %. Costs one logarithm an observation.
 */
export class LatencyWindow {
  private readonly counts = new Uint32Array(BUCKETS)
  private total = 0
  private seen = 0
  private lookedAt = -Infinity
  private readonly kept = new Map<number, number>()

  observe(ms: number): void {
    const step = Math.floor(Math.log2(Math.max(ms, 0.1) * 10) * STEPS_PER_DOUBLING)
    this.counts[Math.min(BUCKETS - 1, step)]!++
    this.total++
    this.seen++
    if (this.total >= WINDOW) this.fade()
  }

  get observed(): number {
    return this.total
  }

  /** The upper bound (ms) of the bucket in which the quantile lies; 0 while nothing was observed. Up to 64 observations old. */
  quantile(q: number): number {
    if (this.seen - this.lookedAt >= LOOK_EVERY) {
      this.kept.clear()
      this.lookedAt = this.seen
    }
    let value = this.kept.get(q)
    if (value === undefined) {
      value = this.find(q)
      this.kept.set(q, value)
    }
    return value
  }

  private find(q: number): number {
    if (this.total === 0) return 0
    let left = this.total * q
    for (let step = 0; step < BUCKETS; step++) {
      left -= this.counts[step]!
      if (left <= 0) return 2 ** ((step + 1) / STEPS_PER_DOUBLING) / 10
    }
    return 2 ** (BUCKETS / STEPS_PER_DOUBLING) / 10
  }

  private fade(): void {
    this.total = 0
    for (let step = 0; step < BUCKETS; step++) {
      this.counts[step]! >>= 1
      this.total += this.counts[step]!
    }
  }
}
