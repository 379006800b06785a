/**
 * What may be sent beyond one attempt a request: a token bucket that each request fills by a share of a token and each retry or hedge
 * empties by one, as in Finagle's RetryBudget. Over n requests at most `share` × n + `burst` are sent in addition.
 */
export class RetryBudget {
  private readonly share: number
  private readonly burst: number
  private tokens: number

  /**
   * @param share further attempts for each request, 0.1 is a tenth
   * @param burst tokens at most, and at the start
   */
  constructor(share: number, burst: number) {
    this.share = share
    this.burst = burst
    this.tokens = burst
  }

  /** One request came. */
  deposit(): void {
    this.tokens = Math.min(this.burst, this.tokens + this.share)
  }

  /** Takes what one further attempt costs, if it is there. */
  withdraw(): boolean {
    // Tenths do not add up to whole numbers in binary.
    if (this.tokens < 1 - 1e-9) return false
    this.tokens -= 1
    return true
  }

  get left(): number {
    return this.tokens
  }
}
