import { Timer, type Wheel } from '../../upstreams/wheel.ts'
import type { StreamedBounds } from '../streamed-places.ts'
import type { RequestSource } from './request-source.ts'

/** For so long a service is given the word on a body that its client awaits, ms: some never say it (RFC 9110, 10.1.1). */
const WORD_MS = 1_000

export type PaceOptions = Pick<StreamedBounds, 'periodMs' | 'periodBytes'> & {
  source: RequestSource
  wheel: Wheel
  /** How long a service may take nothing. */
  silenceMs: number
  /** Calls for `work`, whose fault is its exchange's. */
  guarded(work: () => void): void
  /** The service waits for the client to take its answer: it need not take more of the body. */
  waitsForClient(): boolean
  onServiceLate(now: number): void
  onClientLate(): void
}

/** Looks at the pace of a body that passes through: of the client that sends it, and of the service that takes it. */
export class Pace {
  private readonly options: PaceOptions
  private readonly timer: Timer
  private lookedAt = 0
  private takenBefore = 0

  constructor(options: PaceOptions) {
    this.options = options
    this.timer = new Timer(() => options.guarded(() => this.look()))
  }

  start(): void {
    const { source, wheel, periodMs, silenceMs } = this.options
    const every = source.awaitsWord && source.wantedSince === undefined ? WORD_MS : Math.min(periodMs, silenceMs) / 2
    wheel.start(this.timer, performance.now() + every)
  }

  stop(): void {
    this.options.wheel.stop(this.timer)
  }

  private look(): void {
    const { source, silenceMs, periodMs, periodBytes, waitsForClient, onServiceLate, onClientLate } = this.options
    if (source.isOver) return
    const now = performance.now()
    const { blockedSince, wantedSince, taken } = source
    if (wantedSince === undefined) source.go()
    else if (blockedSince !== undefined) {
      // The client that takes nothing of the answer has bounds of its own.
      if (now - blockedSince >= silenceMs && !waitsForClient()) {
        onServiceLate(now)
        return
      }
      // It is not the client that keeps the other waiting.
      this.lookedAt = now
      this.takenBefore = taken
    } else {
      this.lookedAt ||= wantedSince
      if (now - this.lookedAt >= periodMs) {
        if (taken - this.takenBefore < periodBytes) {
          onClientLate()
          return
        }
        this.lookedAt = now
        this.takenBefore = taken
      }
    }
    this.start()
  }
}
