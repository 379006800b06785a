import type { Logger } from '@skerry/service'
import type { LiveLog, LogPosition } from '../log/live-log.ts'
import type { LiveStream } from './live-stream.ts'
import type { StreamMetrics } from './stream-metrics.ts'

export type StreamOptions = {
  maxStreams: number
  perUser: number
  heartbeatMs: number
  bufferBytes: number
  stallMs: number
  verifyMs: number
}

/** What a stream needs of those who keep it. */
export type StreamHost = {
  readonly live: LiveLog
  readonly options: StreamOptions
  readonly metrics: StreamMetrics
  readonly log: Logger
  /** A place of the log that is some seconds old. */
  settled(): LogPosition
  /** Reads again at the next turn of the wheel. */
  retryLater(stream: LiveStream): void
  /** Forgets a closed stream. */
  release(stream: LiveStream): void
}
