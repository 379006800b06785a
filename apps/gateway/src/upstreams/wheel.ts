/**
 * Something that happens at a time unless it is taken out before. Times are of `performance.now()`. What each request has is a class of its own
 * with `fire` as a method, which spares it a closure.
 */
export abstract class Timed {
  /** Neighbours in the slot; null while it is in none. */
  next: Timed | null = null
  previous: Timed | null = null
  tick = 0

  abstract fire(): void
}

/** One that calls a function. */
export class Timer extends Timed {
  private readonly work: () => void

  constructor(work: () => void) {
    super()
    this.work = work
  }

  fire(): void {
    this.work()
  }
}

const TICK_MS = 10
const SLOTS = 1_024

/**
 * A hashed timing wheel (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987): starting and stopping a timer costs a few
 * pointers, where Node's own timers cost a microsecond each. Every request has one or two that nearly never fire. They fire up to a tick
 * (10 ms) late.
 */
export class Wheel {
  private readonly slots: Timed[] = Array.from({ length: SLOTS }, () => {
    const head: Timed = new Timer(() => undefined)
    head.next = head
    head.previous = head
    return head
  })
  /** Its clock, ms. */
  readonly now: () => number
  private done: number
  private count = 0
  private interval: NodeJS.Timeout | undefined

  constructor(now: () => number = () => performance.now()) {
    this.now = now
    this.done = Math.floor(now() / TICK_MS)
  }

  /** Timers that run. */
  get size(): number {
    return this.count
  }

  start(timer: Timed, at: number): void {
    if (timer.next !== null) this.stop(timer)
    if (this.count++ === 0) this.done = Math.floor(this.now() / TICK_MS)
    timer.tick = Math.max(this.done + 1, Math.ceil(at / TICK_MS))
    const head = this.slots[timer.tick % SLOTS]!
    timer.next = head
    timer.previous = head.previous
    head.previous!.next = timer
    head.previous = timer
    this.interval ??= setInterval(() => this.turn(this.now()), TICK_MS).unref()
  }

  stop(timer: Timed): void {
    if (timer.next === null) return
    timer.previous!.next = timer.next
    timer.next.previous = timer.previous
    timer.next = null
    timer.previous = null
    this.count--
  }

  /** Fires what is due. The wheel calls it by itself; tests with their own clock do. */
  turn(now: number): void {
    const until = Math.floor(now / TICK_MS)
    if (this.count === 0) {
      // Stops only after a whole idle tick: most of the time the next request is there before.
      clearInterval(this.interval)
      this.interval = undefined
      this.done = until
      return
    }
    // After a long pause each slot is looked at once.
    const from = Math.max(this.done + 1, until - SLOTS + 1)
    this.done = until
    for (let tick = from; tick <= until; tick++) {
      const head = this.slots[tick % SLOTS]!
      let timer = head.next!
      while (timer !== head) {
        const next = timer.next!
        if (timer.tick <= until) {
          this.stop(timer)
          timer.fire()
          // Firing may have taken out the next one.
          timer = next.next === null ? head.next! : next
        } else timer = next
      }
    }
  }

  close(): void {
    clearInterval(this.interval)
    this.interval = undefined
  }
}
