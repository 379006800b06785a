import { Timed, type Wheel } from './wheel.ts'

/** Who is told, and asked. */
export type Watched = {
  /** It takes no more of the answer for now. */
  readonly paused: boolean
  /** When an answer must have begun, where that is later than it was: a body that comes slowly comes first. */
  postponed?(now: number): number | undefined
  /** Until when the answer was not waited for, although it had begun: its service was still being sent the request. */
  busyUntil?(now: number): number | undefined
  /** No answer had begun in time. */
  late(now: number): void
  /** The answer fell silent. */
  silent(): void
}

/** For so long a caller may take nothing at all of an answer, ms: it holds a connection to the instance. */
const SLOWEST_CALLER_MS = 60_000
/** A timer that is started again for less would fire in the same turn. */
const LEAST_WAIT_MS = 20

/** The time that one request has: until an answer must have begun, and then between two parts of it. One timer for both. */
export class Deadline extends Timed {
  readonly at: number
  private readonly wheel: Wheel
  private readonly silenceMs: number
  private readonly watched: Watched
  private answering = false
  /** When a part was last known to have come; 0: one has come since. */
  private heardAt = 0

  /** @param at when an answer must have begun, of the wheel's clock, ms */
  constructor(wheel: Wheel, at: number, silenceMs: number, watched: Watched) {
    super()
    this.wheel = wheel
    this.at = at
    this.silenceMs = silenceMs
    this.watched = watched
    wheel.start(this, at)
  }

  /** The answer has begun. */
  begun(now: number): void {
    this.answering = true
    this.heardAt = now
  }

  /** A part has come, or the caller takes parts again. Costs less than asking for the time at each of them. */
  heard(): void {
    this.heardAt = 0
  }

  stop(): void {
    this.wheel.stop(this)
  }

  /** The deadline, and later the looks for silence, of which there is one at a time. */
  fire(): void {
    const now = this.wheel.now()
    const { watched, silenceMs } = this
    if (!this.answering) {
      const at = watched.postponed?.(now) ?? 0
      // The wheel may be early by less than that.
      if (at - now > LEAST_WAIT_MS) this.wheel.start(this, at)
      else watched.late(now)
      return
    }
    if (this.heardAt === 0) this.heardAt = now
    // A caller that takes nothing is not excused by what it sends.
    else if (!watched.paused) this.heardAt = Math.max(this.heardAt, watched.busyUntil?.(now) ?? 0)
    // A slow caller is no silence.
    const silentAt = this.heardAt + (watched.paused ? Math.max(SLOWEST_CALLER_MS, silenceMs) : silenceMs)
    if (silentAt > now) this.wheel.start(this, silentAt)
    else watched.silent()
  }
}
