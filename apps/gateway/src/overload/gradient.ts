import { Cohort } from './cohort.ts'
import type { Outcome } from './outcome.ts'

export type GradientOptions = {
  /** Requests in flight before anything is known. */
  readonly initial: number
  /** What a limit that is hardly used shrinks to, and grows back to. */
  readonly idle: number
  readonly min: number
  readonly max: number
  /** Waiting that nobody notices: latency may exceed that without load by so much without being taken for overload, ms. */
  readonly slackMs: number
}

/** A cohort takes requests for at least so long and until it has so many, but no longer than LONGEST. */
const COHORT_MS = 100
const LONGEST_COHORT_MS = 1_000
const COHORT_SIZE = 10
/** Latency may be so many times that without load. */
const TOLERANCE = 1.25
/** The limit falls to no less than this part at once; to the other when more than a tenth was dropped. */
const STEEPEST = 0.3
const DROPPED_SHARE = 0.1
const DROPPED_PART = 0.7
/** It grows by half of √limit, or by a fifth while latency could be FAR times what it is. */
const QUEUE = 0.5
const FAST = 0.2
const FAR = 1.15
/** An unused limit is at most so many times what was in flight. */
const SPARE = 3
/** Samples after which half of what was known is replaced: by lower latencies, by higher ones, for an unused limit. */
const LOWER_SAMPLES = 50
const HIGHER_SAMPLES = 500
const IDLE_SAMPLES = 128
/** A probe lowers the limit to this part for as many requests as tell the mean logarithm to PRECISION, within these bounds. */
const PROBE_PART = 0.25
const PRECISION = 0.15
const FEWEST_PROBES = 8
const MOST_PROBES = 64
/** Probes come so often while latency is too high, but take at most one part in so many of the time. */
const PROBE_MS = 1_000
const PROBE_COST = 16
/** A limit that overload has lowered doubles in this time of rest, until it is what it was. */
const RECOVERY_MS = 500
/** After requests that were dropped it is at rest only when nobody has asked for so long: they say that it hangs. */
const AFTER_DROPS_MS = 2_000
/** A probe that finds the service slower by so much (in logarithms) gives back what the limit has lost by it. */
const SURPRISE = 0.25

/**
 * How many requests one service may have in flight, learned from their latency: the gradient of Netflix's concurrency-limits
 * (`Gradient2Limit`: limit × tolerance × latency without load / latency now + room for a queue of about √limit, changing only when at least
 * half of the limit is used), with latency without load measured as Envoy's adaptive concurrency does, by lowering the limit for a moment.
 * Without that, a long overload teaches that waiting is normal, and a service that became slower for another reason than its load is
 * throttled for ever.
 *
 * - Latency is that of cohorts: of all requests that came in during a span, not of those that ended in it, which after each change of the
 *   limit would first be the fast ones and then the slow ones. Each change is judged by requests that came in after it.
 * - Its mean is taken over logarithms: routes of 1 ms and of 1 s count alike, and waiting shows in all of them.
 * - What overload took is given back in seconds once the service is at rest, whether or not anybody asks it then: a limit that only
 *   samples can raise would stay low where there are few.
 * - Probes begin with a second of the clock, so that all gateways of a service lower their limits together; each would otherwise measure
 *   the others' load, and take it for the service.
 *
 * @see https://github.com/Netflix/concurrency-limits and Envoy's "Adaptive Concurrency" filter
 */
export class Gradient {
  inFlight = 0
  /** Requests that ended in a millisecond, in the last cohort's time. */
  perMs = 0
  private known: number
  private readonly options: GradientOptions
  private readonly cohort = new Cohort()
  /** Logarithms of latency in ms: without load, and now; NaN before anything was measured. */
  private base = Number.NaN
  private short = Number.NaN
  private left = 0
  private peak = 0
  /** The highest number in flight, fading with samples. */
  private recentPeak = 0
  /** The limit when latency was last what it may be. */
  private ample: number
  /** The limit before overload lowered it, and since when there has been none; 0 and NaN: it has not, or it still does. */
  private lowered = 0
  private calmSince = Number.NaN
  /** The last request before the rest was dropped. */
  private droppedLast = false
  private probing = false
  private probes = FEWEST_PROBES
  private nextProbe = 0
  /** Latency is above what it may be. */
  private slow = false

  constructor(options: GradientOptions) {
    this.options = options
    this.known = options.initial
    this.ample = options.initial
  }

  /** How many may be in flight now; not whole. */
  get limit(): number {
    return this.probing ? Math.max(1, this.known * PROBE_PART) : this.known
  }

  /** Takes up one place if the limit's `share` (0–1) has one; one request is always let through. */
  tryEnter(share: number): boolean {
    if (this.inFlight >= 1 && this.inFlight + 1 > this.limit * share) return false
    if (++this.inFlight > this.peak) this.peak = this.inFlight
    this.cohort.entered++
    return true
  }

  /**
   * Gives a place back. `latencyMs` counts from the entry; `lateMs` of it this process was too late itself, which is not the service's load;
   * `now` is in ms, of a clock that gateways share.
   */
  leave(latencyMs: number, outcome: Outcome, now: number, lateMs = 0): void {
    this.inFlight--
    this.left++
    const { cohort, probing } = this
    cohort.left(latencyMs, lateMs, outcome, now)
    if (this.slow && !probing && now >= this.nextProbe) {
      this.probing = true
      this.begin(now)
      return
    }
    if (cohort.open) {
      const lasted = now - cohort.start
      const enough = probing ? cohort.entered >= this.probes : lasted >= COHORT_MS && cohort.entered >= COHORT_SIZE
      if (enough || lasted >= LONGEST_COHORT_MS) cohort.close(now)
    }
    if (cohort.open || !cohort.complete(now, this.patience())) return
    const lasted = now - cohort.start
    this.perMs = this.left / lasted
    if (probing) this.probed(now, lasted)
    else this.judge(now)
    this.begin(now)
  }

  /** Nothing is under way, and the limit is not what it was. */
  get isResting(): boolean {
    return this.inFlight === 0 && (this.lowered > 0 || this.probing)
  }

  /** The last request has ended, and none waits. */
  rested(now: number, outcome: Outcome): void {
    if (this.probing) {
      // Nobody is left to measure with.
      this.probing = false
      this.begin(now)
    }
    if (outcome === 'dropped') this.calmSince = now + AFTER_DROPS_MS
    else if (this.droppedLast || Number.isNaN(this.calmSince)) this.calmSince = now
    this.droppedLast = outcome === 'dropped'
  }

  /** While it rests: gives back what overload took, as far as the time without it allows. */
  recover(now: number): void {
    if (this.lowered === 0 || !(now > this.calmSince)) return
    this.set(Math.min(this.lowered, this.known * 2 ** ((now - this.calmSince) / RECOVERY_MS)))
    this.calmSince = now
    if (this.known >= this.lowered) this.lowered = 0
    this.ample = Math.max(this.ample, this.known)
  }

  /** How long the slow ones of a cohort are waited for, ms. */
  private patience(): number {
    return LONGEST_COHORT_MS + (Number.isNaN(this.short) ? 0 : 4 * Math.exp(this.short))
  }

  private begin(now: number): void {
    this.cohort.begin(now)
    this.left = 0
    this.peak = this.inFlight
  }

  private judge(now: number): void {
    const { cohort, peak } = this
    const { count, dropped, mean } = cohort
    const samples = count + dropped
    const used = peak * 2 >= this.known
    this.recentPeak = peak > this.recentPeak ? peak : towards(this.recentPeak, peak, samples, 8 * IDLE_SAMPLES)
    if (dropped > 1 && dropped > samples * DROPPED_SHARE) {
      this.lower(this.known * DROPPED_PART)
      return
    }
    if (count === 0) return
    this.short = Number.isNaN(this.short) ? mean : towards(mean, this.short, COHORT_SIZE, count)
    if (Number.isNaN(this.base)) this.base = this.short
    if (used) this.follow(count)
    else this.rest(count, now)
    const slow = used && this.short > this.tolerable
    if (slow && !this.slow && this.nextProbe < now) this.planProbe(now, PROBE_MS)
    this.slow = slow
    // As many as tell the mean as precisely as it has to be known.
    this.probes = Math.min(MOST_PROBES, Math.max(FEWEST_PROBES, (cohort.spread / PRECISION) ** 2))
  }

  /** The highest latency that is no overload, as a logarithm. */
  private get tolerable(): number {
    return Math.log(TOLERANCE * Math.exp(this.base) + this.options.slackMs)
  }

  /** The limit is used: it follows the gradient. */
  private follow(samples: number): void {
    const { short, known } = this
    if (short < this.base) this.base = towards(this.base, short, samples, LOWER_SAMPLES)
    const gradient = Math.exp(this.tolerable - short)
    const growth = gradient > FAR ? known * FAST : Math.sqrt(known) * QUEUE
    const limit = known * Math.min(1, Math.max(STEEPEST, gradient)) + growth
    if (limit < known) this.lower(limit)
    else this.set(limit)
    if (this.known >= this.lowered) this.lowered = 0
    if (gradient >= 1) this.ample = this.known
  }

  private lower(limit: number): void {
    if (this.lowered === 0) this.lowered = this.known
    this.calmSince = Number.NaN
    this.set(limit)
  }

  /** The limit is hardly used: latency is what it is without load, and the limit keeps only so much above what is in use. */
  private rest(samples: number, now: number): void {
    const { idle, max } = this.options
    this.base = towards(this.base, this.short, samples, this.short < this.base ? LOWER_SAMPLES : HIGHER_SAMPLES)
    if (this.lowered > 0) {
      // What lowered it is over as well.
      if (Number.isNaN(this.calmSince)) this.calmSince = now
      this.recover(now)
      return
    }
    const enough = Math.min(max, Math.max(idle, SPARE * this.recentPeak))
    if (this.known > enough || this.known < idle) {
      this.set(towards(this.known, this.known > enough ? enough : idle, samples, IDLE_SAMPLES))
    }
    this.ample = this.known
  }

  /**
   * Takes in the latency that a probe measured. As far as it fell with the limit, what was measured is still a queue, and the service has
   * not become slower; if it stayed, waiting was not the reason, and the limit need not have fallen.
   */
  private probed(now: number, lasted: number): void {
    this.probing = false
    this.planProbe(now, lasted * PROBE_COST)
    const { count, mean } = this.cohort
    if (count < FEWEST_PROBES / 2) return
    const fell = (this.short - mean) / Math.log(1 / PROBE_PART)
    const surprise = mean - this.base
    const rise = surprise * Math.min(1, Math.max(0, 1 - fell))
    this.base += surprise < 0 ? surprise : rise
    this.short = this.base
    if (rise > SURPRISE) this.set(Math.max(this.known, this.ample))
  }

  /** The next multiple of the least power of two seconds that is no less than `apart`. */
  private planProbe(now: number, apart: number): void {
    let every = PROBE_MS
    while (every < apart) every *= 2
    this.nextProbe = (Math.floor(now / every) + 1) * every
  }

  private set(limit: number): void {
    const { min, max } = this.options
    this.known = Math.min(max, Math.max(min, limit))
  }
}

/** From one value to another, as far as `samples` have weight beside `half`, the number that would bring it half way. */
function towards(from: number, to: number, samples: number, half: number): number {
  return from + ((to - from) * samples) / (samples + half)
}
