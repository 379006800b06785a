export type CircuitState = 'closed' | 'open' | 'half-open'

export type CircuitOptions = {
  /** First and longest pause, ms: doubled with each failure that follows another. */
  firstMs: number
  longestMs: number
  random?: () => number
}

/**
 * The circuit of one instance. Closed, it takes requests; open, none until its pause is over; then half-open: one request probes it, whose
 * answer closes it or opens it for twice as long. Pauses vary by a fifth, so that gateways do not probe in step.
 */
export class Circuit {
  private readonly options: CircuitOptions
  private until = 0
  private failures = 0
  private opened = false
  private probing = false
  private probedAt = 0
  /** When it closed after having been open, `performance.now()`; slow start counts from there. */
  closedAt = -Infinity

  constructor(options: CircuitOptions) {
    this.options = options
  }

  state(now: number): CircuitState {
    if (!this.opened) return 'closed'
    return now < this.until ? 'open' : 'half-open'
  }

  /** Whether a request may go; in half-open state only while no probe is under way. */
  allows(now: number): boolean {
    return !this.opened || (now >= this.until && !this.probing)
  }

  get isOpen(): boolean {
    return this.opened
  }

  /** When the pause ends; in the past while there is none. */
  get pausedUntil(): number {
    return this.opened ? this.until : 0
  }

  /** A request is sent in half-open state. It holds the place for at most `longestMs`, in case its end is never told. */
  probe(now: number): void {
    this.probing = true
    this.probedAt = now
  }

  /** Opens it, or for longer. Answers for how many ms; 0 when it was open already. */
  open(now: number, atLeastMs = 0, atMostMs = this.options.longestMs): number {
    if (this.opened && !this.probing && now < this.until) return 0
    const { firstMs, longestMs, random = Math.random } = this.options
    const pause = Math.max(atLeastMs, Math.min(longestMs, atMostMs, firstMs * 2 ** Math.min(this.failures, 10)))
    this.failures++
    this.opened = true
    this.probing = false
    // What was asked for is not undercut.
    this.until = now + Math.max(atLeastMs, pause * (0.8 + random() * 0.4))
    return pause
  }

  /** The instance answered well. */
  close(now: number): void {
    if (!this.opened) {
      // Only some time without trouble makes the next pause short again: an instance that flaps is not new each time.
      if (this.failures > 0 && now - this.closedAt > this.options.longestMs) this.failures = 0
      return
    }
    // What was under way when it opened says nothing new.
    if (!this.probing && now < this.until) return
    this.opened = false
    this.probing = false
    this.closedAt = now
  }

  /** It is known to be reachable again: it may be probed now. */
  wake(now: number): void {
    if (this.opened && !this.probing) this.until = Math.min(this.until, now)
  }

  /** The probe ended without saying anything about the instance (its caller went away). */
  release(): void {
    this.probing = false
  }

  /** Frees the place of a probe that never ended. */
  sweep(now: number): void {
    if (this.probing && now - this.probedAt > this.options.longestMs) this.probing = false
  }
}
