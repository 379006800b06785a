import type { Logger } from '@skerry/service'
import type { LogPosition } from '../log/entry.ts'
import type { LiveLog } from '../log/live-log.ts'
import type { StreamMetrics } from './stream-metrics.ts'

export type StreamOptions = {
  maxStreams: number
  perUser: number
  heartbeatMs: number
  bufferBytes: number
  stallMs: number
  verifyMs: number
}

/** What a stream (`S`) needs of those who keep it. */
export type StreamHost<S> = {
  readonly live: LiveLog
  readonly options: StreamOptions
  readonly metrics: StreamMetrics
  readonly log: Logger
  /** A place of the log that is some seconds old. */
  settled(): LogPosition
  /** Reads again at the next turn of the wheel. */
  retryLater(stream: S): void
  /** Forgets a closed stream. */
  release(stream: S): void
}
